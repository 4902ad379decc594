"""Mixtures of Gaussians with scikit-learn's interface: its names, parameters, starts and criteria, in float64.

  GaussianMixture(3, n_init=10).fit(X).predict_proba(X)

All starts are fitted side by side.  Rows are filled up to a few sizes, so that a fit of equal hyper-parameters and
features, and about as many rows, compiles nothing; predictions go through programs of four sizes.
"""

import abc
import dataclasses
import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from research.errors import UserError
from research.estimators import base
from research.families import covariances as covariances_lib
from research.families import gaussian_mixture as family_lib
from research.families import variational_mixture as variational_lib
from research.training import statistics
from research.training.learner import Learner

# Rows of an E-step, or of a prediction, that go through at once: their temporaries fit into a processor's cache.
BLOCK = 512
_STARTS = {"kmeans": "k-means++"}  # which k-means follows in either case
SMALL = 64  # the least number of rows that data are filled up to


class _Program(NamedTuple):
  """A family with its compiled functions, shared by all estimators of equal hyper-parameters."""

  family: family_lib.Family
  log_joint: Callable
  mixture: Callable[[Any], family_lib.Mixture]
  metric: str


@functools.lru_cache(maxsize=64)
def _program(variational: bool, components: int, options: tuple) -> _Program:
  if variational:
    family = variational_lib.variational_mixture(components, **dict(options))
    return _Program(family, jax.jit(variational_lib.log_joint), variational_lib.plug_in, "lower_bound")
  family = family_lib.gaussian_mixture(components, **dict(options))
  return _Program(family, jax.jit(family_lib.log_joint), lambda params: params, "log_likelihood")


@functools.lru_cache(maxsize=64)
def _learner(program: _Program, blocks: int) -> Learner:
  """A batch's `start` holds parameters that take the place of those that k-means finds."""
  learner = statistics.statistics_learner(**program.family._asdict(), accumulate=blocks)
  rows = lambda batch: {"inputs": batch["inputs"], "mask": batch["mask"]}

  def init(key, batch):
    state: Any = learner.init(key, rows(batch))
    return state.replace(params=state.params.replace(**batch["start"]))

  return learner._replace(init=init, update=lambda state, batch: learner.update(state, rows(batch)))


class _Mixture(DensityMixin, BaseEstimator, metaclass=abc.ABCMeta):
  """What the mixtures have in common; see their classes."""

  n_components: int
  covariance_type: str
  tol: float
  max_iter: int
  n_init: int
  reg_covar: float
  init_params: str
  warm_start: bool
  verbose: int
  random_state: Any
  n_features_in_: int

  @abc.abstractmethod
  def _program(self) -> _Program:
    """The model, compiled once for equal hyper-parameters."""

  def _start(self, X) -> dict[str, Any]:
    """Parameters that the caller has given to start from."""
    del X
    return {}

  def fit(self, X, y=None):
    """Fits `n_init` times and keeps the fit of highest likelihood, or bound.

    Raises:
      UserError: fewer rows than components, or a hyper-parameter out of its range.
    """
    del y
    with base.unchanged_where_it_fails(self):
      self._fit(validate_data(self, X, dtype=np.float64, ensure_min_samples=2))
    return self

  def _fit(self, X) -> None:
    for field, least in (("n_init", 1), ("max_iter", 1), ("tol", 0)):
      if getattr(self, field) < least:
        raise UserError(field, getattr(self, field), f"give {least} or more.")
    if not self.reg_covar and (same := np.ptp(X, axis=0) == 0).any():
      remedy = (
        f"feature {same.argmax()} is the same in every row, and its variance 0: raise reg_covar, or leave it out."
      )
      raise UserError("reg_covar", self.reg_covar, remedy)
    if len(X) < self.n_components:
      raise UserError("n_components", self.n_components, f"n_samples = {len(X)}: give one row for each at least.")
    with base.float64():
      state, trace = self._fitted(X)
    last = trace[np.isfinite(trace)]
    if state.skipped or not len(last):
      raise UserError("X", float(np.abs(X).max()), "squares of the features overflow: scale them down.")
    self._state, self.n_iter_, self.lower_bound_ = state, int(state.step), float(last[-1])
    if self.verbose:
      print(*(f"Iteration {i}: {value:.6g} nats" for i, value in enumerate(last)), sep="\n")
      print(f"Initialization converged: {len(last) < self.max_iter}")
    self.converged_ = self.n_iter_ < self.max_iter or (len(last) > 1 and last[-1] - last[-2] < self.tol)
    if not self.converged_:
      message = f"no convergence in {self.max_iter} iterations: raise max_iter or tol, or look for degenerate data."
      warnings.warn(message, ConvergenceWarning, stacklevel=3)

  def _fitted(self, X):
    """The state of the best start, and its trace."""
    rows = _size(len(X))
    batch = {"inputs": _padded(X, rows), "mask": (np.arange(rows) < len(X)).astype(np.float64), "start": self._start(X)}
    program, starts = self._program(), self.n_init
    if self.warm_start and hasattr(self, "_state"):
      fields = [
        field.name for field in dataclasses.fields(self._state.params) if field.metadata.get("pytree_node", True)
      ]
      batch["start"], starts = {name: getattr(self._state.params, name) for name in fields}, 1
    fit = functools.partial(
      base.fit,
      _learner(program, -(-rows // BLOCK)),
      batch,
      max_iterations=self.max_iter,
      tolerance=self.tol or -np.inf,
      metric=program.metric,
    )
    key = base.key_of(self.random_state)
    if starts == 1:
      return jax.device_get(fit(key=key))
    states, traces = jax.device_get(jax.vmap(lambda key: fit(key=key))(jax.random.split(key, starts)))
    best = np.nanargmax(np.nanmax(np.where(np.isfinite(traces), traces, -np.inf), axis=1))
    return jax.tree.map(lambda leaf: leaf[best], (states, traces))

  def fit_predict(self, X, y=None):
    """The most probable component of every row, after a fit to them."""
    return self.fit(X, y).predict(X)

  def predict(self, X) -> Int[np.ndarray, " example"]:
    """The most probable component of every row."""
    return self._log_joint(X).argmax(1)

  def predict_proba(self, X) -> Float[np.ndarray, "example component"]:
    """Posterior over the components."""
    joint = self._log_joint(X)
    return np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))

  def score_samples(self, X) -> Float[np.ndarray, " example"]:
    """Log density of every row, nats; its negative is an anomaly score."""
    return np.logaddexp.reduce(self._log_joint(X), axis=1)

  def score(self, X, y=None) -> float:
    """Mean log density, nats."""
    del y
    return float(self.score_samples(X).mean())

  def sample(self, n_samples: int = 1) -> tuple[Float[np.ndarray, "example feature"], Int[np.ndarray, " example"]]:
    """Independent draws by `random_state`, and the component that each is from."""
    check_is_fitted(self)
    if n_samples < 1:
      raise UserError("n_samples", n_samples, "draw at least one.")
    with base.float64():
      return jax.device_get(family_lib.sample(self._mixture(), base.key_of(self.random_state), n_samples))

  def bic(self, X) -> float:
    """Bayesian information criterion; smaller is better."""
    joint = self._log_joint(X)
    return float(family_lib.bic(np.logaddexp.reduce(joint, axis=1).sum(), self._num_parameters(), len(joint)))

  def aic(self, X) -> float:
    """Akaike's information criterion; smaller is better."""
    return float(family_lib.aic(self.score_samples(X).sum(), self._num_parameters()))

  @property
  def weights_(self) -> Float[np.ndarray, " component"]:
    return np.asarray(self._mixture().weights)

  @property
  def means_(self) -> Float[np.ndarray, "component feature"]:
    return np.asarray(self._mixture().means)

  @property
  def covariances_(self) -> np.ndarray:
    """In the shape of `covariance_type`, as scikit-learn has it."""
    with base.float64():
      return np.asarray(family_lib.covariances(self._mixture()))

  @property
  def precisions_(self) -> np.ndarray:
    """Inverses of `covariances_`, in the same shape."""
    factor = self.precisions_cholesky_
    return factor @ factor.swapaxes(-1, -2) if self.covariance_type in ("full", "tied") else factor**2

  @property
  def precisions_cholesky_(self) -> np.ndarray:
    """Upper triangular factors U of the precisions U Uᵀ; inverse standard deviations if diag or spherical."""
    return np.asarray(self._mixture().precision_cholesky)

  def _mixture(self) -> family_lib.Mixture:
    check_is_fitted(self, "_state")
    return self._program().mixture(self._state.params)

  def _num_parameters(self) -> int:
    return family_lib.num_parameters(self.n_components, self.n_features_in_, self.covariance_type)

  def _log_joint(self, X) -> Float[np.ndarray, "example component"]:
    check_is_fitted(self, "_state")
    X = validate_data(self, X, dtype=np.float64, reset=False)
    size, log_joint = min(_size(len(X)), BLOCK), self._program().log_joint
    with base.float64():
      parts = [log_joint(self._state.params, _padded(X[i : i + size], size)) for i in range(0, len(X), size)]
      return np.concatenate(jax.device_get(parts))[: len(X)]


def _size(rows: int) -> int:
  """Rows to fill up to: a power of two, or a number of blocks."""
  return max(SMALL, 1 << (rows - 1).bit_length()) if rows <= BLOCK else -(-rows // BLOCK) * BLOCK


def _padded(X, rows: int):
  """X, filled up with copies of its first row."""
  return np.concatenate([X, np.repeat(X[:1], rows - len(X), axis=0)])


class GaussianMixture(_Mixture):
  """A mixture fitted by expectation-maximisation.

  Args:
    n_components: Gaussians.
    covariance_type: full, tied, diag or spherical.
    tol: stop when an iteration adds less to the mean log-likelihood, nats.
    reg_covar: added to every variance.
    max_iter: iterations at most.
    n_init: starts.
    init_params: kmeans or k-means++ (followed by k-means, as scikit-learn's default) or random (examples, likewise).
    weights_init, means_init, precisions_init: what to start from in place of what k-means finds.
    random_state: of starts and samples.
    warm_start: begin where the last fit ended, in place of `n_init` starts.
    verbose: print what each iteration of the best start came to.

  Attributes:
    weights_, means_, covariances_, precisions_, precisions_cholesky_: in the shapes of scikit-learn's.
    converged_, n_iter_: whether and after how many iterations the best start stopped.
    lower_bound_: mean log-likelihood before its last iteration.
  """

  def __init__(
    self,
    n_components=1,
    *,
    covariance_type="full",
    tol=1e-3,
    reg_covar=1e-6,
    max_iter=100,
    n_init=1,
    init_params="k-means++",
    weights_init=None,
    means_init=None,
    precisions_init=None,
    random_state=None,
    warm_start=False,
    verbose=0,
  ):
    self.n_components = n_components
    self.covariance_type = covariance_type
    self.tol = tol
    self.reg_covar = reg_covar
    self.max_iter = max_iter
    self.n_init = n_init
    self.init_params = init_params
    self.weights_init = weights_init
    self.means_init = means_init
    self.precisions_init = precisions_init
    self.random_state = random_state
    self.warm_start = warm_start
    self.verbose = verbose

  def _program(self):
    options = {
      "covariance": self.covariance_type,
      "reg_covar": self.reg_covar,
      "start": _STARTS.get(self.init_params, self.init_params),
    }
    return _program(False, self.n_components, tuple(sorted(options.items())))

  def _start(self, X):
    components, features, start = self.n_components, X.shape[1], {}
    if self.weights_init is not None:
      start["weights"] = _shaped("weights_init", self.weights_init, (components,))
      if (start["weights"] < 0).any() or not np.isclose(start["weights"].sum(), 1):
        raise UserError("weights_init", self.weights_init, "give numbers of 0 to 1 that sum to 1.")
    if self.means_init is not None:
      start["means"] = _shaped("means_init", self.means_init, (components, features))
    if self.precisions_init is not None:
      shape = {
        "full": (components, features, features),
        "tied": (features, features),
        "diag": (components, features),
        "spherical": (components,),
      }[self.covariance_type]
      precisions = _shaped("precisions_init", self.precisions_init, shape)
      matrices = self.covariance_type in ("full", "tied")
      inverse = np.linalg.inv(precisions) if matrices else 1 / precisions
      factor = covariances_lib.kind(self.covariance_type).factorise(jnp.asarray(inverse))
      if not np.isfinite(factor).all():
        raise UserError("precisions_init", self.precisions_init, "give positive definite matrices, or numbers above 0.")
      start["precision_cholesky"] = factor
    return start


def _shaped(field: str, value, shape: tuple[int, ...]) -> np.ndarray:
  array = check_array(value, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=field)
  if array.shape != shape:
    raise UserError(f"shape of {field}", array.shape, f"give one of {shape}.")
  return array


class BayesianGaussianMixture(_Mixture):
  """A mixture fitted by variational Bayes, with a Dirichlet prior on the weights; scores are predictive densities.

  Args:
    n_components: Gaussians at most: those that are not needed are emptied where the concentration is small.
    covariance_type: full or diag.
    tol: stop when an iteration adds less to the lower bound per example, nats.
    reg_covar: added to the variances of the data, which are the prior's.
    max_iter, n_init, init_params, random_state, warm_start, verbose: as `GaussianMixture`.
    weight_concentration_prior: by default 1 / n_components.
    mean_precision_prior: by default 1.
    degrees_of_freedom_prior: by default the number of features.

  Attributes:
    weights_, means_, covariances_: posterior means; of the covariances, inverses of the mean precisions.
    weight_concentration_: of the posterior Dirichlet.
    converged_, n_iter_, lower_bound_: as `GaussianMixture`; of the lower bound per example.
  """

  def __init__(
    self,
    n_components=1,
    *,
    covariance_type="full",
    tol=1e-3,
    reg_covar=1e-6,
    max_iter=100,
    n_init=1,
    init_params="k-means++",
    weight_concentration_prior=None,
    mean_precision_prior=None,
    degrees_of_freedom_prior=None,
    random_state=None,
    warm_start=False,
    verbose=0,
  ):
    self.n_components = n_components
    self.covariance_type = covariance_type
    self.tol = tol
    self.reg_covar = reg_covar
    self.max_iter = max_iter
    self.n_init = n_init
    self.init_params = init_params
    self.weight_concentration_prior = weight_concentration_prior
    self.mean_precision_prior = mean_precision_prior
    self.degrees_of_freedom_prior = degrees_of_freedom_prior
    self.random_state = random_state
    self.warm_start = warm_start
    self.verbose = verbose

  def _program(self):
    given = lambda value, default: default if value is None else value
    options = {
      "covariance": self.covariance_type,
      "reg_covar": self.reg_covar,
      "start": _STARTS.get(self.init_params, self.init_params),
      "concentration": given(self.weight_concentration_prior, 1 / self.n_components),
      "mean_precision": given(self.mean_precision_prior, 1.0),
      "degrees_of_freedom": given(self.degrees_of_freedom_prior, 0.0),
    }
    return _program(True, self.n_components, tuple(sorted(options.items())))

  @property
  def weight_concentration_(self) -> Float[np.ndarray, " component"]:
    check_is_fitted(self, "_state")
    return np.asarray(self._state.params.concentration)
