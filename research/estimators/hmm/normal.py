"""Features normal in every state, or a mixture of Gaussians."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import special
from sklearn.cluster import KMeans

from research.errors import UserError
from research.estimators import base
from research.estimators.hmm.base import HMM
from research.estimators.hmm.parameter import Parameter, logits
from research.families.hmm import emissions

Path = tuple[str, ...]


class _Normal(HMM):
  """What models of normal features have in common."""

  covariance_type: str
  min_covar: float
  means_prior: Any
  means_weight: float
  covars_prior: Any
  covars_weight: float

  @property
  def _lead(self) -> tuple[int, ...]:
    """Axes of the Gaussians: the state, and the component where there are several."""
    return (self.n_components,)

  @property
  def _count(self) -> int:
    return int(np.prod(self._lead))

  @property
  def _is_full(self) -> bool:
    return self.covariance_type in ("tied", "full")

  def _check(self, X) -> None:
    super()._check(X)
    base.check_choice("covariance_type", self.covariance_type, emissions.COVARIANCES)
    for field in ("min_covar", "means_weight", "covars_weight"):
      base.check_number(field, getattr(self, field), 0)
    if not self._is_full:
      base.hashable("covars_prior", self.covars_prior, least=0)

  def _covars_shape(self, features: int) -> tuple[int, ...]:
    """Of what `covars_` is set to, as hmmlearn has it."""
    if self.covariance_type not in emissions.COVARIANCES:
      remedy = f"choose one of {', '.join(emissions.COVARIANCES)}."
      raise UserError("covariance_type", self.covariance_type, remedy)
    own = {"spherical": (), "diag": (features,), "tied": (features, features), "full": (features, features)}
    return (*(self._lead[:-1] if self.covariance_type == "tied" else self._lead), *own[self.covariance_type])

  def _write_means(self, name: str, value):
    means = base.shaped(name, value, (*self._lead, None))
    self.n_features_in_ = means.shape[-1]
    return means.reshape(self._count, -1)

  def _write_covars(self, name: str, value):
    """As the family keeps them: logarithms of standard deviations, or Cholesky factors."""
    features = getattr(self, "n_features_in_", None) or (1, *np.shape(value))[-1]
    shape = self._covars_shape(features)
    if self.covariance_type == "spherical" and np.size(value) == self._count:
      value = np.reshape(value, shape)
    covars = base.shaped(name, value, shape)
    remedy = "give positive definite covariances."
    if not self._is_full:
      if (covars <= 0).any():
        raise UserError(name, covars.tolist(), remedy)
      return 0.5 * np.log(np.broadcast_to(covars.reshape(self._count, -1), (self._count, features)))
    covars = covars.reshape(-1, features, features).repeat(self._group, 0)
    with base.float64():
      scale = np.asarray(emissions.scale_of(jnp.asarray(covars)))
    if not np.allclose(covars, covars.mT) or not np.isfinite(scale).all():
      raise UserError(name, covars.tolist(), remedy)
    return scale

  @property
  def _group(self) -> int:
    """Gaussians that share a covariance."""
    return self._lead[-1] if self.covariance_type == "tied" else 1

  def _covariances(self, scale):
    """[Gaussian, feature, feature]."""
    if not self._is_full:
      return np.exp(2 * scale)[..., None] * np.eye(scale.shape[1])
    with base.float64():
      factor = np.asarray(emissions.cholesky_of(jnp.asarray(scale)))
    return factor @ factor.mT

  def _gaussian(self) -> dict[str, Any]:
    # As hmmlearn has it: one of `covars_weight` deviations, of a matrix as many as its rows, are its prior's own.
    features = self.n_features_in_
    own, groups = features if self._is_full else 1, self._count // self._group
    squares = (groups, features, features) if self._is_full else (self._count, features)
    deviations = self.covars_prior
    if self.covariance_type == "spherical" and np.shape(deviations) == (self._count,):
      deviations = np.reshape(deviations, (-1, 1))  # one a state
    prior = emissions.GaussianPrior(
      mean=base.hashable("means_prior", self.means_prior, (self._count, features)),
      mean_weight=self.means_weight,
      squares=base.hashable("covars_prior", deviations, squares),
      weight=max(self.covars_weight - own, 0),
      floor=self.min_covar,
    )
    self._covars_shape(self.n_features_in_)
    return {
      "num_features": features,
      "covariance": self.covariance_type,
      "prior": prior,
      "tied": self._lead[-1],
    }

  def _clustered(self, inputs, count: int) -> KMeans:
    return KMeans(count, n_init=1, random_state=self.random_state).fit(inputs)

  def _covariance_of_all(self, inputs):
    """That of all rows, as `covars_` may be set to."""
    covariance = np.atleast_2d(np.cov(inputs.T, bias=True)) + max(self.min_covar, 1e-6) * np.eye(inputs.shape[1])
    shape = self._covars_shape(inputs.shape[1])
    own = {"spherical": np.diag(covariance).mean(), "diag": np.diag(covariance)}.get(self.covariance_type, covariance)
    return np.broadcast_to(own, shape)

  def _free(self):
    features, gaussians = self.n_features_in_, self._count
    triangle = features * (features + 1) // 2
    each = {"spherical": 1, "diag": features, "tied": triangle, "full": triangle}[self.covariance_type]
    return {"m": gaussians * features, "c": gaussians // self._group * each}


class GaussianHMM(_Normal):
  """Features normal, with a mean and a covariance in each state.

  Args:
    n_components: states.
    covariance_type: 'spherical', 'diag', 'tied' or 'full'.
    min_covar: smallest variance ('tied', 'full': added to every variance).
    startprob_prior, transmat_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    means_prior, means_weight: what means are believed to be, and how many observations that belief is worth.
    covars_prior, covars_weight: sum of squares (or a matrix of them), and number plus 1 (of matrices: plus the number
      of features), of further deviations that are believed to have been observed.  hmmlearn's defaults are 0.01 and
      1; these are flat.
    startprob_init, transmat_init, means_init, covars_init: parameters to start from (covariances by type: [state],
      [state, feature], [feature, feature], [state, feature, feature]); by default distributions drawn at random,
      centres of k-means, and the covariance of X.
    algorithm: of `decode` and `predict`: 'viterbi' or 'map'.
    n_iter: iterations at most; 0 starts alone.
    tol: least gain of the log-likelihood, nats, for another iteration; -inf does not stop.
    verbose: whether the log-likelihoods are told after the fit.
    params, init_params: letters of the parameters that are learnt, and that are begun anew even where they are known: s
      startprob, t transmat, m means, c covars.
    implementation: hmmlearn's, 'log' or 'scaling'; what is computed here is the same for both.
    random_state: scikit-learn's.

  Attributes:
    means_: [state, feature].
    covars_: [state, feature, feature]; it is set in the shapes of `covars_init`, after `means_`.
  """

  means_ = Parameter(
    "m",
    ("emission", "mean"),
    lambda model, name, value: model._write_means(name, value),
    lambda model, stored: stored,
  )
  covars_ = Parameter(
    "c",
    ("emission", "scale"),
    lambda model, name, value: model._write_covars(name, value),
    lambda model, stored: model._covariances(stored),
  )

  def __init__(
    self,
    n_components=1,
    covariance_type="diag",
    *,
    min_covar=1e-6,
    startprob_prior=1.0,
    transmat_prior=1.0,
    means_prior=0.0,
    means_weight=0.0,
    covars_prior=0.0,
    covars_weight=1.0,
    startprob_init=None,
    transmat_init=None,
    means_init=None,
    covars_init=None,
    algorithm="viterbi",
    n_iter=100,
    tol=1e-2,
    verbose=False,
    params="stmc",
    init_params="stmc",
    implementation="log",
    random_state=None,
  ):
    self.n_components = n_components
    self.covariance_type = covariance_type
    self.min_covar = min_covar
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.means_prior = means_prior
    self.means_weight = means_weight
    self.covars_prior = covars_prior
    self.covars_weight = covars_weight
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.means_init = means_init
    self.covars_init = covars_init
    self.algorithm = algorithm
    self.n_iter = n_iter
    self.tol = tol
    self.verbose = verbose
    self.params = params
    self.init_params = init_params
    self.implementation = implementation
    self.random_state = random_state

  def _emission(self):
    return emissions.gaussian, {"num_states": self.n_components, **self._gaussian()}

  def _estimated(self, inputs, start) -> dict[Path, np.ndarray]:
    estimated = {}
    if ("emission", "mean") not in start:
      estimated["emission", "mean"] = self._clustered(inputs, self.n_components).cluster_centers_
    if ("emission", "scale") not in start:
      estimated["emission", "scale"] = self._write_covars("covars", self._covariance_of_all(inputs))
    return estimated


class GMMHMM(_Normal):
  """Features of a mixture of Gaussians in each state.

  Args:
    n_mix: components of a state.
    weights_prior: concentration of the Dirichlet prior on a state's weights.
    covariance_type: as of `GaussianHMM`; 'tied' is one for the components of a state.
    params, init_params: letters s, t, m, c, and w of the weights.
    n_components, min_covar, startprob_prior, transmat_prior, means_prior, means_weight, covars_prior, covars_weight,
      startprob_init, transmat_init, algorithm, n_iter, tol, verbose, implementation, random_state: as `GaussianHMM`.

  Attributes:
    weights_: [state, component].
    means_: [state, component, feature].
    covars_: by type [state, component], [state, component, feature], [state, feature, feature] or [state, component,
      feature, feature].
  """

  weights_ = Parameter(
    "w",
    ("emission", "weights"),
    lambda model, name, value: logits(name, value, model._lead),
    lambda model, stored: special.softmax(stored, -1),
  )
  means_ = Parameter(
    "m",
    ("emission", "components", "mean"),
    lambda model, name, value: model._write_means(name, value),
    lambda model, stored: stored.reshape(*model._lead, -1),
  )
  covars_ = Parameter(
    "c",
    ("emission", "components", "scale"),
    lambda model, name, value: model._write_covars(name, value),
    lambda model, stored: model._read_covars(stored),
  )

  def __init__(
    self,
    n_components=1,
    n_mix=1,
    *,
    covariance_type="diag",
    min_covar=1e-6,
    startprob_prior=1.0,
    transmat_prior=1.0,
    weights_prior=1.0,
    means_prior=0.0,
    means_weight=0.0,
    covars_prior=0.0,
    covars_weight=1.0,
    startprob_init=None,
    transmat_init=None,
    algorithm="viterbi",
    n_iter=100,
    tol=1e-2,
    verbose=False,
    params="stmcw",
    init_params="stmcw",
    implementation="log",
    random_state=None,
  ):
    self.n_components = n_components
    self.n_mix = n_mix
    self.covariance_type = covariance_type
    self.min_covar = min_covar
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.weights_prior = weights_prior
    self.means_prior = means_prior
    self.means_weight = means_weight
    self.covars_prior = covars_prior
    self.covars_weight = covars_weight
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.algorithm = algorithm
    self.n_iter = n_iter
    self.tol = tol
    self.verbose = verbose
    self.params = params
    self.init_params = init_params
    self.implementation = implementation
    self.random_state = random_state

  @property
  def _lead(self):
    return (self.n_components, self.n_mix)

  def _check(self, X) -> None:
    base.check_number("n_mix", self.n_mix, 1, whole=True)
    super()._check(X)

  def _emission(self):
    concentration = base.hashable("weights_prior", self.weights_prior, self._lead, least=1)
    mixture = {"num_states": self.n_components, "num_components": self.n_mix, "concentration": concentration}
    return _mixture, mixture | self._gaussian()

  def _estimated(self, inputs, start) -> dict[Path, np.ndarray]:
    if len(inputs) < self._count:
      raise UserError("n_mix", self.n_mix, f"n_samples = {len(inputs)}: give one row for each component at least.")
    path, estimated = ("emission", "components"), {}
    if (*path, "mean") not in start:
      states, means = self._clustered(inputs, self.n_components).labels_, []
      for state in range(self.n_components):
        own = inputs[states == state]
        means.append(self._clustered(own if len(own) >= self.n_mix else inputs, self.n_mix).cluster_centers_)
      estimated[*path, "mean"] = np.concatenate(means)
    if (*path, "scale") not in start:
      estimated[*path, "scale"] = self._write_covars("covars", self._covariance_of_all(inputs))
    return estimated

  def _read_covars(self, scale):
    covariances = self._covariances(scale)
    if self.covariance_type == "tied":
      return covariances[:: self.n_mix]
    covariances = covariances.reshape(*self._lead, *covariances.shape[1:])
    if self.covariance_type == "full":
      return covariances
    variances = np.diagonal(covariances, axis1=-2, axis2=-1).copy()
    return variances[..., 0] if self.covariance_type == "spherical" else variances

  def _free(self):
    return super()._free() | {"w": self.n_components * (self.n_mix - 1)}


def _mixture(num_states, num_components, concentration, **gaussian):
  components = emissions.gaussian(num_states * num_components, **gaussian)
  return emissions.mixture(num_states, num_components, components, concentration=concentration)
