"""Monotone functions of one number, whose parameters somebody else computes: what couplings and MAFs are made of.

Affine (Dinh et al. 2017), mixture of logistics (Ho et al. 2019), rational-quadratic splines (Durkan et al. 2019).  With
parameters 0 affine and spline are the identity, so a flow whose last layers start at 0 starts as one too.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError

Values = Float[Array, "*shape"]
Parameters = Float[Array, "*shape size"]


class Elementwise(NamedTuple):
  """A strictly increasing function of every number.

  Attributes:
    size: parameters of one number.
    forward: `forward(x, parameters) -> y, log dy/dx`.
    inverse: `inverse(y, parameters) -> x, log dx/dy`.
  """

  size: int
  forward: Callable[[Values, Parameters], tuple[Values, Values]]
  inverse: Callable[[Values, Parameters], tuple[Values, Values]]


def affine(limit: float = 3.0) -> Elementwise:
  """y = x exp(s) + t (Dinh et al. 2017, equation 4), s kept within ±`limit` by a hyperbolic tangent."""

  def split(parameters):
    return limit * jnp.tanh(parameters[..., 0] / limit), parameters[..., 1]

  def forward(x, parameters):
    log_scale, shift = split(parameters)
    return x * jnp.exp(log_scale) + shift, log_scale

  def inverse(y, parameters):
    log_scale, shift = split(parameters)
    return (y - shift) * jnp.exp(-log_scale), -log_scale

  return Elementwise(2, forward, inverse)


def mixture_of_logistics(components: int = 4, limit: float = 3.0) -> Elementwise:
  """y = exp(s) logit F(x) + t, F the distribution function of a mixture of logistics (Ho et al. 2019, section 3.2).

  The inverse is by bisection, to float32: a quantile of a mixture lies between those of its components.
  """
  if components < 1:
    raise UserError("config.model.components", components, "give a mixture one component at least.")
  outer = affine(limit)

  def split(parameters):
    weights, means, log_scales = jnp.split(parameters[..., 2:], 3, axis=-1)
    # Apart from the start, or equal components would get equal gradients for good.
    means = means + jnp.linspace(-1.0, 1.0, components)
    return jax.nn.log_softmax(weights, -1), means, limit * jnp.tanh(log_scales / limit)

  def log_odds(x, mixture):
    """(log F, log (1 - F), log of the density) at x."""
    log_weights, means, log_scales = mixture
    z = (x[..., None] - means) * jnp.exp(-log_scales)
    below, above = jax.nn.log_sigmoid(z), jax.nn.log_sigmoid(-z)
    total = lambda terms: jax.nn.logsumexp(log_weights + terms, -1)
    return total(below), total(above), total(below + above - log_scales)

  def forward(x, parameters):
    below, above, density = log_odds(x, split(parameters))
    y, slope = outer.forward(below - above, parameters[..., :2])
    return y, density - below - above + slope

  def inverse(y, parameters):
    mixture = split(parameters)
    odds, _ = outer.inverse(y, parameters[..., :2])
    quantiles = mixture[1] + jnp.exp(mixture[2]) * odds[..., None]

    def halve(_, ends):
      low, high = ends
      middle = 0.5 * (low + high)
      below, above, _ = log_odds(middle, mixture)
      beyond = below - above > odds
      return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

    low, high = jax.lax.fori_loop(0, 40, halve, (quantiles.min(-1), quantiles.max(-1)))
    x = 0.5 * (low + high)
    return x, -forward(x, parameters)[1]

  return Elementwise(2 + 3 * components, forward, inverse)


class _Bin(NamedTuple):
  """The spline's bin that a number lies in: its lower corner, its sides, the slopes at its ends."""

  x: Values
  y: Values
  width: Values
  height: Values
  left: Values
  right: Values


def rational_quadratic(bins: int = 8, limit: float = 4.0, least: float = 1e-3) -> Elementwise:
  """A rational-quadratic spline on [-limit, limit], the identity outside (Durkan et al. 2019, section 3.1).

  Args:
    bins: pieces of the spline.
    limit: where it ends; at the ends it is smooth.
    least: of the bins' widths and heights, as shares of the whole, and of the slopes.

  Raises:
    UserError: no bins, or so many that the least widths do not fit.
  """
  if not 1 <= bins < 1 / least:
    raise UserError("config.model.bins", bins, f"give 1 to {round(1 / least) - 1} bins.")
  one = math.log(math.expm1(1 - least))  # softplus of it, plus `least`, is a slope of 1

  def knots(logits):
    shares = least + (1 - least * bins) * jax.nn.softmax(logits, -1)
    inner = 2 * limit * jnp.cumsum(shares, -1)[..., :-1] - limit
    ends = jnp.full((*inner.shape[:-1], 1), limit, inner.dtype)
    return jnp.concatenate([-ends, inner, ends], -1)

  def located(values, parameters, by_height):
    """The bin of each of the values, which are y where `by_height`, else x."""
    x, y = knots(parameters[..., :bins]), knots(parameters[..., bins : 2 * bins])
    inner = least + jax.nn.softplus(parameters[..., 2 * bins :] + one)
    ends = jnp.ones((*inner.shape[:-1], 1), inner.dtype)
    slopes = jnp.concatenate([ends, inner, ends], -1)
    edges = (y if by_height else x)[..., 1:-1]
    # One-hot products, not gathers: their gradients are products too, where a gather's would scatter.
    place = jax.nn.one_hot((values[..., None] >= edges).sum(-1), bins, dtype=x.dtype)
    at = lambda table: (place * table).sum(-1)
    left, bottom = at(x[..., :-1]), at(y[..., :-1])
    return _Bin(left, bottom, at(x[..., 1:]) - left, at(y[..., 1:]) - bottom, at(slopes[..., :-1]), at(slopes[..., 1:]))

  def log_slope(bin_, share):
    """Equation 5, at a share of the bin's width."""
    steep, rest = bin_.height / bin_.width, share * (1 - share)
    above = bin_.right * share**2 + 2 * steep * rest + bin_.left * (1 - share) ** 2
    return 2 * jnp.log(steep) + jnp.log(above) - 2 * jnp.log(_denominator(bin_, share))

  def inside(values):
    return (values > -limit) & (values < limit)

  def forward(x, parameters):
    within = jnp.clip(x, -limit, limit)
    bin_ = located(within, parameters, by_height=False)
    share = jnp.clip((within - bin_.x) / bin_.width, 0, 1)
    steep, rest = bin_.height / bin_.width, share * (1 - share)
    y = bin_.y + bin_.height * (steep * share**2 + bin_.left * rest) / _denominator(bin_, share)
    return jnp.where(inside(x), y, x), jnp.where(inside(x), log_slope(bin_, share), 0)

  def inverse(y, parameters):
    """Equations 6 to 8: the root of a quadratic, in the form that does not cancel."""
    within = jnp.clip(y, -limit, limit)
    bin_ = located(within, parameters, by_height=True)
    steep, rise = bin_.height / bin_.width, within - bin_.y
    curve = rise * (bin_.right + bin_.left - 2 * steep)
    a, b, c = bin_.height * (steep - bin_.left) + curve, bin_.height * bin_.left - curve, -steep * rise
    root = jnp.sqrt(jnp.maximum(b**2 - 4 * a * c, 0))
    share = jnp.clip(-2 * c / (b + root), 0, 1)
    x = bin_.x + share * bin_.width
    return jnp.where(inside(y), x, y), jnp.where(inside(y), -log_slope(bin_, share), 0)

  return Elementwise(3 * bins - 1, forward, inverse)


def _denominator(bin_: _Bin, share: Values) -> Values:
  """Of equation 4, over the bin's height."""
  steep = bin_.height / bin_.width
  return steep + (bin_.right + bin_.left - 2 * steep) * share * (1 - share)


def by_name(name: str, *, bins: int = 8, components: int = 4) -> Elementwise:
  """The function that a config names.

  Raises:
    UserError: there is none.
  """
  match name:
    case "affine":
      return affine()
    case "logistics":
      return mixture_of_logistics(components)
    case "spline":
      return rational_quadratic(bins)
  raise UserError("config.model.elementwise", name, "choose affine, logistics or spline.")
