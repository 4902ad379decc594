"""Mixtures of Gaussians by variational Bayes: a Dirichlet over the weights, a normal-Wishart over each component.

Equations as in Bishop 2006, section 10.2 (after Attias 1999).  The posterior is factorised, q(Z) q(π) Πₖ q(μₖ, Λₖ), and
found by coordinate ascent on a lower bound of log p(X), which no update lowers.  Many components with a small
concentration α₀ are a way to choose their number: those that the data do not need lose their points and return to the
prior.

Statistics, start and covariances are those of `gaussian_mixture`.  With `diag`, each precision has a gamma distribution
of its own, a Wishart in one dimension.  scikit-learn's `BayesianGaussianMixture` takes E[log|Λ|] of the Wishart in D
dimensions there too, which is not the expectation under its posterior: with `full`, or one feature, the two agree.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import digamma, gammaln, multigammaln
from jaxtyping import Array, Float

from research.errors import UserError
from research.families import covariances as covariances_lib
from research.families import gaussian_mixture as mixture_lib
from research.families.gaussian_mixture import Family, Inputs, Mixture
from research.metrics import Mean

DEFINITIONS = {"log_likelihood": "mean log density of an example under the posterior predictive, nats"}


@struct.dataclass
class Prior:
  """The prior, alike for all components (eq. 10.39 and 10.40).

  Attributes:
    concentration: α₀.
    mean_precision: β₀, what the prior mean is worth, in examples.
    mean: m₀.
    degrees_of_freedom: ν₀, what the prior covariance is worth, in examples.
    inverse_scale: W₀⁻¹, [features, features] if full, [features] if diag.
  """

  concentration: Float[Array, ""]
  mean_precision: Float[Array, ""]
  mean: Float[Array, " features"]
  degrees_of_freedom: Float[Array, ""]
  inverse_scale: Float[Array, "..."]


@struct.dataclass
class Posterior:
  """The posterior (eq. 10.57 and 10.59), and the prior that it is of.

  Attributes:
    concentration: αₖ.
    mean_precision: βₖ.
    means: mₖ.
    degrees_of_freedom: νₖ.
    precision_cholesky: the Cholesky factor of E[Λₖ] = νₖ Wₖ: see `covariances`.
    prior: what it began from.
    centre: as in `gaussian_mixture.Mixture`.
    covariance: the kind, full or diag.
  """

  concentration: Float[Array, " components"]
  mean_precision: Float[Array, " components"]
  means: Float[Array, "components features"]
  degrees_of_freedom: Float[Array, " components"]
  precision_cholesky: Float[Array, "..."]
  prior: Prior
  centre: Float[Array, " features"]
  covariance: str = struct.field(pytree_node=False)


class _Wishart(NamedTuple):
  """Of W(W, ν) in D dimensions, or of D gammas: log of the multivariate Γ(ν/2), and its derivative, by (ν, D)."""

  log_gamma: Callable[[Array, int], Array]
  digamma: Callable[[Array, int], Array]


_WISHARTS = {
  "full": _Wishart(
    log_gamma=lambda freedom, features: multigammaln(freedom / 2, features),
    digamma=lambda freedom, features: digamma((freedom[..., None] - jnp.arange(features)) / 2).sum(-1),
  ),
  "diag": _Wishart(
    log_gamma=lambda freedom, features: features * gammaln(freedom / 2),
    digamma=lambda freedom, features: features * digamma(freedom / 2),
  ),
}


def variational_mixture(
  components: int,
  *,
  covariance: str = "full",
  concentration: float = 1e-3,
  mean_precision: float = 1.0,
  degrees_of_freedom: float = 0.0,
  reg_covar: float = 1e-6,
  start: str = "k-means++",
  lloyd_iterations: int = 100,
) -> Family:
  """The functions of a variational mixture.

  The prior mean is that of the first batch, and the prior covariance W₀⁻¹ that of the first batch plus `reg_covar`.

  Args:
    components: K, at most.
    covariance: full or diag.
    concentration: α₀ of the symmetric Dirichlet; far below 1 empties components.
    mean_precision: β₀.
    degrees_of_freedom: ν₀, more than the number of features less 1 (full) or than 0 (diag); 0 is that of features.
    reg_covar, start, lloyd_iterations: as in `gaussian_mixture`.

  Raises:
    UserError: an argument out of its range; from `init`, too few rows, or degrees of freedom, for the components.
  """
  mixture_lib.check(components, reg_covar, start, lloyd_iterations)
  if covariance not in _WISHARTS:
    raise UserError("covariance", covariance, f"the variational mixture has {' and '.join(_WISHARTS)}.")
  for field, value in (("concentration", concentration), ("mean_precision", mean_precision)):
    if not 0 < value < math.inf:
      raise UserError(field, value, "give a number above 0.")
  kind = covariances_lib.kind(covariance)

  def init(key, batch):
    begun = mixture_lib.begin(key, batch, components, kind, start, lloyd_iterations)
    features, dtype = len(begun.centre), begun.centre.dtype
    freedom = degrees_of_freedom or features
    if freedom <= (features - 1 if covariance == "full" else 0):
      raise UserError("degrees_of_freedom", freedom, f"give more than {features - 1}, the number of features less 1.")
    scale = kind.regularise(begun.covariance, reg_covar)[0]
    number = lambda value: jnp.asarray(value, dtype)
    prior = Prior(number(concentration), number(mean_precision), begun.centre, number(freedom), scale)
    return _maximise(kind, _of_prior(kind, prior, components, begun.centre, covariance), begun.statistics)

  def expect(params, batch, key):
    del key
    points, mask = mixture_lib.flat(batch["inputs"]) - params.centre, batch["mask"]
    joint = _expected_log_joint(params, points)
    normaliser = jax.nn.logsumexp(joint, axis=-1)
    responsibilities = jnp.exp(joint - normaliser[:, None]) * mask[:, None]
    examples = params.concentration.sum() - len(params.concentration) * params.prior.concentration
    bound = Mean.of(normaliser - divergence(params) / examples, mask)
    return mixture_lib.moments(kind, responsibilities, points, bound.total), {"lower_bound": bound}

  def evaluate(params, batch):
    return {"log_likelihood": Mean.of(log_density(params, batch["inputs"]), batch["mask"])}

  return Family(init, expect, functools.partial(_maximise, kind), evaluate)


def _maximise(kind, params, statistics):
  """The posterior given responsibilities (Bishop 2006, eqs. 10.58 to 10.63)."""
  prior, counts = params.prior, statistics.counts
  _, sizes, centroids = mixture_lib.centroids(statistics, params.means - params.centre)
  scatter = kind.maximum_likelihood(sizes, centroids, statistics.second_moments)
  precision, freedom = prior.mean_precision + counts, prior.degrees_of_freedom + counts
  difference = centroids - (prior.mean - params.centre)
  pulled = kind.second_moments(jnp.diag(prior.mean_precision * counts / precision), difference)
  wide = lambda values: values.reshape(-1, *(1 for _ in scatter.shape[1:]))
  inverse_scale = prior.inverse_scale + wide(counts) * scatter + pulled
  factor = kind.factorise(inverse_scale / wide(freedom))
  return params.replace(
    concentration=prior.concentration + counts,
    mean_precision=precision,
    means=prior.mean + counts[:, None] / precision[:, None] * difference,
    degrees_of_freedom=freedom,
    precision_cholesky=kind.keep_defined(factor, params.precision_cholesky, jnp.ones_like(counts, bool)),
  )


def _of_prior(kind, prior: Prior, components: int, centre, covariance: str) -> Posterior:
  """The posterior of no data."""
  repeated = lambda value: jnp.broadcast_to(value, (components, *value.shape))
  return Posterior(
    concentration=repeated(prior.concentration),
    mean_precision=repeated(prior.mean_precision),
    means=repeated(prior.mean),
    degrees_of_freedom=repeated(prior.degrees_of_freedom),
    precision_cholesky=kind.factorise(repeated(prior.inverse_scale / prior.degrees_of_freedom)),
    prior=prior,
    centre=centre,
    covariance=covariance,
  )


def _expected_log_weights(params: Posterior):
  """E[log πₖ], eq. 10.66."""
  return digamma(params.concentration) - digamma(params.concentration.sum())


def _log_scale(params: Posterior):
  """log|Wₖ|."""
  features = params.means.shape[1]
  half = covariances_lib.kind(params.covariance).half_log_determinant(params.precision_cholesky, features)
  return 2 * half - features * jnp.log(params.degrees_of_freedom)


def _expected_log_joint(params: Posterior, points) -> Float[Array, "batch components"]:
  """log ρₙₖ of centred points, eq. 10.46."""
  features = points.shape[1]
  kind, wishart = covariances_lib.kind(params.covariance), _WISHARTS[params.covariance]
  log_precision = wishart.digamma(params.degrees_of_freedom, features) + features * math.log(2) + _log_scale(params)
  distances = kind.distances(points, params.means - params.centre, params.precision_cholesky)
  quadratic = features * math.log(2 * math.pi) + features / params.mean_precision + distances  # eq. 10.64
  return _expected_log_weights(params) + 0.5 * (log_precision - quadratic)  # eq. 10.65


def divergence(params: Posterior) -> Float[Array, ""]:
  """KL(q(π, μ, Λ) || p(π, μ, Λ)), nats: what the lower bound (eq. 10.70) subtracts from Σₙ log Σₖ ρₙₖ."""
  prior, features = params.prior, params.means.shape[1]
  alpha, beta, freedom = params.concentration, params.mean_precision, params.degrees_of_freedom
  kind, wishart = covariances_lib.kind(params.covariance), _WISHARTS[params.covariance]
  of_weights = (
    gammaln(alpha.sum())
    - gammaln(alpha).sum()
    - gammaln(len(alpha) * prior.concentration)
    + len(alpha) * gammaln(prior.concentration)
    + ((alpha - prior.concentration) * _expected_log_weights(params)).sum()
  )
  # Distances of m₀ from the components, by symmetry those of the components from it.
  distances = kind.distances(
    (prior.mean - params.centre)[None], params.means - params.centre, params.precision_cholesky
  )
  ratio = prior.mean_precision / beta
  of_means = 0.5 * (features * (ratio - 1 - jnp.log(ratio)) + prior.mean_precision * distances[0])
  log_prior_scale = 2 * kind.half_log_determinant(kind.factorise(prior.inverse_scale), features)
  of_precisions = (
    0.5 * prior.degrees_of_freedom * (log_prior_scale - _log_scale(params))
    + 0.5 * (_trace(prior.inverse_scale, params.precision_cholesky) - freedom * features)
    + wishart.log_gamma(prior.degrees_of_freedom, features)
    - wishart.log_gamma(freedom, features)
    + 0.5 * (freedom - prior.degrees_of_freedom) * wishart.digamma(freedom, features)
  )
  return of_weights + (of_means + of_precisions).sum()


def _trace(inverse_scale, factor):
  """Tr(W₀⁻¹ νₖ Wₖ)."""
  if inverse_scale.ndim == 2:
    return jnp.einsum("de,kdf,kef->k", inverse_scale, factor, factor)
  return jnp.square(factor) @ inverse_scale


def log_joint(params: Posterior, inputs: Inputs) -> Float[Array, "batch components"]:
  """log of αₖ / Σα times component k's predictive density, nats: a Student's t (eq. 10.81), or one for each feature."""
  points, features = mixture_lib.flat(inputs) - params.centre, params.means.shape[1]
  shrink = params.mean_precision / (1 + params.mean_precision)
  log_weights = jnp.log(params.concentration / params.concentration.sum())
  if params.covariance == "full":
    freedom, dimension = params.degrees_of_freedom + 1 - features, features
    inflation = shrink * freedom / params.degrees_of_freedom  # of E[Λ], to be the precision of eq. 10.82
    distances = covariances_lib.FULL.distances(points, params.means - params.centre, params.precision_cholesky)
    half = covariances_lib.FULL.half_log_determinant(params.precision_cholesky, features)
    return log_weights + half + _student(freedom, dimension, inflation, distances)
  distances = jnp.square((points[:, None] - (params.means - params.centre)) * params.precision_cholesky)
  each = _student(params.degrees_of_freedom[:, None], 1, shrink[:, None], distances)
  return log_weights + (each + jnp.log(params.precision_cholesky)).sum(-1)


def _student(freedom, dimension: int, inflation, distances):
  """log density of Student's t in `dimension` dimensions, less ½ log of the determinant that `distances` are by."""
  normaliser = gammaln((freedom + dimension) / 2) - gammaln(freedom / 2)
  spread = 0.5 * dimension * (jnp.log(inflation) - jnp.log(freedom * math.pi))
  return normaliser + spread - 0.5 * (freedom + dimension) * jnp.log1p(inflation * distances / freedom)


def log_density(params: Posterior, inputs: Inputs) -> Float[Array, " batch"]:
  """log of the predictive density p(x | X), nats."""
  return jax.nn.logsumexp(log_joint(params, inputs), axis=-1)


def plug_in(params: Posterior) -> Mixture:
  """The mixture with the posterior's mean weights and means, and the inverses of its mean precisions."""
  weights = params.concentration / params.concentration.sum()
  return Mixture(weights, params.means, params.precision_cholesky, params.centre, params.covariance)


def occupied(params: Posterior) -> Float[Array, " components"]:
  """Expected number of training examples that each component has: Nₖ = αₖ - α₀."""
  return params.concentration - params.prior.concentration
