"""What the models have in common: fits, and the uses of what is known."""

import abc
import functools
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from flax import traverse_util
from jaxtyping import Float, Int
from scipy import special
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from research.errors import UserError
from research.estimators import base
from research.estimators.hmm.parameter import Parameter, logits
from research.families.hmm import learning
from research.metrics import Mean
from research.training import statistics
from research.training.learner import Learner

ALGORITHMS = ("viterbi", "map")


class _Program(NamedTuple):
  """A family with its compiled functions, shared by all estimators of equal hyper-parameters."""

  learner: Learner
  log_evidence: Callable
  smooth: Callable
  decode: Callable
  sample: Callable


@functools.lru_cache(maxsize=64)
def _program(make: Callable, options: tuple, initial: Any, transition: Any, fixed: frozenset = frozenset()) -> _Program:
  """Of a model by its emission and priors; parameters at the paths `fixed` are not learnt."""
  family = learning.hmm(make(**dict(options)), initial_concentration=initial, transition_concentration=transition)
  learner = statistics.statistics_learner(
    init=family.init, expect=family.expect, maximise=family.maximise, evaluate=family.evaluate
  )

  def init(key, batch):
    state: Any = learner.init(key, batch)
    params, start = traverse_util.flatten_dict(state.params), traverse_util.flatten_dict(batch["start"])
    for path, value in start.items():
      if value.shape != params[path].shape:
        remedy = f"these data and n_components want {params[path].shape}."
        raise UserError(f"parameters to start from, {' '.join(path)}", f"of shape {value.shape}", remedy)
    return state.replace(params=traverse_util.unflatten_dict(params | start))

  def update(state, batch):
    new, metrics = cast(Any, learner.update)(state, batch)
    before, after = (traverse_util.flatten_dict(params) for params in (state.params, new.params))
    kept = {path: before[path] if path in fixed else after[path] for path in after}
    new = new.replace(params=traverse_util.unflatten_dict(kept))
    return new, {"log_likelihood": Mean.of(-metrics["nll"].total[None])}

  return _Program(
    Learner(init, update, learner.evaluate),
    jax.jit(lambda params, batch: -family.evaluate(params, batch)["nll"].total),
    jax.jit(family.smooth),
    jax.jit(family.decode),
    jax.jit(family.sample, static_argnums=2),
  )


class HMM(DensityMixin, BaseEstimator, metaclass=abc.ABCMeta):
  """A hidden Markov model; what the emissions are, subclasses say.

  Attributes:
    startprob_, transmat_: initial distribution [state] and transition matrix [state, state].
    n_iter_: iterations done.
    history_: log-likelihood before each iteration, nats.
    converged_: whether the last gain was below `tol`.
    n_features_in_: features.

  All parameters may be set: before a fit, which then begins with those whose letters are not in `init_params`, or
  in place of one.
  """

  n_components: int
  startprob_prior: Any
  transmat_prior: Any
  startprob_init: Any
  transmat_init: Any
  algorithm: str
  n_iter: int
  tol: float
  verbose: bool
  params: str
  init_params: str
  implementation: str
  random_state: Any
  n_features_in_: int

  startprob_ = Parameter(
    "s",
    ("initial",),
    lambda model, name, value: logits(name, value, (model.n_components,)),
    lambda model, stored: special.softmax(stored),
  )
  transmat_ = Parameter(
    "t",
    ("transition",),
    lambda model, name, value: logits(name, value, (model.n_components, model.n_components)),
    lambda model, stored: special.softmax(stored, -1),
  )

  @abc.abstractmethod
  def _emission(self) -> tuple[Callable, dict]:
    """The emission model, and its hyper-parameters, hashable."""

  @abc.abstractmethod
  def _free(self) -> dict[str, int]:
    """How many free numbers the parameters of the emission have, by letter."""

  def _inputs(self, X) -> np.ndarray:
    """Observations as the emission model takes them, [row, ...]."""
    return X

  def _estimated(self, inputs, start) -> dict[tuple[str, ...], np.ndarray]:
    """Parameters of the emission that the data say, beside those of `start` and those that the model draws."""
    del inputs, start
    return {}

  @property
  def known(self) -> dict[tuple[str, ...], np.ndarray]:
    """Parameters that were learnt or set, by their paths."""
    return self.__dict__.get("_known", {})

  def give(self, parameter: Parameter, stored) -> None:
    """Sets a parameter."""
    self._known = self.known | {parameter.path: stored}
    self._given = self.__dict__.get("_given", frozenset()) | {parameter.name}

  @classmethod
  def _parameters(cls) -> dict[str, Parameter]:
    names = (name for own in cls.__mro__[::-1] for name in vars(own))
    return {name: getattr(cls, name) for name in names if isinstance(getattr(cls, name, None), Parameter)}

  def fit(self, X, y=None, lengths=None):
    """Baum-Welch, until the log-likelihood gains less than `tol`.

    Args:
      X: [row, feature].
      y: labels, one a row, which a Pipeline hands over and nothing here looks at; or `lengths`, as hmmlearn has it.
      lengths: rows of each sequence, [sequence]; by default X is one.

    Raises:
      UserError: in y's place neither labels nor lengths; lengths that do not sum to the rows; a hyper-parameter out of
        its range; data whose squares overflow.  The model is then what it was before.
    """
    with base.unchanged_where_it_fails(self):
      X = validate_data(self, X, dtype=np.float64)
      lengths = _lengths("fit", y, lengths, X)
      self._check(X)
      inputs = self._inputs(X)
      with base.float64():
        batch = _batch(inputs, lengths)
        start, program = self._start(inputs), self._program(self._fixed())
        batch["start"] = traverse_util.unflatten_dict(start)
        options = {"max_iterations": self.n_iter, "tolerance": self.tol, "metric": "log_likelihood"}
        key = base.key_of(self.random_state)
        state, trace = jax.device_get(base.fit(program.learner, batch, key=key, **options))
      if state.skipped:
        raise UserError("X", float(np.abs(X).max()), "squares of the features overflow, or a density is infinite.")
      self._known, self.n_iter_ = traverse_util.flatten_dict(state.params), int(state.step)
      self._given = frozenset()
      self.history_ = trace[: self.n_iter_]
      self.converged_ = self.n_iter_ > 1 and bool(np.diff(self.history_)[-1] < self.tol)
    if self.verbose:
      for iteration, value in enumerate(self.history_, 1):
        print(f"iteration {iteration}: log-likelihood {value:.4f}")
    return self

  def _check(self, X) -> None:
    for field, least in (("n_components", 1), ("n_iter", 0)):
      base.check_number(field, getattr(self, field), least, whole=True)
    base.check_number("tol", self.tol)
    if len(X) < self.n_components:
      raise UserError("n_components", self.n_components, f"n_samples = {len(X)}: give one row for each state at least.")
    for field, names in (("algorithm", ALGORITHMS), ("implementation", ("log", "scaling"))):
      base.check_choice(field, getattr(self, field), names)
    letters = "".join(parameter.letter for parameter in self._parameters().values())
    for field in ("params", "init_params"):
      value = getattr(self, field)
      if not isinstance(value, str):
        raise UserError(field, value, f"give a string of the letters {letters}.")
      if unknown := set(value) - set(letters):
        raise UserError(field, value, f"{sorted(unknown)} stand for nothing: choose among {letters}.")

  def _fixed(self) -> frozenset[tuple[str, ...]]:
    return frozenset(own.path for own in self._parameters().values() if own.letter not in self.params)

  def _start(self, inputs) -> dict[tuple[str, ...], np.ndarray]:
    """Parameters to start from by their paths: those that a hyper-parameter says, that are kept, or that data say."""
    start, features = {}, self.n_features_in_
    for name, parameter in self._parameters().items():
      given = getattr(self, f"{name}init", None)  # startprob_init and its like
      if given is not None:
        start[parameter.path] = parameter.write(self, f"{name}init", given)
        if self.n_features_in_ != features:
          raise UserError(f"{name}init", f"of shape {np.shape(given)}", f"X has {features} features.")
      elif parameter.path in self.known and parameter.letter not in self.init_params:
        start[parameter.path] = self.known[parameter.path]
      elif name in self.__dict__.get("_given", ()):
        remedy = f"leave its letter, {parameter.letter}, out of init_params to begin with it."
        logging.getLogger(__name__).warning("%s was set and will be overwritten by the start: %s", name, remedy)
    estimated = {path: value for path, value in self._estimated(inputs, start).items() if path not in start}
    return start | estimated

  def predict(self, X, lengths=None) -> Int[np.ndarray, " row"]:
    """The states of `decode`."""
    return self.decode(X, lengths)[1]

  def decode(self, X, lengths=None, algorithm: str | None = None) -> tuple[float, Int[np.ndarray, " row"]]:
    """States of every row: by "viterbi" the most probable path of every sequence, and the logarithm of their joint
    probability with X, nats; by "map" the most probable state of each row, and the sum of their probabilities."""
    algorithm = self.algorithm if algorithm is None else algorithm
    base.check_choice("algorithm", algorithm, ALGORITHMS)
    if algorithm == "map":
      posterior = self.predict_proba(X, lengths)
      return float(posterior.max(1).sum()), posterior.argmax(1)
    batch = self._fitted_batch(X, lengths)
    with base.float64():
      path = jax.device_get(self._program().decode(self._nested(), batch))
    return float(path.log_joint.sum()), _rows(path.states, batch)

  def predict_proba(self, X, lengths=None) -> Float[np.ndarray, "row state"]:
    """Posterior of the state at every row, given its whole sequence."""
    return self.score_samples(X, lengths)[1]

  def score_samples(self, X, lengths=None) -> tuple[float, Float[np.ndarray, "row state"]]:
    """Log-likelihood of all sequences together, nats, and the posterior of the state at every row."""
    batch = self._fitted_batch(X, lengths)
    with base.float64():
      smoothed = jax.device_get(self._program().smooth(self._nested(), batch))
    return float(smoothed.log_evidence[batch["length"] > 0].sum()), _rows(smoothed.probabilities, batch)

  def score(self, X, y=None, lengths=None) -> float:
    """Log-likelihood of all sequences together, nats; `y` and `lengths` as those of `fit`."""
    batch = self._fitted_batch(X, _lengths("score", y, lengths, X))
    with base.float64():
      return float(self._program().log_evidence(self._nested(), batch))

  def aic(self, X, lengths=None) -> float:
    """Akaike's information criterion: the lower the better."""
    return -2 * self.score(X, lengths=lengths) + 2 * self.n_parameters

  def bic(self, X, lengths=None) -> float:
    """The Bayesian information criterion: the lower the better."""
    return -2 * self.score(X, lengths=lengths) + self.n_parameters * float(np.log(len(X)))

  @property
  def n_parameters(self) -> int:
    """How many free numbers the parameters have."""
    states = self.n_components
    return states - 1 + states * (states - 1) + sum(self._free().values())

  def sample(
    self, n_samples: int = 1, random_state=None, currstate: int | None = None
  ) -> tuple[np.ndarray, Int[np.ndarray, " row"]]:
    """Draws one sequence.

    Args:
      n_samples: its length.
      random_state: scikit-learn's; by default the model's own.
      currstate: the state of its first row; by default drawn.

    Returns:
      Observations [n_samples, feature] and states [n_samples].
    """
    self._check_known()
    params = self._nested()
    base.check_number("n_samples", n_samples, 1, whole=True)
    if currstate is not None:
      base.check_number("currstate", currstate, 0, whole=True)
      if currstate >= self.n_components:
        raise UserError("currstate", currstate, f"there are the states 0 to {self.n_components - 1}.")
      params["initial"] = logits("currstate", np.eye(self.n_components)[currstate], (None,))
    with base.float64():
      keys = base.key_of(self.random_state if random_state is None else random_state)[None]
      observed, states = jax.device_get(self._program().sample(params, keys, n_samples))
    return observed.reshape(n_samples, self.n_features_in_), states[0]

  def get_stationary_distribution(self) -> Float[np.ndarray, " state"]:
    """The distribution of states that a step leaves as it is."""
    values, vectors = np.linalg.eig(self.transmat_.T)
    vector = np.real(vectors[:, np.abs(values - 1).argmin()])
    return vector / vector.sum()

  def __sklearn_is_fitted__(self) -> bool:
    return all(parameter.path in self.known for parameter in self._parameters().values())

  def _check_known(self) -> None:
    """Raises NotFittedError where a parameter is neither learnt nor set."""
    missing = [name for name, parameter in self._parameters().items() if parameter.path not in self.known]
    if missing:
      raise NotFittedError(
        f"This {type(self).__name__} instance is not fitted yet: fit it, or set {', '.join(missing)}."
      )
    if len(self.known["initial",]) != self.n_components:
      raise UserError("n_components", self.n_components, f"what is known has {len(self.known['initial',])}: fit again.")

  def _nested(self) -> dict[str, Any]:
    return traverse_util.unflatten_dict(self.known)

  def _program(self, fixed: frozenset = frozenset()) -> _Program:
    make, options = self._emission()
    shapes = {"startprob_prior": (self.n_components,), "transmat_prior": (self.n_components,) * 2}
    priors = (base.hashable(field, getattr(self, field), shape, least=1) for field, shape in shapes.items())
    return _program(make, tuple(options.items()), *priors, fixed)

  def _fitted_batch(self, X, lengths) -> dict[str, Any]:
    self._check_known()
    return _batch(self._inputs(validate_data(self, X, dtype=np.float64, reset=False)), lengths)


def _lengths(method: str, y, lengths, X):
  """Lengths, wherever they were given: as many labels as rows are labels, and of no use.

  Raises:
    UserError: what is in y's place is neither, or could be both; or there are lengths twice.
  """
  if y is None or (np.shape(y)[:1] == np.shape(X)[:1] and (len(X) < 2 or not np.array_equal(y, np.ones(len(X))))):
    return lengths
  y, remedy = np.asarray(y), f"there is one label a row, if any; else give {method}(X, lengths=lengths)."
  if lengths is None and y.ndim == 1 and len(y) != len(X) and y.dtype.kind in "iu" and y.sum() == len(X):
    return y
  raise UserError("y", f"of shape {y.shape}", remedy)


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
