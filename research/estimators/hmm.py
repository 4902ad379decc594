"""Hidden Markov models with hmmlearn's interface: its names, parameters and priors, in float64.

  GaussianHMM(3).fit(X, lengths=lengths).predict(X, lengths=lengths)

Sequences follow one another in the rows of X, and `lengths` says where each ends; without it X is one sequence.  All go
through an iteration at once, padded to the longest.  In a pipeline, fit takes `<step>__lengths` and predict `lengths`;
score takes it with scikit-learn's metadata routing (`set_score_request(lengths=True)`).
"""

import abc
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy import special
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.cluster import KMeans
from sklearn.utils.validation import check_is_fitted, validate_data

from research.errors import UserError
from research.estimators import base
from research.families.hmm import emissions, learning
from research.metrics import Mean
from research.training import statistics
from research.training.learner import Learner


class _Program(NamedTuple):
  """A family with its compiled functions, shared by all estimators of equal hyper-parameters."""

  learner: Learner
  log_evidence: Callable
  smooth: Callable
  decode: Callable
  sample: Callable


@functools.lru_cache(maxsize=64)
def _program(make: Callable, options: tuple, initial: Any, transition: Any) -> _Program:
  family = learning.hmm(make(**dict(options)), initial_concentration=initial, transition_concentration=transition)
  learner = statistics.statistics_learner(
    init=family.init, expect=family.expect, maximise=family.maximise, evaluate=family.evaluate
  )

  def init(key, batch):
    state: Any = learner.init(key, batch)
    start = batch["start"]
    emission = {**state.params["emission"], **start["emission"]}
    return state.replace(params={**state.params, **start, "emission": emission})

  def update(state, batch):
    new, metrics = learner.update(state, batch)
    return new, {"log_likelihood": Mean.of(-metrics["nll"].total[None])}

  return _Program(
    Learner(init, update, learner.evaluate),
    jax.jit(lambda params, batch: -family.evaluate(params, batch)["nll"].total),
    jax.jit(family.smooth),
    jax.jit(family.decode),
    jax.jit(family.sample, static_argnums=2),
  )


class _HMM(DensityMixin, BaseEstimator, metaclass=abc.ABCMeta):
  """What the models have in common.

  Attributes:
    startprob_, transmat_: initial distribution [state] and transition matrix [state, state].
    n_iter_: iterations done.
    history_: log-likelihood before each iteration, nats.
    converged_: whether the last gain was below `tol`.
    n_features_in_: features.
  """

  n_components: int
  startprob_prior: Any
  transmat_prior: Any
  startprob_init: Any
  transmat_init: Any
  n_iter: int
  tol: float
  random_state: Any
  n_features_in_: int

  @abc.abstractmethod
  def _emission(self) -> tuple[Callable, dict]:
    """The emission model, and its hyper-parameters, hashable."""

  def _inputs(self, X) -> np.ndarray:
    """Observations as the emission model takes them, [row, ...]."""
    return X

  def _start(self, inputs) -> dict[str, Any]:
    """Parameters of the emission to start from, beside those that the model draws."""
    del inputs
    return {}

  def fit(self, X, y=None, lengths=None):
    """Baum-Welch, until the log-likelihood gains less than `tol`.

    Args:
      X: [row, feature].
      y: labels, one a row, which a Pipeline hands over and nothing here looks at.
      lengths: rows of each sequence, [sequence]; by default X is one.  By keyword: hmmlearn has it in y's place.

    Raises:
      UserError: in y's place something else than labels; lengths that do not sum to the rows; a hyper-parameter out of
        its range; data whose squares overflow.
    """
    X = validate_data(self, X, dtype=np.float64)
    _check_no_lengths("fit", y, X)
    for field in ("n_components", "n_iter"):
      if getattr(self, field) < 1:
        raise UserError(field, getattr(self, field), "give 1 or more.")
    if len(X) < self.n_components:
      raise UserError("n_components", self.n_components, f"n_samples = {len(X)}: give one row for each state at least.")
    inputs = self._inputs(X)
    given = {"initial": self.startprob_init, "transition": self.transmat_init}
    with base.float64():
      start = {name: _stored(value) for name, value in given.items() if value is not None}
      batch = _batch(inputs, lengths) | {"start": {**start, "emission": self._start(inputs)}}
      program, key = self._program(), base.key_of(self.random_state)
      options = {"max_iterations": self.n_iter, "tolerance": self.tol, "metric": "log_likelihood"}
      state, trace = jax.device_get(base.fit(program.learner, batch, key=key, **options))
    if state.skipped:
      raise UserError("X", float(np.abs(X).max()), "squares of the features overflow, or a density is infinite.")
    self._params, self.n_iter_ = state.params, int(state.step)
    self.history_ = trace[: self.n_iter_]
    self.converged_ = self.n_iter_ > 1 and bool(np.diff(self.history_)[-1] < self.tol)
    return self

  def predict(self, X, lengths=None) -> Int[np.ndarray, " row"]:
    """The states of the most probable path of every sequence (Viterbi)."""
    return self.decode(X, lengths)[1]

  def decode(self, X, lengths=None) -> tuple[float, Int[np.ndarray, " row"]]:
    """The most probable path of every sequence, and the logarithm of their joint probability with X, nats."""
    batch = self._fitted_batch(X, lengths)
    with base.float64():
      path = jax.device_get(self._program().decode(self._params, batch))
    return float(path.log_joint.sum()), _rows(path.states, batch)

  def predict_proba(self, X, lengths=None) -> Float[np.ndarray, "row state"]:
    """Posterior of the state at every row, given its whole sequence."""
    batch = self._fitted_batch(X, lengths)
    with base.float64():
      return _rows(jax.device_get(self._program().smooth(self._params, batch).probabilities), batch)

  def score(self, X, y=None, lengths=None) -> float:
    """Log-likelihood of all sequences together, nats; `y` and `lengths` as those of `fit`."""
    _check_no_lengths("score", y, X)
    batch = self._fitted_batch(X, lengths)
    with base.float64():
      return float(self._program().log_evidence(self._params, batch))

  def sample(self, n_samples: int = 1, random_state=None) -> tuple[np.ndarray, Int[np.ndarray, " row"]]:
    """Draws one sequence.

    Args:
      n_samples: its length.
      random_state: scikit-learn's; by default the model's own.

    Returns:
      Observations [n_samples, feature] and states [n_samples].
    """
    check_is_fitted(self)
    with base.float64():
      keys = base.key_of(self.random_state if random_state is None else random_state)[None]
      observed, states = jax.device_get(self._program().sample(self._params, keys, n_samples))
    return observed.reshape(n_samples, self.n_features_in_), states[0]

  @property
  def startprob_(self) -> Float[np.ndarray, " state"]:
    return _probabilities(self._params["initial"])

  @property
  def transmat_(self) -> Float[np.ndarray, "state state"]:
    return _probabilities(self._params["transition"])

  def __sklearn_is_fitted__(self) -> bool:
    return hasattr(self, "_params")

  def _program(self) -> _Program:
    make, options = self._emission()
    return _program(make, tuple(options.items()), _hashable(self.startprob_prior), _hashable(self.transmat_prior))

  def _fitted_batch(self, X, lengths) -> dict[str, Any]:
    check_is_fitted(self)
    return _batch(self._inputs(validate_data(self, X, dtype=np.float64, reset=False)), lengths)


class _Normal(_HMM):
  """What models of normal features have in common."""

  covariance_type: str
  min_covar: float
  means_prior: Any
  means_weight: float
  covars_prior: float
  covars_weight: float

  def _gaussian(self) -> dict[str, Any]:
    prior = emissions.GaussianPrior(
      mean=_hashable(self.means_prior),
      mean_weight=self.means_weight,
      squares=self.covars_prior,
      weight=max(self.covars_weight - 1, 0),
      floor=self.min_covar,
    )
    return {"num_features": self.n_features_in_, "covariance": self.covariance_type, "prior": prior}

  def _clustered(self, inputs, count: int) -> KMeans:
    return KMeans(count, n_init=1, random_state=self.random_state).fit(inputs)

  def _gaussian_start(self, inputs, means, covariances=None) -> dict[str, Any]:
    """Parameters of Gaussians with these means, and the covariances that are given, else that of all rows."""
    full, count = self.covariance_type == "full", len(means)
    if covariances is None:
      covariance = np.atleast_2d(np.cov(inputs.T, bias=True)) + max(self.min_covar, 1e-6) * np.eye(inputs.shape[1])
      covariances = np.stack([covariance if full else np.diag(covariance)] * count)
    covariances = jnp.asarray(covariances, float)
    scale = emissions.scale_of(covariances) if full else 0.5 * jnp.log(covariances)
    if not jnp.isfinite(scale).all():
      raise UserError("covars_init", np.asarray(covariances).tolist(), "give positive definite covariances.")
    return {"mean": jnp.asarray(means, float), "scale": scale}

  def _covariances(self, scale) -> Float[np.ndarray, "state feature feature"]:
    if self.covariance_type == "diag":
      return np.exp(2 * scale)[..., None] * np.eye(scale.shape[1])
    with base.float64():
      factor = np.asarray(emissions.cholesky_of(scale))
    return factor @ factor.mT


class GaussianHMM(_Normal):
  """Features normal, with a mean and a covariance in each state.

  Args:
    n_components: states.
    covariance_type: 'diag' or 'full'.
    min_covar: smallest variance ('full': added to every variance).
    startprob_prior, transmat_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    means_prior, means_weight: what means are believed to be, and how many observations that belief is worth.
    covars_prior, covars_weight: sum of squares, and number plus 1, of further deviations that are believed to have been
      observed.  hmmlearn's defaults are 0.01 and 1; these are flat.
    startprob_init, transmat_init, means_init, covars_init: parameters to start from ('diag': variances [state,
      feature]); by default distributions drawn at random, centres of k-means, and the covariance of X.
    n_iter: iterations at most.
    tol: least gain of the log-likelihood, nats, for another iteration; -inf does not stop.
    random_state: scikit-learn's.

  Attributes:
    means_: [state, feature].
    covars_: [state, feature, feature].
  """

  def __init__(
    self,
    n_components=1,
    *,
    covariance_type="diag",
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
    n_iter=100,
    tol=1e-2,
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
    self.n_iter = n_iter
    self.tol = tol
    self.random_state = random_state

  def _emission(self):
    return emissions.gaussian, {"num_states": self.n_components, **self._gaussian()}

  def _start(self, inputs):
    means = self.means_init
    if means is None:
      means = self._clustered(inputs, self.n_components).cluster_centers_
    return self._gaussian_start(inputs, means, self.covars_init)

  @property
  def means_(self) -> Float[np.ndarray, "state feature"]:
    return self._params["emission"]["mean"]

  @property
  def covars_(self) -> Float[np.ndarray, "state feature feature"]:
    return self._covariances(self._params["emission"]["scale"])


class GMMHMM(_Normal):
  """Features of a mixture of Gaussians in each state.

  Args:
    n_mix: components of a state.
    weights_prior: concentration of the Dirichlet prior on a state's weights.
    n_components, covariance_type, min_covar, startprob_prior, transmat_prior, means_prior, means_weight, covars_prior,
      covars_weight, startprob_init, transmat_init, n_iter, tol, random_state: as `GaussianHMM`.

  Attributes:
    weights_: [state, component].
    means_: [state, component, feature].
    covars_: [state, component, feature, feature].
  """

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
    n_iter=100,
    tol=1e-2,
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
    self.n_iter = n_iter
    self.tol = tol
    self.random_state = random_state

  def _emission(self):
    mixture = {"num_states": self.n_components, "num_components": self.n_mix, "concentration": self.weights_prior}
    return _mixture, mixture | self._gaussian()

  def _start(self, inputs):
    if len(inputs) < self.n_components * self.n_mix:
      raise UserError("n_mix", self.n_mix, f"n_samples = {len(inputs)}: give one row for each component at least.")
    states, means = self._clustered(inputs, self.n_components).labels_, []
    for state in range(self.n_components):
      own = inputs[states == state]
      means.append(self._clustered(own if len(own) >= self.n_mix else inputs, self.n_mix).cluster_centers_)
    return {"components": self._gaussian_start(inputs, np.concatenate(means))}

  @property
  def weights_(self) -> Float[np.ndarray, "state component"]:
    return _probabilities(self._params["emission"]["weights"])

  @property
  def means_(self) -> Float[np.ndarray, "state component feature"]:
    mean = self._params["emission"]["components"]["mean"]
    return mean.reshape(self.n_components, self.n_mix, -1)

  @property
  def covars_(self) -> Float[np.ndarray, "state component feature feature"]:
    covariances = self._covariances(self._params["emission"]["components"]["scale"])
    return covariances.reshape(self.n_components, self.n_mix, *covariances.shape[1:])


class CategoricalHMM(_HMM):
  """One symbol a row, a whole number from 0: X is [row, 1].

  Args:
    n_components: states.
    n_symbols: symbols that there are; by default as many as the data have.  Others have probability 0.
    startprob_prior, transmat_prior, emissionprob_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    startprob_init, transmat_init, emissionprob_init: parameters to start from; by default drawn at random.
    n_iter, tol, random_state: as `GaussianHMM`.

  Attributes:
    emissionprob_: [state, symbol].
  """

  def __init__(
    self,
    n_components=1,
    *,
    n_symbols=None,
    startprob_prior=1.0,
    transmat_prior=1.0,
    emissionprob_prior=1.0,
    startprob_init=None,
    transmat_init=None,
    emissionprob_init=None,
    n_iter=100,
    tol=1e-2,
    random_state=None,
  ):
    self.n_components = n_components
    self.n_symbols = n_symbols
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.emissionprob_prior = emissionprob_prior
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.emissionprob_init = emissionprob_init
    self.n_iter = n_iter
    self.tol = tol
    self.random_state = random_state

  def _inputs(self, X):
    if X.shape[1] != 1:
      raise UserError("X", X.shape, "give one column, of symbols.")
    symbols = X[:, 0].astype(np.int32)
    bad = (symbols != X[:, 0]) | (symbols < 0)
    if bad.any():
      raise UserError("X", float(X[bad.argmax(), 0]), "give symbols as whole numbers from 0.")
    return symbols

  def _emission(self):
    options = {"num_symbols": self._num_symbols, "concentration": self.emissionprob_prior}
    return emissions.categorical, {"num_states": self.n_components, **options}

  def _start(self, inputs):
    self._num_symbols = int(inputs.max()) + 1 if self.n_symbols is None else self.n_symbols
    return {} if self.emissionprob_init is None else {"logits": _stored(self.emissionprob_init)}

  @property
  def emissionprob_(self) -> Float[np.ndarray, "state symbol"]:
    return _probabilities(self._params["emission"]["logits"])


class BernoulliHMM(_HMM):
  """Features on or off, independently given the state.

  Args:
    n_components: states.
    binarize: a feature is on above it.
    startprob_prior, transmat_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    emissionprob_prior: concentration of the Beta prior of every feature, for on and for off.
    startprob_init, transmat_init, emissionprob_init: parameters to start from; by default distributions drawn at
      random, and rows drawn from X, half-way to their mean.
    n_iter, tol, random_state: as `GaussianHMM`.

  Attributes:
    emissionprob_: probability of on, [state, feature].
  """

  def __init__(
    self,
    n_components=1,
    *,
    binarize=0.0,
    startprob_prior=1.0,
    transmat_prior=1.0,
    emissionprob_prior=1.0,
    startprob_init=None,
    transmat_init=None,
    emissionprob_init=None,
    n_iter=100,
    tol=1e-2,
    random_state=None,
  ):
    self.n_components = n_components
    self.binarize = binarize
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.emissionprob_prior = emissionprob_prior
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.emissionprob_init = emissionprob_init
    self.n_iter = n_iter
    self.tol = tol
    self.random_state = random_state

  def _inputs(self, X):
    return np.greater(X, self.binarize).astype(np.float64)

  def _emission(self):
    options = {"num_features": self.n_features_in_, "concentration": self.emissionprob_prior}
    return emissions.bernoulli, {"num_states": self.n_components, **options}

  def _start(self, inputs):
    del inputs
    if self.emissionprob_init is None:
      return {}
    on = np.asarray(self.emissionprob_init, np.float64)
    return {"logits": _stored(on) - _stored(1 - on)}

  @property
  def emissionprob_(self) -> Float[np.ndarray, "state feature"]:
    return special.expit(self._params["emission"]["logits"])


def _mixture(num_states, num_components, concentration, **gaussian):
  components = emissions.gaussian(num_states * num_components, **gaussian)
  return emissions.mixture(num_states, num_components, components, concentration=concentration)


def _check_no_lengths(method: str, y, X) -> None:
  """Refuses what is not one label a row: lengths by position would be dropped, and X be one sequence."""
  if y is not None and np.shape(y)[:1] != (len(X),):
    remedy = f"there is one label a row, if any; lengths are given by keyword: {method}(X, lengths=lengths)."
    raise UserError("y", f"of shape {np.shape(y)}", remedy)


def _batch(inputs, lengths) -> dict[str, Any]:
  """Sequences as learners take them, padded in both directions to one of a few sizes, so that few are compiled.

  Raises:
    UserError: lengths that are no whole numbers from 1, or do not sum to the rows.
  """
  lengths = np.asarray([len(inputs)] if lengths is None else lengths)
  if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 1).any() or lengths.sum() != len(inputs):
    remedy = f"give whole numbers from 1 that sum to the {len(inputs)} rows of X."
    raise UserError("lengths", lengths.tolist(), remedy)
  count, steps = _size(len(lengths)), _size(int(lengths.max()))
  length = np.zeros(count, np.int32)
  length[: len(lengths)] = lengths
  padded = np.zeros((count, steps, *inputs.shape[1:]), inputs.dtype)
  padded[np.arange(steps) < length[:, None]] = inputs
  return {"inputs": padded, "length": length, "mask": (length > 0).astype(np.float32)}


def _size(count: int) -> int:
  """The least number that is no smaller and of which few have the same order of magnitude: an eighth more at most."""
  unit = 2 ** max(0, (count - 1).bit_length() - 4)
  return -(-count // unit) * unit


def _rows(padded, batch) -> np.ndarray:
  """[sequence, step, ...] as the rows of X."""
  return padded[np.arange(padded.shape[1]) < batch["length"][:, None]]


def _stored(probabilities) -> np.ndarray:
  with np.errstate(divide="ignore"):
    return np.maximum(np.log(np.asarray(probabilities, np.float64)), emissions.LOG_ZERO)


def _probabilities(logits) -> np.ndarray:
  return special.softmax(logits, axis=-1)


def _hashable(value):
  """Arrays as tuples, so that programs can be looked up by hyper-parameters."""
  return tuple(map(_hashable, value)) if np.ndim(value) else float(value)
