"""Bijections as pure functions with log-determinants, and what composes them.

A bijection goes from data x to noise y.  All functions take a batch [batch, *event] and return the log-determinant of
each example's Jacobian.  `context` [batch, ...] is what a conditional flow is given; None without.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float, Int

from research import randomness
from research.errors import UserError
from research.families.flows.elementwise import Elementwise

Event = Float[Array, "batch *event"]
PerExample = Float[Array, " batch"]
Network = Callable[[int], nn.Module]


class Bijection(NamedTuple):
  """An invertible function with parameters.

  Attributes:
    init: `init(key, x, context) -> params`; some are initialised by the data x.
    forward: `forward(params, x, context) -> y, log |det dy/dx|`.
    inverse: `inverse(params, y, context) -> x, log |det dx/dy|`.
  """

  init: Callable[[Any, Event, Any], Any]
  forward: Callable[[Any, Event, Any], tuple[Event, PerExample]]
  inverse: Callable[[Any, Event, Any], tuple[Event, PerExample]]


def _fixed(forward: Callable, inverse: Callable) -> Bijection:
  """Without parameters and context, from functions of x and y alone."""
  return Bijection(
    lambda key, x, context: {}, lambda params, x, context: forward(x), lambda params, y, context: inverse(y)
  )


def _rearrangement(forward: Callable, inverse: Callable) -> Bijection:
  """Without parameters, and volume preserving: numbers change their places alone."""
  return _fixed(lambda x: (forward(x), jnp.zeros(len(x))), lambda y: (inverse(y), jnp.zeros(len(y))))


def sum_of(x: Event) -> PerExample:
  """Sum over everything but the batch."""
  return x.reshape(len(x), -1).sum(-1)


def chain(parts: Sequence[Bijection]) -> Bijection:
  """One after the other; parameters are a list.  Each part is initialised by what the ones before make of the data."""

  def init(key, x, context):
    params = []
    for i, part in enumerate(parts):
      params.append(part.init(jax.random.fold_in(key, i), x, context))
      x, _ = part.forward(params[-1], x, context)
    return params

  def forward(params, x, context):
    total = jnp.zeros(len(x))
    for part, own in zip(parts, params):
      x, log_det = part.forward(own, x, context)
      total += log_det
    return x, total

  def inverse(params, y, context):
    total = jnp.zeros(len(y))
    for part, own in zip(parts[::-1], params[::-1]):
      y, log_det = part.inverse(own, y, context)
      total += log_det
    return y, total

  return Bijection(init, forward, inverse)


def invert(bijection: Bijection) -> Bijection:
  """The other way round: of a masked autoregressive flow the inverse autoregressive flow (Kingma et al. 2016)."""
  return Bijection(bijection.init, bijection.inverse, bijection.forward)


def permutation(order: Int[np.ndarray, " feature"]) -> Bijection:
  """Numbers of the last axis in another order."""
  order, back = np.asarray(order), np.argsort(order)
  return _rearrangement(lambda x: x[..., order], lambda y: y[..., back])


def flatten(shape: Sequence[int]) -> Bijection:
  """Events of that shape as vectors."""
  return _rearrangement(lambda x: x.reshape(len(x), -1), lambda y: y.reshape(len(y), *shape))


def squeeze(factor: int = 2) -> Bijection:
  """Blocks of factor x factor pixels into channels (Dinh et al. 2017, section 3.6)."""
  return _rearrangement(lambda x: space_to_depth(x, factor), lambda y: depth_to_space(y, factor))


def space_to_depth(x: Float[Array, "batch height width channel"], factor: int = 2) -> Array:
  """[batch, height / factor, width / factor, factor² channel]."""
  batch, height, width, channels = x.shape
  if height % factor or width % factor:
    raise UserError("image", x.shape[1:], f"its sides must divide by {factor} for each of config.model.scales.")
  x = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // factor, width // factor, -1)


def depth_to_space(y: Float[Array, "batch height width channel"], factor: int = 2) -> Array:
  """What `space_to_depth` came from."""
  batch, height, width, channels = y.shape
  y = y.reshape(batch, height, width, factor, factor, channels // factor**2)
  return y.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height * factor, width * factor, -1)


def actnorm(least: float = 1e-3) -> Bijection:
  """y = (x + b) exp(s), a number of each a channel (Kingma & Dhariwal 2018, section 3.1).

  Initialised so that the first batch has mean 0 and variance 1 in every channel, deviations below `least` left small.
  """

  def init(key, x, context):
    del key, context
    axes = tuple(range(x.ndim - 1))
    return {"bias": -x.mean(axes), "log_scale": -jnp.log(x.std(axes) + least)}

  def log_det(params, x):
    return jnp.full(len(x), params["log_scale"].sum() * (x[0].size // x.shape[-1]))

  def forward(params, x, context):
    return (x + params["bias"]) * jnp.exp(params["log_scale"]), log_det(params, x)

  def inverse(params, y, context):
    return y * jnp.exp(-params["log_scale"]) - params["bias"], -log_det(params, y)

  return Bijection(init, forward, inverse)


def linear(features: int, seed: int = 0) -> Bijection:
  """y = W x over the last axis: on images Glow's invertible 1x1 convolution (Kingma & Dhariwal 2018, section 3.2).

  W = P L (U + diag(s)), of which the permutation P and the signs of s stay as they were; it starts as a rotation drawn
  by `seed`.
  """
  rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(features, features)))
  permuted, lower, upper = scipy.linalg.lu(rotation)
  sign, eye = np.sign(np.diag(upper)), np.eye(features)
  start = {"lower": np.tril(lower, -1), "upper": np.triu(upper, 1), "log_scale": np.log(np.abs(np.diag(upper)))}

  def init(key, x, context):
    del key, context
    return {name: jnp.asarray(value, x.dtype) for name, value in start.items()}

  def triangles(params):
    scale = jnp.diag(sign * jnp.exp(params["log_scale"]))
    return jnp.tril(params["lower"], -1) + eye, jnp.triu(params["upper"], 1) + scale

  def log_det(params, x):
    return jnp.full(len(x), params["log_scale"].sum() * (x[0].size // features))

  def forward(params, x, context):
    low, high = triangles(params)
    weights = (permuted @ low @ high).astype(x.dtype)
    return x @ weights.T, log_det(params, x)

  def inverse(params, y, context):
    low, high = triangles(params)
    solve = jax.scipy.linalg.solve_triangular
    columns = (y @ permuted).reshape(-1, features).T.astype(y.dtype)
    columns = solve(high, solve(low, columns, lower=True, unit_diagonal=True))
    return columns.T.reshape(y.shape).astype(y.dtype), -log_det(params, y)

  return Bijection(init, forward, inverse)


def logit(margin: float = 0.05) -> Bijection:
  """y = logit(m + (1 - 2 m) x), which takes [0, 1] to the line (Dinh et al. 2017, section 4.1)."""

  def slope(p):
    """Of each number, the logarithm of dy/dx at m + (1 - 2 m) x = p."""
    return np.log(1 - 2 * margin) - jnp.log(p) - jnp.log1p(-p)

  def forward(x):
    p = margin + (1 - 2 * margin) * x
    return jnp.log(p) - jnp.log1p(-p), sum_of(slope(p))

  def inverse(y):
    # log p + log (1 - p) of the logistic function, which holds out where p rounds to 0 or 1.
    logs = jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y)
    return (jax.nn.sigmoid(y) - margin) / (1 - 2 * margin), sum_of(logs - np.log(1 - 2 * margin))

  return _fixed(forward, inverse)


class Partition(NamedTuple):
  """What a coupling leaves as it is, and what it changes.

  Attributes:
    divide: `divide(x) -> kept, moved`.
    join: `join(kept, moved) -> x`.
  """

  divide: Callable[[Event], tuple[Event, Event]]
  join: Callable[[Event, Event], Event]


def halves(swap: bool = False) -> Partition:
  """The first half of the last axis is kept, the rest changed; or the other way round."""

  def divide(x):
    first, second = jnp.split(x, [x.shape[-1] // 2], axis=-1)
    return (second, first) if swap else (first, second)

  def join(kept, moved):
    return jnp.concatenate([moved, kept] if swap else [kept, moved], axis=-1)

  return Partition(divide, join)


def checkerboard(swap: bool = False) -> Partition:
  """Every second pixel of an image, [batch, height, width / 2, channel] each (Dinh et al. 2017, figure 3)."""

  def turned(x):
    """Rows in pairs [batch, height, width / 2, 2, channel], the pairs of every second row the other way round."""
    odd = (np.arange(x.shape[1]) % 2 == 1)[:, None, None, None]
    return jnp.where(odd, x[:, :, :, ::-1], x)

  def divide(x):
    batch, height, width, channels = x.shape
    if width % 2:
      raise UserError("image", x.shape[1:], "an even width is what a checkerboard divides.")
    pairs = turned(x.reshape(batch, height, width // 2, 2, channels))
    return pairs[:, :, :, int(swap)], pairs[:, :, :, 1 - int(swap)]

  def join(kept, moved):
    pairs = turned(jnp.stack([moved, kept] if swap else [kept, moved], 3))
    return pairs.reshape(*pairs.shape[:2], -1, pairs.shape[-1])

  return Partition(divide, join)


def _parameters(network: Network, elementwise: Elementwise, params, inputs, like, context):
  """What a network has for every number of `like`: [*like.shape, size]."""
  features = like.shape[-1] * elementwise.size
  numbers = jnp.asarray(network(features).apply({"params": params}, inputs, context))
  return numbers.reshape(*like.shape, elementwise.size)


def coupling(network: Network, elementwise: Elementwise, partition: Partition) -> Bijection:
  """Moves one part by functions whose parameters a network has of the other (Dinh et al. 2017, section 3.2).

  Args:
    network: `network(features) -> module`, whose `(kept, context) -> [batch, ..., features]` has the kept part's space.
    elementwise: what every number of the moved part goes through.
    partition: which is which.
  """

  def init(key, x, context):
    kept, moved = partition.divide(x)
    return network(moved.shape[-1] * elementwise.size).init(key, kept, context)["params"]

  def through(function, params, x, context):
    kept, moved = partition.divide(x)
    moved, slopes = function(moved, _parameters(network, elementwise, params, kept, moved, context))
    return partition.join(kept, moved), sum_of(slopes)

  return Bijection(
    init,
    lambda params, x, context: through(elementwise.forward, params, x, context),
    lambda params, y, context: through(elementwise.inverse, params, y, context),
  )


def conditional(network: Network, elementwise: Elementwise) -> Bijection:
  """Moves every number by functions whose parameters a network has of the context alone: `module(context, None)`."""

  def init(key, x, context):
    return network(x.shape[-1] * elementwise.size).init(key, context, None)["params"]

  def through(function, params, x, context):
    moved, slopes = function(x, _parameters(network, elementwise, params, context, x, None))
    return moved, sum_of(slopes)

  return Bijection(
    init,
    lambda params, x, context: through(elementwise.forward, params, x, context),
    lambda params, y, context: through(elementwise.inverse, params, y, context),
  )


def autoregressive(network: Network, elementwise: Elementwise) -> Bijection:
  """Masked autoregressive flow (Papamakarios et al. 2017, section 3): every number by a function of those before it.

  Args:
    network: as of `coupling`, on vectors: output i, of `elementwise.size` numbers, is a function of x[:i] (MADE).
    elementwise: what every number goes through.

  Forward is one pass of the network; the inverse takes one a dimension.
  """

  def init(key, x, context):
    return network(x.shape[-1] * elementwise.size).init(key, x, context)["params"]

  def forward(params, x, context):
    y, slopes = elementwise.forward(x, _parameters(network, elementwise, params, x, x, context))
    return y, slopes.sum(-1)

  def inverse(params, y, context):
    def solve(i, x):
      inverted, _ = elementwise.inverse(y, _parameters(network, elementwise, params, x, x, context))
      return x.at[:, i].set(inverted[:, i])

    x = jax.lax.fori_loop(0, y.shape[-1], solve, jnp.zeros_like(y))
    return x, -forward(params, x, context)[1]

  return Bijection(init, forward, inverse)


def split(shape: Sequence[int], inner: Bijection, prior: Bijection | None = None) -> Bijection:
  """Factors half of the channels out (Dinh et al. 2017, section 3.6): only the other half goes through `inner`.

  Args:
    shape: of the event that is split, (height, width, channel).
    inner: of the rest; its noise is a vector.
    prior: of what is factored out, given the rest as its context (Kingma & Dhariwal 2018); None leaves it as it is.

  The noise is a vector: what was factored out, then that of `inner`.
  """
  out = (*shape[:-1], shape[-1] // 2)
  count = int(np.prod(out))

  def init(key, x, context):
    first, rest = jnp.split(x, [out[-1]], axis=-1)
    own = {} if prior is None else prior.init(randomness.stream_key(key, "prior"), first, rest)
    return {"prior": own, "inner": inner.init(randomness.stream_key(key, "inner"), rest, context)}

  def forward(params, x, context):
    first, rest = jnp.split(x, [out[-1]], axis=-1)
    y, total = inner.forward(params["inner"], rest, context)
    if prior is not None:
      first, log_det = prior.forward(params["prior"], first, rest)
      total += log_det
    return jnp.concatenate([first.reshape(len(x), -1), y], -1), total

  def inverse(params, y, context):
    rest, total = inner.inverse(params["inner"], y[:, count:], context)
    first = y[:, :count].reshape(len(y), *out)
    if prior is not None:
      first, log_det = prior.inverse(params["prior"], first, rest)
      total += log_det
    return jnp.concatenate([first, rest], -1), total

  return Bijection(init, forward, inverse)
