"""PPCA, factor analysis, NMF, LDA and a Boltzmann machine with scikit-learn's interface, in float64.

  PPCA(10).fit(X).score(X)          NMF(5).fit_transform(X)          LatentDirichletAllocation(20).fit(counts)

PPCA takes NaN for what is missing, and is fitted by EM then, in closed form otherwise.  All but factor analysis take
data in parts too, by `partial_fit`: PPCA by sums, which come to what all rows at once would; NMF and LDA by stepwise
EM (Hoffman, Blei & Bach 2010; Mairal et al. 2010); the machine by a step of its gradient.
"""

import abc
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Float
from scipy.sparse import csr_matrix, issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from research.data import documents
from research.errors import UserError
from research.estimators import base
from research.families import lda, linear_gaussian, nmf, rbm
from research.training import statistics, steps
from research.training.learner import Learner


class _Program(NamedTuple):
  """What is compiled once for all estimators of equal hyper-parameters.

  Attributes:
    learner: of the family.
    latents: `latents(params, batch) -> [row, component]`.
    measure: `measure(params, batch) -> [row]`: what `score_samples` returns.
    metric: of the training, that ends it; negated where less is better.
    stream: `stream(state, batch) -> state`: the update by further rows.
  """

  learner: Learner
  latents: Callable
  measure: Callable
  metric: str
  stream: Callable | None = None


def _batch(X) -> dict[str, np.ndarray]:
  """Rows filled up to a power of two, so that few programs are compiled; NaN is not observed."""
  X = X.toarray() if issparse(X) else X
  rows = _power(len(X), 16)
  padded = np.concatenate([X, np.repeat(X[:1], rows - len(X), axis=0)])
  mask = (np.arange(rows) < len(X)).astype(np.float64)
  observed = np.isfinite(padded).astype(np.float64)
  filled = np.nan_to_num(padded)
  return {"inputs": filled, "observed": observed, "mask": mask}


def _values(X) -> np.ndarray:
  """The features that are not left out as zeros."""
  return X.data if issparse(X) else X


def _power(count: int, least: int = 1) -> int:
  """The least power of two that is no less."""
  return max(least, 1 << (count - 1).bit_length())


def _document_batch(X) -> dict[str, np.ndarray]:
  """Rows as documents of words and counts (`lda.infer`); documents and places filled up to powers of two."""
  X = csr_matrix(X, copy=True)
  X.sum_duplicates()
  X.eliminate_zeros()
  words, counts = documents.padded(np.diff(X.indptr), X.indices, X.data)
  rows = _power(len(words), 16)
  missing = ((0, rows - len(words)), (0, _power(words.shape[1], 16) - words.shape[1]))
  mask = (np.arange(rows) < len(words)).astype(np.float64)
  return {"words": np.pad(words, missing), "counts": np.pad(counts, missing), "mask": mask}


class _Factors(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, metaclass=abc.ABCMeta):
  """What the estimators have in common.

  Attributes:
    components_: [component, feature].
    n_iter_: updates done.
    n_features_in_: features.
  """

  n_components: int
  max_iter: int
  tol: float
  random_state: Any
  n_features_in_: int
  components_: Float[np.ndarray, "component feature"]
  _negative = False  # whether inputs may be below 0
  _missing = False  # whether they may be NaN
  _sparse = False  # whether they may be a sparse matrix
  _batch = staticmethod(_batch)  # rows as the family takes them

  @abc.abstractmethod
  def _program(self, X) -> _Program:
    """The model of these rows, compiled once for equal hyper-parameters."""

  @abc.abstractmethod
  def _components(self, params) -> np.ndarray:
    """The attribute `components_` of fitted parameters."""

  def fit(self, X, y=None):
    """Fits all rows at once, until an update gains less than `tol`.

    Raises:
      UserError: a hyper-parameter out of its range.
    """
    del y
    with base.unchanged_where_it_fails(self):
      X = self._checked(X, reset=True)
      self._check_parameters(X)
      self._fitted_program = program = self._program(X)
      with base.float64():
        fitted: tuple[Any, Any] = base.fit(
          program.learner,
          self._batch(X),
          key=base.key_of(self.random_state),
          max_iterations=self.max_iter,
          tolerance=self.tol or -np.inf,
          metric=program.metric,
        )
        return self._keep(self._as_stream(fitted[0], X), X)

  def _check_parameters(self, X) -> None:
    most = self._most(X)
    for field, value, greatest in (("n_components", self.n_components, most), ("max_iter", self.max_iter, np.inf)):
      if not 1 <= value <= greatest:
        raise UserError(field, value, f"give 1 to {greatest}." if np.isfinite(greatest) else "give 1 or more.")

  def _as_stream(self, state, X):
    """A state fitted to all rows at once, as `partial_fit` goes on from it."""
    del X
    return state

  def _keep(self, state, X):
    """The state, without its key, as host arrays; and what is told of it."""
    if int(state.skipped):
      raise UserError("X", float(np.nanmax(abs(_values(X)))), "squares of the features overflow: scale them down.")
    self._state = jax.device_get(state.replace(key=None))
    self.n_iter_, self.components_ = int(state.step), self._components(self._params)
    return self

  @property
  def _params(self) -> Any:
    return self._state.params

  def transform(self, X) -> Float[np.ndarray, "row component"]:
    """The latents of each row."""
    return self._of_rows(X, "latents")

  def score_samples(self, X) -> Float[np.ndarray, " row"]:
    """Log density of each row, nats; of NMF minus its divergence, of LDA the bound of the document."""
    return self._of_rows(X, "measure")

  def score(self, X, y=None) -> float:
    """The mean of `score_samples`."""
    del y
    return float(self.score_samples(X).mean())

  @property
  def _n_features_out(self) -> int:
    return len(self.components_)

  def _most(self, X) -> float:
    """Components at most."""
    return np.inf

  def _of_rows(self, X, name: str) -> np.ndarray:
    check_is_fitted(self, "_state")
    X = self._checked(X, reset=False)
    with base.float64():
      return np.asarray(getattr(self._fitted_program, name)(self._params, self._batch(X)))[: X.shape[0]]

  def _checked(self, X, reset: bool):
    """The rows, an array, or where they are given so a sparse matrix."""
    finite = "allow-nan" if self._missing else True
    options = {"accept_sparse": "csr" if self._sparse else False, "ensure_min_samples": 1 + reset}
    X = validate_data(self, X, dtype=np.float64, reset=reset, ensure_all_finite=finite, **options)
    if not self._negative and (_values(X) < 0).any():
      raise ValueError(f"Negative values in data passed to {type(self).__name__}.")
    return X

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.input_tags.positive_only = not self._negative
    tags.input_tags.sparse = self._sparse
    tags.input_tags.allow_nan = self._missing
    return tags

  def __getstate__(self):
    """Compiled programs are found again by the hyper-parameters."""
    state = dict(super().__getstate__())
    state.pop("_fitted_program", None)
    return state

  def __setstate__(self, state):
    super().__setstate__(state)
    if "_state" in self.__dict__:
      self._fitted_program = self._program(None)


class _Streamed(_Factors):
  """Of those whose rows may come in parts."""

  def partial_fit(self, X, y=None):
    """One update by further rows, from where `fit` or the calls before have come to; the first call begins.

    Raises:
      UserError: a hyper-parameter out of its range.
    """
    del y
    first = not hasattr(self, "_state")
    with base.unchanged_where_it_fails(self):
      X = self._checked(X, reset=first)
      if first:
        self._check_parameters(X)
        self._fitted_program = self._program(X)
      program, batch = self._fitted_program, self._batch(X)
      assert program.stream is not None
      with base.float64():
        key = base.key_of(self.random_state)
        state = program.learner.init(key, batch) if first else self._state.replace(key=key)
        return self._keep(program.stream(self._resumed(state, X), batch), X)

  def _resumed(self, state, X):
    """The state, as the update by these rows takes it."""
    del X
    return state


class _LinearGaussian(_Factors):
  """Attributes: mean_, noise_variance_ (a number, or one a feature), components_, the loadings."""

  _negative = True

  def _components(self, params):
    model = params.model if hasattr(params, "model") else jax.tree.map(lambda x: x[0], params.components)
    self.mean_ = np.asarray(model.mean)
    noise = np.asarray(model.noise)
    self.noise_variance_ = noise if isinstance(self, FactorAnalysis) else float(noise[0])
    return np.asarray(model.loadings).T

  def get_covariance(self) -> Float[np.ndarray, "feature feature"]:
    """Of the model."""
    check_is_fitted(self)
    return self.components_.T @ self.components_ + np.diag(np.broadcast_to(self.noise_variance_, len(self.mean_)))

  def inverse_transform(self, X) -> Float[np.ndarray, "row feature"]:
    """The mean of rows of given latents."""
    check_is_fitted(self)
    return np.asarray(X) @ self.components_ + self.mean_

  def _most(self, X):
    if X.shape[1] == 1:
      raise ValueError("n_features = 1: a factor needs two features or more.")
    return X.shape[1] - 1


class PPCA(_LinearGaussian, _Streamed):
  """Probabilistic principal components.  In parts (`partial_fit`) no value may be missing.

  Args:
    n_components: latents, fewer than features.
    tol: of EM, where values are missing: stop when an update adds less to the mean log-likelihood, nats.
    max_iter: of EM, at most.
    random_state: of its start.
  """

  _missing = True

  def __init__(self, n_components=1, *, tol=1e-6, max_iter=1000, random_state=None):
    self.n_components = n_components
    self.tol = tol
    self.max_iter = max_iter
    self.random_state = random_state

  def _program(self, X):
    if X is not None:
      self.missing_ = bool(np.isnan(X).any())
    return _linear(self.n_components, "em" if self.missing_ else "closed")

  def _resumed(self, state, X):
    if self.missing_ or np.isnan(X).any():
      raise UserError("X", "NaN", "partial_fit sums rows without missing values: fit all at once, which does EM.")
    return state


class FactorAnalysis(_LinearGaussian):
  """Factor analysis by EM; arguments as `PPCA`."""

  def __init__(self, n_components=1, *, tol=1e-4, max_iter=1000, random_state=None):
    self.n_components = n_components
    self.tol = tol
    self.max_iter = max_iter
    self.random_state = random_state

  def _program(self, X):
    return _linear(self.n_components, "fa")


@functools.lru_cache(maxsize=64)
def _linear(latents: int, kind: str) -> _Program:
  if kind == "closed":
    family = linear_gaussian.ppca(latents, floor=1e-12)
  else:
    family = linear_gaussian.factor_analysis(latents, shared=kind == "em", missing=kind == "em", floor=1e-12)

  def infer(params, batch):
    model = params.model if kind != "closed" else jax.tree.map(lambda x: x[0], params.components)
    return linear_gaussian.infer(model, batch["inputs"], batch["observed"])

  return _Program(
    statistics.statistics_learner(**family._asdict()),
    jax.jit(lambda params, batch: infer(params, batch).mean),
    jax.jit(lambda params, batch: infer(params, batch).log_density),
    "log_likelihood",
    _stream(statistics.statistics_learner(**family._asdict(), combine=statistics.total)),
  )


def _stream(learner: Learner) -> Callable:
  """The update alone, compiled."""
  return jax.jit(lambda state, batch: learner.update(state, batch)[0])


class NMF(_Streamed):
  """Non-negative matrix factorisation; in parts (`partial_fit`) by moving averages of its sums.

  Args:
    n_components: parts.
    loss: frobenius or kullback_leibler.
    tol: stop when an update lowers the mean divergence by less.
    max_iter: updates at most.
    learning_decay, learning_offset: a part at update t weighs (t + offset) ** -decay against what was before.
    random_state: of the start.
  """

  _sparse = True

  def __init__(
    self,
    n_components=1,
    *,
    loss="frobenius",
    tol=1e-6,
    max_iter=200,
    learning_decay=0.7,
    learning_offset=1.0,
    random_state=None,
  ):
    self.n_components = n_components
    self.loss = loss
    self.tol = tol
    self.max_iter = max_iter
    self.learning_decay = learning_decay
    self.learning_offset = learning_offset
    self.random_state = random_state

  def _program(self, X):
    if self.loss not in (nmf.FROBENIUS, nmf.KULLBACK_LEIBLER):
      raise UserError("loss", self.loss, f"choose {nmf.FROBENIUS} or {nmf.KULLBACK_LEIBLER}.")
    return _parts(self.n_components, self.loss, self.learning_decay, self.learning_offset)

  def _as_stream(self, state, X):
    return _scaled(state, 1 / X.shape[0])

  def _components(self, params):
    return np.asarray(params)

  def inverse_transform(self, X) -> Float[np.ndarray, "row feature"]:
    """Rows of given shares of the parts."""
    check_is_fitted(self)
    return np.asarray(X) @ self.components_


@functools.lru_cache(maxsize=64)
def _parts(parts: int, loss: str, decay: float, offset: float) -> _Program:
  family = nmf.nmf(parts, loss)
  learner = statistics.statistics_learner(**family._asdict())
  streamed = statistics.statistics_learner(**family._asdict(), combine=statistics.stepwise(1, decay, offset))
  codes = lambda params, batch: nmf.codes(params, batch["inputs"], loss)
  measure = lambda params, batch: -nmf.divergence(batch["inputs"], codes(params, batch) @ params, loss)
  return _Program(base.negated(learner, "divergence"), jax.jit(codes), jax.jit(measure), "gain", _stream(streamed))


def _scaled(state, factor: float):
  """With its sums over examples multiplied."""
  return state.replace(statistics=jax.tree.map(lambda sums: factor * sums, state.statistics))


class LatentDirichletAllocation(_Streamed):
  """Topics of counts of words, by variational Bayes, priors optimised: in one batch, or online (`partial_fit`).

  Args:
    n_components: topics.
    doc_topic_prior, topic_word_prior: at the start; None: one over the number of topics.
    learn_priors: whether they move.
    tol: stop when an update adds less to the bound, nats a word.
    max_iter: updates at most.
    total_samples: documents that the stream of `partial_fit` stands for, which priors are weighed against.
    learning_decay, learning_offset: a part at update t weighs (t + offset) ** -decay against what was before.
    random_state: of the start.
  """

  _sparse = True
  _batch = staticmethod(_document_batch)

  def __init__(
    self,
    n_components=10,
    *,
    doc_topic_prior=None,
    topic_word_prior=None,
    learn_priors=True,
    tol=1e-4,
    max_iter=100,
    total_samples=1e6,
    learning_decay=0.7,
    learning_offset=10.0,
    random_state=None,
  ):
    self.n_components = n_components
    self.doc_topic_prior = doc_topic_prior
    self.topic_word_prior = topic_word_prior
    self.learn_priors = learn_priors
    self.tol = tol
    self.max_iter = max_iter
    self.total_samples = total_samples
    self.learning_decay = learning_decay
    self.learning_offset = learning_offset
    self.random_state = random_state

  def perplexity(self, X) -> float:
    """e to minus the bound of documents given the topics, a word."""
    return float(np.exp(-self.score_samples(X).sum() / X.sum()))

  def _program(self, X):
    sizes = (self.n_components, self.n_features_in_)
    priors = (self.doc_topic_prior or 0.0, self.topic_word_prior or 0.0, self.learn_priors)
    return _topics(*sizes, *priors, (self.total_samples, self.learning_decay, self.learning_offset))

  def _as_stream(self, state, X):
    return _scaled(state, self.total_samples / X.shape[0])

  def _components(self, params):
    return np.asarray(params.weights)


@functools.lru_cache(maxsize=64)
def _topics(
  topics: int, words: int, alpha: float, eta: float, learn_priors: bool, stepwise: tuple[float, float, float]
) -> _Program:
  family = lda.lda(topics, words, alpha=alpha, eta=eta, learn_priors=learn_priors)
  infer = lambda params, batch: lda.infer(params, batch["words"], batch["counts"])

  def shares(params, batch):
    gamma = infer(params, batch).gamma
    return gamma / gamma.sum(1, keepdims=True)

  measure = lambda params, batch: lda.document_bound(params, batch["counts"], infer(params, batch))
  learner = statistics.statistics_learner(**family._asdict())
  streamed = statistics.statistics_learner(**family._asdict(), combine=statistics.stepwise(*stepwise))
  return _Program(learner, jax.jit(shares), jax.jit(measure), "bound", _stream(streamed))


class BernoulliRBM(_Streamed):
  """A Boltzmann machine of values of 0 to 1, by chains that go on, one for each row of a batch of all rows.

  `partial_fit` goes a step; where it is given more rows than before, chains are repeated.

  Args:
    n_components: hidden units.
    learning_rate: of gradient descent.
    max_iter: updates.
    random_state: of weights and chains.
  """

  tol = 0.0

  def __init__(self, n_components=256, *, learning_rate=0.1, max_iter=200, random_state=None):
    self.n_components = n_components
    self.learning_rate = learning_rate
    self.max_iter = max_iter
    self.random_state = random_state

  def _program(self, X):
    return _machine(self.n_components, self.learning_rate)

  def _resumed(self, state, X):
    rows = len(self._batch(X)["mask"])
    return state.replace(carry=tuple(np.resize(chains, (rows, *chains.shape[1:])) for chains in state.carry))

  def _components(self, params):
    layer = params["layer_0"]
    self.intercept_visible_, self.intercept_hidden_ = np.asarray(layer["visible"]), np.asarray(layer["hidden"])
    return np.asarray(layer["weights"]).T

  def score_samples(self, X):
    """Pseudo-log-likelihood of each row: the sum over units of their log-probability given all others, nats."""
    return super().score_samples(X)

  def _checked(self, X, reset):
    X = super()._checked(X, reset)
    if X.max(initial=0) > 1:
      raise ValueError(f"Values of 0 to 1 are modelled; the largest of X is {X.max():g}: scale them.")
    return X


@functools.lru_cache(maxsize=64)
def _machine(hidden: int, rate: float) -> _Program:
  family = rbm.rbm((hidden,), average=np.zeros(0))  # which the start alone knows of

  def init(key, batch):
    average = (batch["mask"] @ batch["inputs"]) / batch["mask"].sum()
    return rbm.rbm((hidden,), average=average).init(key, batch)

  learner = steps.gradient_learner(
    init=init,
    loss=family.loss,
    evaluate=family.evaluate,
    optimizer=optax.sgd(rate),
    init_carry=family.init_carry,
  )
  machine = lambda params: rbm.Machine(**params["layer_0"])
  return _Program(
    learner,
    jax.jit(lambda params, batch: jax.nn.sigmoid(rbm.inputs_of(machine(params), batch["inputs"]))),
    jax.jit(lambda params, batch: rbm.conditional_log_likelihood(machine(params), batch["inputs"])),
    "loss",
    _stream(learner),
  )
