"""Mixtures of Gaussians by expectation-maximisation.

Dempster, Laird & Rubin 1977; equations as in Bishop 2006, section 9.2.  The density is Σₖ πₖ N(x | μₖ, Σₖ) (eq. 9.7).
The E-step counts, under the posterior over components, how many points each has, their sum and their second moments;
the M-step is a closed form of these sums, so they may come from many devices, from micro-batches, or be moving averages
over batches (`research.training.statistics`).

Log densities are in nats and per example, of the values as they are scaled.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.families import covariances as covariances_lib
from research.families import kmeans
from research.metrics import Mean

Inputs = Float[Array, "batch ..."]
DEFINITIONS = {"log_likelihood": "mean log density of an example under the mixture, nats"}
STARTS = ("k-means++", "random")


@struct.dataclass
class Mixture:
  """The parameters of a mixture.

  Attributes:
    weights: πₖ; 0 where a component has lost all its points.
    means: μₖ.
    precision_cholesky: Uₖ, where Σₖ⁻¹ = Uₖ Uₖᵀ, in the shape of the covariance's kind: see `covariances`.
    centre: fixed: the origin that moments are taken from, so that they do not cancel for data far from 0.
    covariance: the kind: full, tied, diag or spherical.
  """

  weights: Float[Array, " components"]
  means: Float[Array, "components features"]
  precision_cholesky: Float[Array, "..."]
  centre: Float[Array, " features"]
  covariance: str = struct.field(pytree_node=False)


@struct.dataclass
class Statistics:
  """Expected sufficient statistics: sums over examples, points taken from the mixture's centre.

  Attributes:
    counts: Nₖ = Σₙ rₙₖ (eq. 9.18).
    sums: Σₙ rₙₖ xₙ.
    second_moments: Σₙ rₙₖ xₙ xₙᵀ, as much of it as the covariance's kind needs.
    log_likelihood: Σₙ log p(xₙ) under the parameters that these were computed with, nats.
  """

  counts: Float[Array, " components"]
  sums: Float[Array, "components features"]
  second_moments: Float[Array, "..."]
  log_likelihood: Float[Array, ""]


class Family(NamedTuple):
  """What `research.training.statistics.statistics_learner` takes; a batch has `inputs` and `mask`."""

  init: Callable[[Key[Array, ""], Mapping[str, Any]], Any]
  expect: Callable[[Any, Mapping[str, Any], Key[Array, ""]], tuple[Statistics, dict[str, Mean]]]
  maximise: Callable[[Any, Statistics], Any]
  evaluate: Callable[[Any, Mapping[str, Any]], dict[str, Mean]]


def gaussian_mixture(
  components: int,
  *,
  covariance: str = "full",
  reg_covar: float = 1e-6,
  start: str = "k-means++",
  lloyd_iterations: int = 100,
) -> Family:
  """The functions of a mixture of Gaussians.

  A component that collapses costs nothing but itself.  `reg_covar` bounds its variances from below, as in scikit-learn.
  One without points (fewer than ten units of rounding) stays where it was, with weight 0.  One whose covariance has no
  Cholesky factor all the same, which takes a `reg_covar` of 0 or below rounding, keeps the covariance that it had.

  A batch may hold `components`, int [batch], all alike: how many of the components are used, for sizes side by side.
  The first may hold `responsibilities` [batch, components], which then take the place of k-means.

  Args:
    components: K.
    covariance: full, tied, diag or spherical.
    reg_covar: added to every variance.  With 0 no update lowers the likelihood, which then may be without bound.
    start: of the means before k-means: 'k-means++', or 'random' examples.
    lloyd_iterations: of k-means before the first update, at most.

  Raises:
    UserError: an argument out of its range; from `init`, a first batch of fewer rows than components.
  """
  kind = covariances_lib.kind(covariance)
  check(components, reg_covar, start, lloyd_iterations)

  def init(key, batch):
    begun = begin(key, batch, components, kind, start, lloyd_iterations)
    total = kind.regularise(begun.covariance, reg_covar)
    unit = kind.regularise(jnp.zeros_like(total), 1.0)
    whole = kind.keep_defined(kind.factorise(total), kind.factorise(unit), jnp.ones(components, bool))
    means = jnp.broadcast_to(begun.centre, begun.statistics.sums.shape)
    return maximise(Mixture(begun.statistics.counts, means, whole, begun.centre, covariance), begun.statistics)

  def expect(params, batch, key):
    del key
    points, mask = flat(batch["inputs"]) - params.centre, batch["mask"]
    joint = _log_joint(params, points)
    densities = jax.nn.logsumexp(joint, axis=-1)
    log_likelihood = Mean.of(densities, mask)
    statistics = moments(kind, jnp.exp(joint - densities[:, None]) * mask[:, None], points, log_likelihood.total)
    return statistics, {"log_likelihood": log_likelihood}

  def maximise(params, statistics):
    alive, means, scatter = estimated(kind, statistics, params.means - params.centre)
    factor = kind.factorise(kind.regularise(scatter, reg_covar))
    return params.replace(
      weights=jnp.where(alive, statistics.counts, 0) / statistics.counts.sum(),
      means=means + params.centre,
      precision_cholesky=kind.keep_defined(factor, params.precision_cholesky, alive),
    )

  def evaluate(params, batch):
    return {"log_likelihood": Mean.of(log_density(params, batch["inputs"]), batch["mask"])}

  return Family(init, expect, maximise, evaluate)


def check(components: int, reg_covar: float, start: str, lloyd_iterations: int) -> None:
  """Raises UserError where an argument of `gaussian_mixture` is out of its range."""
  for field, value, least in (("components", components, 1), ("lloyd_iterations", lloyd_iterations, 0)):
    if value < least:
      raise UserError(field, value, f"give {least} or more.")
  if not 0 <= reg_covar < math.inf:
    raise UserError("reg_covar", reg_covar, "give a variance, 0 or more, in the square of the data's unit.")
  if start not in STARTS:
    raise UserError("start", start, f"choose one of {', '.join(STARTS)}.")


class Begun(NamedTuple):
  """The statistics of a first, hard assignment; the data's mean, and their covariance in the shape of the kind."""

  statistics: Statistics
  centre: Float[Array, " features"]
  covariance: Float[Array, "..."]


def begin(key, batch, components: int, kind: covariances_lib.Covariances, start: str, lloyd_iterations: int) -> Begun:
  """Assigns every point of a batch to one component by k-means, or as the batch's `responsibilities` say.

  Arguments as `gaussian_mixture`.

  Raises:
    UserError: fewer rows than components.
  """
  points, mask = flat(batch["inputs"]), batch["mask"]
  if len(points) < components:
    raise UserError("components", components, f"the first batch has {len(points)} examples: give one for each.")
  total = mask.sum()
  centre = mask @ points / total
  points = points - centre
  if "responsibilities" in batch:
    shares = batch["responsibilities"] * mask[:, None]
  else:
    active = jnp.arange(components) < (batch["components"][0] if "components" in batch else components)
    labels = _clusters(randomness.stream_key(key, "start"), points, mask, active, start, lloyd_iterations)
    shares = jax.nn.one_hot(labels, components, dtype=points.dtype) * mask[:, None]
  # One component after the other: the batch may be the whole set.
  one = lambda weights: kind.second_moments(weights[:, None], points)[0]
  second = jax.lax.map(one, shares.T) if kind.per_component else kind.second_moments(shares, points)
  whole = kind.maximum_likelihood(total[None], jnp.zeros_like(centre)[None], kind.second_moments(mask[:, None], points))
  covariance = jnp.broadcast_to(whole, second.shape)
  return Begun(Statistics(shares.sum(0), shares.T @ points, second, jnp.zeros_like(centre[0])), centre, covariance)


def _clusters(key, points, mask, active, start: str, lloyd_iterations: int) -> Int[Array, " batch"]:
  """The component of every point, by k-means."""
  if start == "random":
    seeds = points[jax.random.choice(key, len(points), active.shape, replace=False, p=mask / mask.sum())]
  else:
    seeds = kmeans.plus_plus(key, points, mask, len(active))
  return kmeans.lloyd(points, mask, seeds, active, lloyd_iterations)[1]


def moments(kind, responsibilities, points, log_likelihood) -> Statistics:
  """The statistics of centred points under responsibilities [batch, components] that the mask has weighted."""
  return Statistics(
    counts=responsibilities.sum(0),
    sums=responsibilities.T @ points,
    second_moments=kind.second_moments(responsibilities, points),
    log_likelihood=log_likelihood,
  )


def estimated(
  kind: covariances_lib.Covariances, statistics: Statistics, before: Float[Array, "components features"]
) -> tuple[Bool[Array, " components"], Float[Array, "components features"], Float[Array, "..."]]:
  """Which components have points, and the mean and covariance of the points (eq. 9.17 and 9.19).

  Args:
    kind: of the covariances.
    statistics: of a data set.
    before: where components without points stay; like the means, from the centre.
  """
  counts = statistics.counts
  alive = counts > 10 * jnp.finfo(counts.dtype).eps
  sizes = jnp.where(alive, counts, 1)
  means = jnp.where(alive[:, None], statistics.sums / sizes[:, None], before)
  # Of a covariance that is shared, components without points have no part.
  shares = sizes if kind.per_component else jnp.where(alive, counts, 0)
  return alive, means, kind.maximum_likelihood(shares, means, statistics.second_moments)


def flat(inputs: Inputs) -> Float[Array, "batch features"]:
  """Examples of any shape as vectors."""
  return inputs.reshape(len(inputs), -1)


def _log_joint(params: Mixture, points) -> Float[Array, "batch components"]:
  """log πₖ + log N(xₙ | μₖ, Σₖ) of centred points."""
  kind, features = covariances_lib.kind(params.covariance), points.shape[1]
  distances = kind.distances(points, params.means - params.centre, params.precision_cholesky)
  scale = kind.half_log_determinant(params.precision_cholesky, features)
  return jnp.log(params.weights) + scale - 0.5 * (features * math.log(2 * math.pi) + distances)


def from_covariances(weights, means, covariances, covariance: str = "full") -> Mixture:
  """The mixture of these parameters, to start from or to look at.

  Args:
    weights: [components], positive; normalised here.
    means: [components, features].
    covariances: in the shape of the kind: see `covariances`.
    covariance: the kind.

  Raises:
    UserError: weights that are not positive, or a covariance that is not positive definite.
  """
  weights, means = jnp.asarray(weights), jnp.asarray(means)
  factor = covariances_lib.kind(covariance).factorise(jnp.asarray(covariances))
  if not (weights > 0).all():
    raise UserError("weights", weights.tolist(), "give every component a weight above 0.")
  if not jnp.isfinite(factor).all():
    raise UserError("covariances", covariances, "give positive definite matrices, or variances above 0.")
  return Mixture(weights / weights.sum(), means, factor, weights @ means / weights.sum(), covariance)


def log_joint(params: Mixture, inputs: Inputs) -> Float[Array, "batch components"]:
  """log p(x, k), nats."""
  return _log_joint(params, flat(inputs) - params.centre)


def log_density(params: Mixture, inputs: Inputs) -> Float[Array, " batch"]:
  """log p(x), nats; its negative is an anomaly score."""
  return jax.nn.logsumexp(log_joint(params, inputs), axis=-1)


def responsibilities(params: Mixture, inputs: Inputs) -> Float[Array, "batch components"]:
  """p(k | x), eq. 9.13."""
  return jax.nn.softmax(log_joint(params, inputs), axis=-1)


def covariances(params: Mixture) -> Float[Array, "..."]:
  """Σₖ in the shape of their kind."""
  return covariances_lib.kind(params.covariance).expand(params.precision_cholesky)


def covariance_matrices(params: Mixture) -> Float[Array, "components features features"]:
  """Σₖ as matrices, whatever their kind."""
  covariance, (components, features) = covariances(params), params.means.shape
  if params.covariance in ("full", "tied"):
    return jnp.broadcast_to(covariance, (components, features, features))
  return covariance.reshape(components, -1)[:, :, None] * jnp.eye(features, dtype=covariance.dtype)


def sample(
  params: Mixture, key: Key[Array, ""], count: int
) -> tuple[Float[Array, "count features"], Int[Array, " count"]]:
  """Independent draws, and the component that each is from."""
  component = jax.random.categorical(randomness.stream_key(key, "component"), jnp.log(params.weights), shape=(count,))
  shape, dtype = (count, params.means.shape[1]), params.means.dtype
  noise = jax.random.normal(randomness.stream_key(key, "noise"), shape, dtype)
  coloured = covariances_lib.kind(params.covariance).colour(params.precision_cholesky, component, noise)
  return params.means[component] + coloured, component


def num_parameters(components: int, features: int, covariance: str) -> int:
  """Free parameters: of weights, means and covariances."""
  kind = covariances_lib.kind(covariance)
  return components - 1 + components * features + kind.num_parameters(components, features)


def bic(log_likelihood, parameters, examples):
  """Bayesian information criterion, -2 log L + p log N (Schwarz 1978); smaller is better.

  Args:
    log_likelihood: summed over the examples, nats.
    parameters: p, `num_parameters`.
    examples: N.
  """
  return -2 * log_likelihood + parameters * jnp.log(examples)


def aic(log_likelihood, parameters):
  """Akaike's information criterion, -2 log L + 2 p (Akaike 1974); smaller is better.  Arguments as `bic`."""
  return -2 * log_likelihood + 2 * parameters
