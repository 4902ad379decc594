"""Mixtures of Gaussians with scikit-learn's interface: its names, parameters, starts and criteria, in float64.

  GaussianMixture(3, n_init=10).fit(X).predict_proba(X)

Starts are drawn as scikit-learn draws them, so that equal `random_state` give equal fits. All are fitted side by
side. Rows are filled up to a few sizes, so that a fit of equal hyper-parameters and features, and about as many rows,
compiles nothing; predictions go through programs of four sizes.
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
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from research.errors import UserError
from research.estimators import base
from research.families import covariances as covariances_lib
from research.families import gaussian_mixture as family_lib
from research.families import variational_mixture as variational_lib
from research.training import statistics
from research.training.learner import Learner

PARAMETERS = ("weights", "means", "precision_cholesky")  # of a mixture, each of which a fit may be told to start from
PRIOR_TYPES = ("dirichlet_process", "dirichlet_distribution")
STARTS = ("kmeans", "k-means++", "random", "random_from_data")


class _Program(NamedTuple):
  """A family with its compiled functions, shared by all estimators of equal hyper-parameters."""

  family: family_lib.Family
  log_joint: Callable
  mixture: Callable[[Any], family_lib.Mixture]
  moments: Callable
  metric: str


@functools.lru_cache(maxsize=64)
def _program(variational: bool, components: int, options: tuple) -> _Program:
  module, metric = (variational_lib, "lower_bound") if variational else (family_lib, "log_likelihood")
  make = variational_lib.variational_mixture if variational else family_lib.gaussian_mixture
  mixture = variational_lib.plug_in if variational else lambda params: params
  family, kind = make(components, **dict(options)), covariances_lib.kind(dict(options)["covariance"])

  def moments(params, batch):
    """The components' counts, and covariances that nothing is added to."""
    statistics: Any = family.expect(params, batch, jax.random.key(0))[0]
    return statistics.counts, family_lib.estimated(kind, statistics, params.means - params.centre)[2]

  return _Program(family, jax.jit(module.log_joint), mixture, jax.jit(moments), metric)


@functools.lru_cache(maxsize=64)
def _learner(program: _Program, blocks: int) -> Learner:
  """A batch's `start` holds parameters that take the place of those that its `responsibilities` give."""
  learner = statistics.statistics_learner(**program.family._asdict(), accumulate=blocks)
  rows = lambda batch: {"inputs": batch["inputs"], "mask": batch["mask"]}

  def init(key, batch):
    state: Any = learner.init(key, {**rows(batch), "responsibilities": batch["responsibilities"]})
    return state.replace(params=state.params.replace(**batch["start"]))

  return learner._replace(init=init, update=lambda state, batch: learner.update(state, rows(batch)))


class _Mixture(DensityMixin, BaseEstimator, metaclass=abc.ABCMeta):
  """What the mixtures have in common; see their classes."""

  n_components: int
  covariance_type: str
  tol: float
  reg_covar: float
  max_iter: int
  n_init: int
  init_params: str
  random_state: Any
  warm_start: bool
  verbose: int
  verbose_interval: int
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
      UserError: fewer rows than components, a hyper-parameter out of its range, or a component whose covariance
        collapses where `reg_covar` is 0.  The model is then as it was before.
    """
    del y
    with base.unchanged_where_it_fails(self), base.float64():
      self._fit(validate_data(self, X, dtype=np.float64, ensure_min_samples=2))
    if self.max_iter and not self.converged_:
      message = f"no convergence in {self.max_iter} iterations: raise max_iter or tol, or look for degenerate data."
      warnings.warn(message, ConvergenceWarning, stacklevel=2)
    return self

  def _fit(self, X):
    self._check(X)
    goes_on = self.warm_start and hasattr(self, "_state")
    before = [self.lower_bound_] if goes_on else []
    batch, key = self._batch(X, goes_on), base.key_of(self.random_state)
    state, trace = self._fitted(batch, key)
    last = trace[np.isfinite(trace)]
    if state.skipped or len(last) < min(self.max_iter, 1):
      raise UserError("X", float(np.abs(X).max()), "squares of the features overflow: scale them down.")
    if self.reg_covar == 0:
      self._check_covariances(batch, state.params)
    self._state, self.n_iter_, self.lower_bounds_ = state, int(state.step), last.tolist()
    self.lower_bound_ = float(last[-1]) if len(last) else -np.inf
    gain = np.diff([*before, *last])
    self.converged_ = self.n_iter_ < self.max_iter or (len(gain) > 0 and bool(gain[-1] < self.tol))

  def _check(self, X) -> None:
    for field, least in (("n_components", 1), ("n_init", 1), ("max_iter", 0), ("verbose_interval", 1)):
      base.check_number(field, getattr(self, field), least, whole=True)
    for field in ("tol", "reg_covar"):
      base.check_number(field, getattr(self, field), 0)
    base.check_choice("covariance_type", self.covariance_type, covariances_lib.KINDS)
    base.check_choice("init_params", self.init_params, STARTS)
    if len(X) < self.n_components:
      raise UserError("n_components", self.n_components, f"n_samples = {len(X)}: give one row for each at least.")
    if not self.reg_covar and (same := np.ptp(X, axis=0) == 0).any():
      remedy = f"feature {same.argmax()} is the same in every row, and its variance 0: raise it, or leave that one out."
      raise UserError("reg_covar", self.reg_covar, remedy)

  def _batch(self, X, goes_on: bool) -> dict[str, Any]:
    """All rows, and where each start begins: [start, row, component]."""
    rows = base.filled_size(len(X))
    if goes_on:
      params = self._state.params
      names = [field.name for field in dataclasses.fields(params) if field.metadata.get("pytree_node", True)]
      start, shares = {name: getattr(params, name) for name in names}, np.ones((1, rows, self.n_components))
    else:
      random = check_random_state(self.random_state)
      start, shares = self._start(X), np.ones((self.n_init, rows, self.n_components))
      for each in shares if set(PARAMETERS) - set(start) else ():  # else nothing is left to draw
        each[: len(X)] = _responsibilities(X, self.n_components, self.init_params, random)
    mask = (np.arange(rows) < len(X)).astype(np.float64)
    return {"inputs": base.filled(X, rows), "mask": mask, "start": start, "responsibilities": shares}

  def _fitted(self, batch, key):
    """The state of the best start, and its trace."""
    program, shares = self._program(), batch["responsibilities"]
    learner = _learner(program, -(-len(batch["mask"]) // base.BLOCK))
    if not self.max_iter:
      return jax.device_get(jax.jit(learner.init)(key, {**batch, "responsibilities": shares[0]})), np.empty(0)
    options: dict[str, Any] = {
      "max_iterations": self.max_iter,
      "tolerance": self.tol or -np.inf,
      "metric": program.metric,
    }
    fit = lambda shares: base.fit(learner, {**batch, "responsibilities": shares}, key=key, **options)
    states, traces = jax.device_get(jax.vmap(fit)(shares) if len(shares) > 1 else fit(shares[0]))
    if len(shares) == 1:
      states, traces = jax.tree.map(lambda leaf: leaf[None], (states, traces))
    for start, trace in enumerate(traces if self.verbose else ()):
      self._tell(start, trace[np.isfinite(trace)])
    finite = np.where(np.isfinite(traces), traces, -np.inf)
    best = finite.max(axis=1).argmax()
    return jax.tree.map(lambda leaf: leaf[best], (states, traces))

  def _tell(self, start: int, trace: Float[np.ndarray, " iteration"]) -> None:
    """Prints how one start went, after the fit: all its iterations are one program."""
    print(f"Initialization {start}")
    for iteration in range(self.verbose_interval, len(trace) + 1, self.verbose_interval):
      gain = trace[iteration - 1] - trace[iteration - 2] if iteration > 1 else np.inf
      print(f"  Iteration {iteration}" + (f"\t ll change {gain:.5f}" if self.verbose > 1 else ""))
    print(f"Initialization ended after {len(trace)} iterations, at a lower bound of {trace[-1]:.5f}.")

  def _check_covariances(self, batch, params) -> None:
    """Raises UserError where a component's variance is 0 but for rounding: nothing has bounded it from below."""
    counts, covariances = jax.device_get(self._program().moments(params, {k: batch[k] for k in ("inputs", "mask")}))
    used = covariances if self.covariance_type == "tied" else covariances[counts > 1e-12]
    least = np.linalg.eigvalsh(used).min() if self.covariance_type in ("full", "tied") else used.min()
    if not least > 1e-13 * batch["inputs"].var(0).max():
      remedy = "the rows of a component are all but the same, so its covariance has no inverse: raise it."
      raise UserError("reg_covar", self.reg_covar, remedy)

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
    base.check_number("n_samples", n_samples, 1, whole=True)
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
  def precisions_cholesky_(self) -> np.ndarray:
    """Upper triangular factors U of the precisions U Uᵀ; inverse standard deviations if diag or spherical."""
    return np.asarray(self._mixture().precision_cholesky)

  @property
  def precisions_(self) -> np.ndarray:
    """Inverses of the covariances, in the shape of `covariance_type`."""
    factor = self.precisions_cholesky_
    return factor @ factor.mT if self.covariance_type in ("full", "tied") else factor**2

  def _mixture(self) -> family_lib.Mixture:
    check_is_fitted(self, "_state")
    return self._program().mixture(self._state.params)

  def _num_parameters(self) -> int:
    return family_lib.num_parameters(self.n_components, self.n_features_in_, self.covariance_type)

  def _log_joint(self, X) -> Float[np.ndarray, "example component"]:
    check_is_fitted(self, "_state")
    X = validate_data(self, X, dtype=np.float64, reset=False)
    size, log_joint = min(base.filled_size(len(X)), base.BLOCK), self._program().log_joint
    with base.float64():
      parts = [log_joint(self._state.params, base.filled(X[i : i + size], size)) for i in range(0, len(X), size)]
      return np.concatenate(jax.device_get(parts))[: len(X)]


def _responsibilities(X, components: int, start: str, random) -> Float[np.ndarray, "row component"]:
  """What scikit-learn's mixtures of that `init_params` start from, by the same draws."""
  if start == "random":
    shares = random.uniform(size=(len(X), components))
    return shares / shares.sum(1, keepdims=True)
  shares = np.zeros((len(X), components))
  if start == "kmeans":
    shares[np.arange(len(X)), KMeans(components, n_init=1, random_state=random).fit(X).labels_] = 1
    return shares
  if start == "k-means++":
    rows = kmeans_plusplus(X, components, random_state=random)[1]
  else:
    rows = random.choice(len(X), size=components, replace=False)
  shares[rows, np.arange(components)] = 1
  return shares


class GaussianMixture(_Mixture):
  """A mixture fitted by expectation-maximisation.

  Args:
    n_components: Gaussians.
    covariance_type: full, tied, diag or spherical.
    tol: stop when an iteration adds less to the mean log-likelihood, nats.
    reg_covar: added to every variance.
    max_iter: iterations at most.
    n_init: starts.
    init_params: kmeans, k-means++ (its seeds alone), random (responsibilities) or random_from_data (examples).
    weights_init, means_init, precisions_init: what to start from in place of what `init_params` gives.
    random_state: of starts and samples.
    warm_start: whether a further fit goes on from the last one, by one start.
    verbose, verbose_interval: 1 tells every so many iterations of each start, after the fit; 2 their gains too.

  Attributes:
    weights_, means_, covariances_, precisions_, precisions_cholesky_: in the shapes of scikit-learn's.
    converged_, n_iter_: whether and after how many iterations the best start stopped.
    lower_bound_, lower_bounds_: mean log-likelihood before its last iteration, and before each.
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
    init_params="kmeans",
    weights_init=None,
    means_init=None,
    precisions_init=None,
    random_state=None,
    warm_start=False,
    verbose=0,
    verbose_interval=10,
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
    self.verbose_interval = verbose_interval

  def _program(self):
    options = {"covariance": self.covariance_type, "reg_covar": self.reg_covar}
    return _program(False, self.n_components, tuple(sorted(options.items())))

  def _start(self, X):
    components, features, start = self.n_components, X.shape[1], {}
    if self.weights_init is not None:
      start["weights"] = base.shaped("weights_init", self.weights_init, (components,))
      if (start["weights"] < 0).any() or not np.isclose(start["weights"].sum(), 1):
        raise UserError("weights_init", self.weights_init, "give numbers of 0 to 1 that sum to 1.")
    if self.means_init is not None:
      start["means"] = base.shaped("means_init", self.means_init, (components, features))
    if self.precisions_init is not None:
      shape = {
        "full": (components, features, features),
        "tied": (features, features),
        "diag": (components, features),
        "spherical": (components,),
      }[self.covariance_type]
      precisions = base.shaped("precisions_init", self.precisions_init, shape)
      matrices = self.covariance_type in ("full", "tied")
      inverse = np.linalg.inv(precisions) if matrices else 1 / precisions
      factor = covariances_lib.kind(self.covariance_type).factorise(jnp.asarray(inverse))
      if not np.isfinite(factor).all():
        raise UserError("precisions_init", self.precisions_init, "give positive definite matrices, or numbers above 0.")
      start["precision_cholesky"] = factor
    return start


class BayesianGaussianMixture(_Mixture):
  """A mixture fitted by variational Bayes; scores are predictive densities.

  Args:
    n_components: Gaussians at most: those that are not needed are emptied where the concentration is small.
    covariance_type: full, tied, diag or spherical.
    tol: stop when an iteration adds less to the lower bound per example, nats.
    reg_covar: added to the variances of the data, which are the prior's.
    max_iter, n_init, init_params, random_state, warm_start, verbose, verbose_interval: as `GaussianMixture`.
    weight_concentration_prior_type: dirichlet_process, or dirichlet_distribution.
    weight_concentration_prior: by default 1 / n_components.
    mean_precision_prior: by default 1.
    mean_prior: [feature]; by default the mean of X.
    degrees_of_freedom_prior: by default the number of features.
    covariance_prior: in the shape of a component's covariance; by default that of X plus `reg_covar`.

  Attributes:
    weights_, means_, covariances_: posterior means; of the covariances, inverses of the mean precisions.
    weight_concentration_: of the posterior Dirichlet; of the process the two of each stick's beta distribution.
    converged_, n_iter_, lower_bound_, lower_bounds_: as `GaussianMixture`; of the lower bound per example.
    weight_concentration_prior_, mean_precision_prior_, mean_prior_, degrees_of_freedom_prior_, covariance_prior_,
      mean_precision_, degrees_of_freedom_: of the prior and the posterior, as scikit-learn has them.
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
    init_params="kmeans",
    weight_concentration_prior_type="dirichlet_process",
    weight_concentration_prior=None,
    mean_precision_prior=None,
    mean_prior=None,
    degrees_of_freedom_prior=None,
    covariance_prior=None,
    random_state=None,
    warm_start=False,
    verbose=0,
    verbose_interval=10,
  ):
    self.n_components = n_components
    self.covariance_type = covariance_type
    self.tol = tol
    self.reg_covar = reg_covar
    self.max_iter = max_iter
    self.n_init = n_init
    self.init_params = init_params
    self.weight_concentration_prior_type = weight_concentration_prior_type
    self.weight_concentration_prior = weight_concentration_prior
    self.mean_precision_prior = mean_precision_prior
    self.mean_prior = mean_prior
    self.degrees_of_freedom_prior = degrees_of_freedom_prior
    self.covariance_prior = covariance_prior
    self.random_state = random_state
    self.warm_start = warm_start
    self.verbose = verbose
    self.verbose_interval = verbose_interval

  def _program(self):
    given = lambda value, default: default if value is None else value
    fixed = lambda field: None if getattr(self, field) is None else base.hashable(field, getattr(self, field))
    options = {
      "covariance": self.covariance_type,
      "reg_covar": self.reg_covar,
      "process": self.weight_concentration_prior_type == "dirichlet_process",
      "concentration": given(self.weight_concentration_prior, 1 / self.n_components),
      "mean_precision": given(self.mean_precision_prior, 1.0),
      "mean": fixed("mean_prior"),
      "degrees_of_freedom": given(self.degrees_of_freedom_prior, 0.0),
      "inverse_scale": fixed("covariance_prior"),
    }
    return _program(True, self.n_components, tuple(sorted(options.items())))

  def _check(self, X) -> None:
    super()._check(X)
    base.check_choice("weight_concentration_prior_type", self.weight_concentration_prior_type, PRIOR_TYPES)
    for field in ("weight_concentration_prior", "mean_precision_prior", "degrees_of_freedom_prior"):
      if (value := getattr(self, field)) is not None:
        base.check_number(field, value, 0)
        if not value:
          raise UserError(field, value, "give a number above 0.")
    features = X.shape[1]
    if self.mean_prior is not None:
      base.shaped("mean_prior", self.mean_prior, (features,))
    if self.covariance_prior is not None:
      shape = {"full": (features, features), "tied": (features, features), "diag": (features,), "spherical": ()}
      prior = base.shaped("covariance_prior", self.covariance_prior, shape[self.covariance_type])
      matrix = np.atleast_2d(prior) if prior.ndim != 1 else np.diag(prior)
      if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix).min() <= 0:
        remedy = "give a symmetric positive definite matrix, or numbers above 0."
        raise UserError("covariance_prior", self.covariance_prior, remedy)

  @property
  def weight_concentration_(self):
    """[component]; of the process two of them."""
    concentration = np.asarray(self._posterior.concentration)
    return tuple(concentration) if self._posterior.process else concentration

  @property
  def mean_precision_(self) -> Float[np.ndarray, " component"]:
    return np.asarray(self._posterior.mean_precision)

  @property
  def degrees_of_freedom_(self) -> Float[np.ndarray, " component"]:
    return np.asarray(self._posterior.degrees_of_freedom)

  @property
  def weight_concentration_prior_(self) -> float:
    return float(self._posterior.prior.concentration)

  @property
  def mean_precision_prior_(self) -> float:
    return float(self._posterior.prior.mean_precision)

  @property
  def mean_prior_(self) -> Float[np.ndarray, " feature"]:
    return np.asarray(self._posterior.prior.mean)

  @property
  def degrees_of_freedom_prior_(self) -> float:
    return float(self._posterior.prior.degrees_of_freedom)

  @property
  def covariance_prior_(self) -> np.ndarray:
    return np.asarray(self._posterior.prior.inverse_scale)

  @property
  def _posterior(self) -> variational_lib.Posterior:
    check_is_fitted(self, "_state")
    return self._state.params
