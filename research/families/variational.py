"""Variational inference: the member of a family of densities that is nearest to a posterior, found by gradient.

ADVI: Kucukelbir et al. 2017; gradients without the score's noise: Roeder, Wu & Duvenaud 2017; flow posteriors: Rezende
& Mohamed 2015; Stein variational gradient descent: Liu & Wang 2016; Laplace: MacKay 1992.  Densities are of
unconstrained vectors (`research.inference.model.Target`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import stats
from jaxtyping import Array, Float, Int

from research import axes, randomness
from research.families.flows.bijection import Bijection
from research.inference.model import Target
from research.metrics import Mean

Draws = Float[Array, "draw size"]
PerDraw = Float[Array, " draw"]


class Guide(NamedTuple):
  """A family of densities to choose from.

  Attributes:
    init: `init(key, start) -> params`, about a point [size].
    transform: `transform(params, noise) -> z`, of standard normal noise.
    log_density: `log_density(params, z)` of each draw.
  """

  init: Callable[[Any, Float[Array, " size"]], Any]
  transform: Callable[[Any, Draws], Draws]
  log_density: Callable[[Any, Draws], PerDraw]


def mean_field(spread: float = 0.1) -> Guide:
  """Independent Gaussians, of deviation `spread` at first."""

  def init(key, start):
    return {"mean": start, "log_scale": jnp.full_like(start, jnp.log(spread))}

  def log_density(params, z):
    return stats.norm.logpdf(z, params["mean"], jnp.exp(params["log_scale"])).sum(-1)

  return Guide(init, lambda params, noise: params["mean"] + jnp.exp(params["log_scale"]) * noise, log_density)


def full_rank(spread: float = 0.1) -> Guide:
  """A Gaussian: mean and the Cholesky factor of its covariance, whose diagonal is an exponential."""

  def init(key, start):
    return {"mean": start, "log_scale": jnp.full_like(start, jnp.log(spread)), "lower": jnp.zeros((start.size,) * 2)}

  def factor(params):
    scale = jnp.exp(params["log_scale"])
    return scale[:, None] * jnp.tril(params["lower"], -1) + jnp.diag(scale)

  def log_density(params, z):
    white = jax.scipy.linalg.solve_triangular(factor(params), (z - params["mean"]).T, lower=True)
    return stats.norm.logpdf(white).sum(0) - params["log_scale"].sum()

  return Guide(init, lambda params, noise: params["mean"] + noise @ factor(params).T, log_density)


def flow(bijection: Bijection, spread: float = 0.1) -> Guide:
  """A normalizing flow, and after it a Gaussian's scale and place, which are soon about right."""
  affine = mean_field(spread)

  def init(key, start):
    noise = jax.random.normal(key, (64, start.size), start.dtype)
    return {"affine": affine.init(key, start), "flow": bijection.init(key, noise, None)}

  def transform(params, noise):
    return affine.transform(params["affine"], bijection.inverse(params["flow"], noise, None)[0])

  def log_density(params, z):
    white = (z - params["affine"]["mean"]) * jnp.exp(-params["affine"]["log_scale"])
    noise, log_det = bijection.forward(params["flow"], white, None)
    return stats.norm.logpdf(noise).sum(-1) + log_det - params["affine"]["log_scale"].sum()

  return Guide(init, transform, log_density)


class Family(NamedTuple):
  """What `steps.gradient_learner` asks for; `evaluate` is the experiment's."""

  init: Callable
  loss: Callable
  evaluate: Callable


def elbo(target: Target, guide: Guide) -> Family:
  """The evidence lower bound, by one draw of each row of the batch.

  The guide's density is held still where it is evaluated: the gradient stays unbiased, and its noise vanishes where the
  guide equals the posterior (Roeder et al. 2017, "sticking the landing").
  """

  def init(key, batch):
    del batch
    return {"params": guide.init(key, target.start(randomness.stream_key(key, "start")))}

  def bounds(params, keys):
    noise = jax.vmap(lambda key: jax.random.normal(key, (target.size,)))(keys)
    z = guide.transform(params, noise)
    return jax.vmap(target.log_density)(z) - guide.log_density(jax.lax.stop_gradient(params), z)

  def loss(variables, batch, key):
    values = bounds(variables["params"], randomness.example_keys(key, len(batch["mask"])))
    return Mean.of(-values, batch["mask"]), ({"elbo": Mean.of(values, batch["mask"])}, {})

  def evaluate(variables, batch):
    return {"elbo": Mean.of(bounds(variables["params"], randomness.evaluation_keys(batch["row"])), batch["mask"])}

  return Family(init, loss, evaluate)


def mode(target: Target) -> Family:
  """The posterior's mode on the unconstrained scale; what `laplace` begins with."""

  def init(key, batch):
    del batch
    return {"params": {"mean": target.start(randomness.stream_key(key, "start"))}}

  def loss(variables, batch, key):
    value = target.log_density(variables["params"]["mean"])
    return Mean(-value * batch["mask"].sum(), batch["mask"].sum()), ({"log_density": Mean.constant(value)}, {})

  def evaluate(variables, batch):
    value = target.log_density(variables["params"]["mean"])
    return {"log_density": Mean.of(jnp.full(len(batch["mask"]), value), batch["mask"])}

  return Family(init, loss, evaluate)


def laplace(
  target: Target, start: Float[Array, " size"], iterations: int = 20
) -> tuple[Float[Array, " size"], Float[Array, "size size"]]:
  """Mode and covariance, the inverse of the negative Hessian there, after Newton steps from near the mode.

  A step that does not raise the density is halved, up to ten times.  Where the Hessian is not negative definite the
  factor is NaN: there is no mode.
  """

  def newton(_, z):
    gradient, hessian = jax.grad(target.log_density)(z), jax.hessian(target.log_density)(z)
    step = jnp.linalg.solve(-hessian, gradient)
    sizes = 0.5 ** jnp.arange(10)
    values = jax.vmap(lambda size: target.log_density(z + size * step))(sizes)
    values = jnp.where(jnp.isnan(values), -jnp.inf, values)
    best = values.argmax()
    return jnp.where(values[best] > target.log_density(z), z + sizes[best] * step, z)

  z = jax.lax.fori_loop(0, iterations, newton, start)
  return z, jnp.linalg.inv(-jax.hessian(target.log_density)(z))


def stein(target: Target, particles: int, repulsion: float = 1.0) -> Family:
  """Stein variational gradient descent: particles climb the density and repel one another (equation 8).

  The kernel is a Gaussian whose width is the median heuristic's, times `repulsion`.  Each device moves its rows.
  """

  def init(key, batch):
    del batch
    keys = randomness.place_keys(randomness.stream_key(key, "start"), jnp.arange(particles))
    return {"params": {"particles": jax.vmap(target.start)(keys)}}

  def loss(variables, batch, key):
    del key
    everyone = jax.lax.stop_gradient(variables["params"]["particles"])
    scores = jax.vmap(jax.grad(target.log_density))(everyone)
    own = axes.mine(variables["params"]["particles"])
    direction = stein_direction(jax.lax.stop_gradient(own), everyone, scores, repulsion)
    value = jax.vmap(target.log_density)(jax.lax.stop_gradient(own))
    surrogate = -(direction * own).sum(-1)  # its gradient is the direction, downhill
    return Mean.of(surrogate, batch["mask"]), ({"log_density": Mean.of(value, batch["mask"])}, {})

  def evaluate(variables, batch):
    value = jax.vmap(target.log_density)(axes.mine(variables["params"]["particles"]))
    return {"log_density": Mean.of(value[: len(batch["mask"])], batch["mask"])}

  return Family(init, loss, evaluate)


def stein_direction(own: Draws, everyone: Draws, scores: Draws, repulsion: float) -> Draws:
  """φ(z) = mean over particles x of k(x, z) ∇log p(x) + ∇_x k(x, z), for each z of `own`."""
  apart = own[:, None] - everyone
  squares = (apart**2).sum(-1)
  between = ((everyone[:, None] - everyone) ** 2).sum(-1)
  width = repulsion * jnp.median(between) / jnp.log(len(everyone) + 1.0) + 1e-12
  kernel = jnp.exp(-squares / width)
  return (kernel @ scores + 2 / width * (kernel[..., None] * apart).sum(1)) / len(everyone)


def draws_of(guide: Guide, params: Any, places: Int[Array, " draw"], size: int) -> Draws:
  """One draw for each place, the same in every run."""
  keys = randomness.evaluation_keys(places, "posterior")
  return guide.transform(params, jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys))
