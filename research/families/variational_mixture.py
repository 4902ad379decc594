"""Mixtures of Gaussians by variational Bayes: a Dirichlet, or its process, of weights; normal-Wisharts of components.

Equations as in Bishop 2006, section 10.2 (after Attias 1999).  The posterior is factorised, q(Z) q(π) Πₖ q(μₖ, Λₖ), and
found by coordinate ascent on a lower bound of log p(X), which no update lowers.  Many components with a small
concentration α₀ are a way to choose their number: those that the data do not need lose their points and return to the
prior.

Statistics, start and covariances are those of `gaussian_mixture`.  With `diag`, each precision has a gamma distribution
of its own, a Wishart in one dimension; with `spherical`, each component has one for all features; with `tied`, all
components have one Wishart.  scikit-learn's `BayesianGaussianMixture` takes E[log|Λ|] of the Wishart in D dimensions
of diag and spherical too, and shares a tied one out by halves: neither is an expectation under its posterior, and its
bound may fall.  With `full`, or one feature, the two agree.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

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
    concentration: α₀, or γ of the process.
    mean_precision: β₀, what the prior mean is worth, in examples.
    mean: m₀.
    degrees_of_freedom: ν₀, what the prior covariance is worth, in examples.
    inverse_scale: W₀⁻¹, [features, features] if full or tied, [features] if diag, [] if spherical.
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
    concentration: αₖ; of the process [2, components], the beta distributions of the sticks.
    mean_precision: βₖ.
    means: mₖ.
    degrees_of_freedom: νₖ; of tied ν, [].
    precision_cholesky: the Cholesky factor of E[Λₖ] = νₖ Wₖ: see `covariances`.
    prior: what it began from.
    centre: as in `gaussian_mixture.Mixture`.
    covariance: the kind, see `covariances`.
    process: whether the weights are of a Dirichlet process.
  """

  concentration: Float[Array, "... components"]
  mean_precision: Float[Array, " components"]
  means: Float[Array, "components features"]
  degrees_of_freedom: Float[Array, "..."]
  precision_cholesky: Float[Array, "..."]
  prior: Prior
  centre: Float[Array, " features"]
  covariance: str = struct.field(pytree_node=False)
  process: bool = struct.field(pytree_node=False, default=False)


class _Weights(NamedTuple):
  """What the weights are believed to be.

  Attributes:
    posterior: `(concentration of the prior, counts) -> concentration`.
    counts: `(concentration, concentration of the prior) -> [components]`, those that it is of.
    expected_log: `(concentration) -> [components]`: E[log πₖ].
    mean: `(concentration) -> [components]`: E[πₖ], to a sum of 1.
    divergence: `(concentration, concentration of the prior) -> []`: KL(q(π) || p(π)).
  """

  posterior: Callable[..., Array]
  counts: Callable[..., Array]
  expected_log: Callable[..., Array]
  mean: Callable[..., Array]
  divergence: Callable[..., Array]


def _dirichlet_divergence(alpha, prior):
  return (
    gammaln(alpha.sum())
    - gammaln(alpha).sum()
    - gammaln(len(alpha) * prior)
    + len(alpha) * gammaln(prior)
    + ((alpha - prior) * (digamma(alpha) - digamma(alpha.sum()))).sum()
  )


def _sticks(prior, counts):
  """Beta distributions of the share that each component takes of what those before it have left (Blei & Jordan 2006,
  eq. 18 and 19)."""
  after = counts.sum() - jnp.cumsum(counts)
  return jnp.stack([1 + counts, prior + after])


def _sticks_logs(sticks):
  """E[log v] and E[log (1 - v)]."""
  return digamma(sticks) - digamma(sticks.sum(0))


def _sticks_expected_log(sticks):
  taken, left = _sticks_logs(sticks)
  return taken + jnp.cumsum(left) - left


def _sticks_mean(sticks):
  taken, left = sticks / sticks.sum(0)
  weights = taken * jnp.cumprod(left) / left
  return weights / weights.sum()


def _sticks_divergence(sticks, prior):
  log_beta = lambda a, b: gammaln(a) + gammaln(b) - gammaln(a + b)
  begun = jnp.stack([jnp.ones_like(sticks[0]), jnp.full_like(sticks[1], prior)])
  return (log_beta(*begun) - log_beta(*sticks) + ((sticks - begun) * _sticks_logs(sticks)).sum(0)).sum()


_DIRICHLET = _Weights(
  posterior=lambda prior, counts: prior + counts,
  counts=lambda alpha, prior: alpha - prior,
  expected_log=lambda alpha: digamma(alpha) - digamma(alpha.sum()),  # eq. 10.66
  mean=lambda alpha: alpha / alpha.sum(),
  divergence=_dirichlet_divergence,
)
_PROCESS = _Weights(
  posterior=_sticks,
  counts=lambda sticks, prior: sticks[0] - 1,
  expected_log=_sticks_expected_log,
  mean=_sticks_mean,
  divergence=_sticks_divergence,
)


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
  "spherical": _Wishart(  # a gamma distribution, of whose shape ν / 2 every feature is worth as much
    log_gamma=lambda freedom, features: gammaln(features * freedom / 2) - features * freedom / 2 * math.log(features),
    digamma=lambda freedom, features: features * (digamma(features * freedom / 2) - math.log(features)),
  ),
}
_WISHARTS["tied"] = _WISHARTS["full"]


def variational_mixture(
  components: int,
  *,
  covariance: str = "full",
  concentration: float = 1e-3,
  mean_precision: float = 1.0,
  degrees_of_freedom: float = 0.0,
  process: bool = False,
  mean: Any = None,
  inverse_scale: Any = None,
  reg_covar: float = 1e-6,
  start: str = "k-means++",
  lloyd_iterations: int = 100,
) -> Family:
  """The functions of a variational mixture.

  Args:
    components: K, at most.
    covariance: full, tied, diag or spherical.
    concentration: α₀ of the symmetric Dirichlet; far below 1 empties components.
    mean_precision: β₀.
    degrees_of_freedom: ν₀, more than the number of features less 1 (full, tied) or than 0; 0 is that of features.
    process: the weights are of a Dirichlet process of that concentration, by its first K sticks (Blei & Jordan 2006).
    mean: m₀, [features]; by default that of the first batch.
    inverse_scale: W₀⁻¹, in the shape of the kind without components; by default the covariance of the first batch plus
      `reg_covar`.
    reg_covar, start, lloyd_iterations: as in `gaussian_mixture`.

  Raises:
    UserError: an argument out of its range; from `init`, too few rows, or degrees of freedom, for the components.
  """
  mixture_lib.check(components, reg_covar, start, lloyd_iterations)
  for field, value in (("concentration", concentration), ("mean_precision", mean_precision)):
    if not 0 < value < math.inf:
      raise UserError(field, value, "give a number above 0.")
  kind = covariances_lib.kind(covariance)

  def init(key, batch):
    begun = mixture_lib.begin(key, batch, components, kind, start, lloyd_iterations)
    features, dtype = len(begun.centre), begun.centre.dtype
    freedom = degrees_of_freedom or features
    if freedom <= (features - 1 if covariance in ("full", "tied") else 0):
      raise UserError("degrees_of_freedom", freedom, f"give more than {features - 1}, the number of features less 1.")
    number = lambda value: jnp.asarray(value, dtype)
    scale = kind.regularise(begun.covariance, reg_covar)
    scale = scale[0] if kind.per_component else scale
    if inverse_scale is not None:
      scale = _of_shape("inverse_scale", number(inverse_scale), scale.shape)
    centre = begun.centre if mean is None else _of_shape("mean", number(mean), (features,))
    prior = Prior(number(concentration), number(mean_precision), centre, number(freedom), scale)
    begin = _of_prior(kind, prior, components, begun.centre, (covariance, process))
    return _maximise(kind, begin, begun.statistics)

  def expect(params, batch, key):
    del key
    points, mask = mixture_lib.flat(batch["inputs"]) - params.centre, batch["mask"]
    joint = _expected_log_joint(params, points)
    normaliser = jax.nn.logsumexp(joint, axis=-1)
    responsibilities = jnp.exp(joint - normaliser[:, None]) * mask[:, None]
    bound = Mean.of(normaliser - divergence(params) / occupied(params).sum(), mask)
    return mixture_lib.moments(kind, responsibilities, points, bound.total), {"lower_bound": bound}

  def evaluate(params, batch):
    return {"log_likelihood": Mean.of(log_density(params, batch["inputs"]), batch["mask"])}

  return Family(init, expect, functools.partial(_maximise, kind), evaluate)


def _of_shape(field: str, value, shape: tuple[int, ...]):
  if value.shape != shape:
    raise UserError(field, f"of shape {value.shape}", f"give one of {shape}.")
  return value


def _maximise(kind, params, statistics):
  """The posterior given responsibilities (Bishop 2006, eqs. 10.58 to 10.63)."""
  prior, counts, features = params.prior, statistics.counts, params.means.shape[1]
  _, centroids, scatter = mixture_lib.estimated(kind, statistics, params.means - params.centre)
  precision = prior.mean_precision + counts
  examples = counts if kind.per_component else counts.sum()  # that a covariance is of
  freedom = prior.degrees_of_freedom + examples
  difference = centroids - (prior.mean - params.centre)
  pulled = kind.second_moments(jnp.diag(prior.mean_precision * counts / precision), difference)
  if params.covariance == "spherical":
    pulled /= features
  wide = lambda values: values.reshape(*values.shape, *(1,) * (scatter.ndim - values.ndim))
  inverse_scale = prior.inverse_scale + wide(examples) * scatter + pulled
  factor = kind.factorise(inverse_scale / wide(freedom))
  return params.replace(
    concentration=_weights(params).posterior(prior.concentration, counts),
    mean_precision=precision,
    means=prior.mean + counts[:, None] / precision[:, None] * difference,
    degrees_of_freedom=freedom,
    precision_cholesky=kind.keep_defined(factor, params.precision_cholesky, jnp.ones_like(counts, bool)),
  )


def _weights(params: Posterior) -> _Weights:
  return _PROCESS if params.process else _DIRICHLET


def _of_prior(kind, prior: Prior, components: int, centre, static: tuple[str, bool]) -> Posterior:
  """The posterior of no data; `static` are its covariance and whether it is of a process."""
  covariance, process = static
  repeated = lambda value: jnp.broadcast_to(value, (components, *value.shape))
  shared = repeated if kind.per_component else lambda value: value
  return Posterior(
    concentration=(_PROCESS if process else _DIRICHLET).posterior(prior.concentration, jnp.zeros(components)),
    mean_precision=repeated(prior.mean_precision),
    means=repeated(prior.mean),
    degrees_of_freedom=shared(prior.degrees_of_freedom),
    precision_cholesky=kind.factorise(shared(prior.inverse_scale / prior.degrees_of_freedom)),
    prior=prior,
    centre=centre,
    covariance=covariance,
    process=process,
  )


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
  return _weights(params).expected_log(params.concentration) + 0.5 * (log_precision - quadratic)  # eq. 10.65


def divergence(params: Posterior) -> Float[Array, ""]:
  """KL(q(π, μ, Λ) || p(π, μ, Λ)), nats: what the lower bound (eq. 10.70) subtracts from Σₙ log Σₖ ρₙₖ."""
  prior, features = params.prior, params.means.shape[1]
  beta, freedom = params.mean_precision, params.degrees_of_freedom
  kind, wishart = covariances_lib.kind(params.covariance), _WISHARTS[params.covariance]
  of_weights = _weights(params).divergence(params.concentration, prior.concentration)
  # Distances of m₀ from the components, by symmetry those of the components from it.
  distances = kind.distances(
    (prior.mean - params.centre)[None], params.means - params.centre, params.precision_cholesky
  )
  ratio = prior.mean_precision / beta
  of_means = 0.5 * (features * (ratio - 1 - jnp.log(ratio)) + prior.mean_precision * distances[0])
  log_prior_scale = 2 * kind.half_log_determinant(kind.factorise(prior.inverse_scale), features)
  of_precisions = (
    0.5 * prior.degrees_of_freedom * (log_prior_scale - _log_scale(params))
    + 0.5 * (_trace(prior.inverse_scale, params.precision_cholesky, features) - freedom * features)
    + wishart.log_gamma(prior.degrees_of_freedom, features)
    - wishart.log_gamma(freedom, features)
    + 0.5 * (freedom - prior.degrees_of_freedom) * wishart.digamma(freedom, features)
  )
  return of_weights + of_means.sum() + of_precisions.sum()


def _trace(inverse_scale, factor, features: int):
  """Tr(W₀⁻¹ νₖ Wₖ)."""
  if inverse_scale.ndim == 2:
    return jnp.einsum("de,...df,...ef->...", inverse_scale, factor, factor)
  if inverse_scale.ndim == 1:
    return jnp.square(factor) @ inverse_scale
  return features * inverse_scale * jnp.square(factor)


def log_joint(params: Posterior, inputs: Inputs) -> Float[Array, "batch components"]:
  """log of E[πₖ] times component k's predictive density, nats: a Student's t (eq. 10.81), of diag one a feature."""
  points, means, features = (
    mixture_lib.flat(inputs) - params.centre,
    params.means - params.centre,
    params.means.shape[1],
  )
  shrink = params.mean_precision / (1 + params.mean_precision)
  log_weights = jnp.log(_weights(params).mean(params.concentration))
  if params.covariance == "diag":
    distances = jnp.square((points[:, None] - means) * params.precision_cholesky)
    each = _student(params.degrees_of_freedom[:, None], 1, shrink[:, None], distances)
    return log_weights + (each + jnp.log(params.precision_cholesky)).sum(-1)
  kind = covariances_lib.kind(params.covariance)
  if params.covariance == "spherical":
    freedom, inflation = features * params.degrees_of_freedom, shrink
  else:
    freedom = params.degrees_of_freedom + 1 - features
    inflation = shrink * freedom / params.degrees_of_freedom  # of E[Λ], to be the precision of eq. 10.82
  half = kind.half_log_determinant(params.precision_cholesky, features)
  distances = kind.distances(points, means, params.precision_cholesky)
  return log_weights + half + _student(freedom, features, inflation, distances)


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
  weights = _weights(params).mean(params.concentration)
  return Mixture(weights, params.means, params.precision_cholesky, params.centre, params.covariance)


def occupied(params: Posterior) -> Float[Array, " components"]:
  """Expected number of training examples that each component has, Nₖ."""
  return _weights(params).counts(params.concentration, params.prior.concentration)
