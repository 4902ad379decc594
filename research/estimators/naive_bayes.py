"""Naive Bayes with scikit-learn's interface: its names, parameters and smoothing, in float64.

  GaussianNB().fit(X, y).predict_proba(X)

Rows are counted in chunks of a few fixed sizes, so data of any length stream through one compiled program; a fit of
equal hyper-parameters and features compiles nothing.  Beside scikit-learn's methods there is `sample`.
"""

import abc
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy import special
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from research import randomness
from research.errors import UserError
from research.estimators import base
from research.families import naive_bayes as family_lib
from research.training import statistics

# Rows of a chunk, of small data and of large: few sizes, so that few programs are compiled, and pieces that fit into a
# processor's cache.
SMALL, LARGE = 128, 512
_LEAST_ALPHA = 1e-10  # scikit-learn's, without `force_alpha`
_LIMIT_ALPHA = 1e-300  # stands for 0: its logarithm is a number, and its share none


class _Compiled(NamedTuple):
  """A family with its compiled functions, shared by all estimators of equal hyper-parameters."""

  family: family_lib.NaiveBayes
  start: Callable
  count: Callable
  log_joint: Callable
  sample: Callable


@functools.lru_cache(maxsize=128)
def _compiled(make: Callable, options: tuple, num_classes: int, prior: tuple | None) -> _Compiled:
  family = family_lib.NaiveBayes(make(**dict(options)), num_classes, prior)
  learner = statistics.statistics_learner(
    init=family.init,
    prepare=family.prepare,
    expect=family.expect,
    maximise=family.maximise,
    evaluate=family.evaluate,
    combine=statistics.total,
  )

  @functools.lru_cache(maxsize=8)
  def start(features: int) -> statistics.StatisticsState:
    """The state of nothing counted.  Its parameters are not used before they are computed, so zeros will do."""
    batch = {"inputs": np.zeros((1, features)), "label": np.zeros(1, int), "mask": np.zeros(1)}
    shapes = jax.eval_shape(learner.init, jax.random.key(0), batch)
    nothing = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes.replace(key=None))
    return nothing.replace(key=jax.random.key(0))

  def sample(params, key, label, count):
    if label is None:
      label = family.sample_labels(params, randomness.stream_key(key, "label"), count)
    return label, family.sample(params, randomness.stream_key(key, "inputs"), label)

  return _Compiled(
    family,
    start,
    jax.jit(lambda state, batch: learner.update(state, batch)[0]),
    jax.jit(family.log_joint),
    jax.jit(sample, static_argnames="count"),
  )


class _NaiveBayes(ClassifierMixin, BaseEstimator, metaclass=abc.ABCMeta):
  """What the five have in common.

  Attributes:
    classes_: labels, sorted.
    class_count_: weight of each class, [class].
    n_features_in_: features.
    feature_names_in_: their names, where X has some.
    parameters_: of the model, arrays by name, each [class, ...] (`research.families.naive_bayes`).
  """

  n_features_in_: int
  _accept_sparse: Any = False  # scikit-learn's word for it

  @abc.abstractmethod
  def _observation(self) -> tuple[Callable, dict]:
    """The model, and its hyper-parameters, hashable."""

  @abc.abstractmethod
  def _prior(self) -> tuple | None:
    """Of the classes, their probabilities; None: as counted."""

  def fit(self, X, y, sample_weight=None):
    """Counts the examples, from the beginning.

    Args:
      X: [example, feature].
      y: labels, of any type that can be sorted, [example].
      sample_weight: by which examples count, [example]; 1 each by default.
    """
    return self._count(X, y, None, sample_weight, first=True)

  def partial_fit(self, X, y, classes=None, sample_weight=None):
    """Counts further examples; `classes`, all that will ever come, are to be given at the first call.

    In chunks or at once, the model is the same: see `fit`.
    """
    if classes is None and not self.__sklearn_is_fitted__():
      raise UserError("classes", None, "classes must be passed on the first call to partial_fit.")
    return self._count(X, y, classes, sample_weight, first=not self.__sklearn_is_fitted__())

  def predict_joint_log_proba(self, X) -> Float[np.ndarray, "example class"]:
    """log p(x, y), nats."""
    check_is_fitted(self)
    X = validate_data(self, X, accept_sparse=self._accept_sparse, dtype=np.float64, reset=False)
    program, params = self._program(), self._state["params"]
    with base.float64():
      scores = [(program.log_joint(params, inputs), kept) for inputs, _, _, kept in self._chunks(program, X)]
      return np.concatenate([np.asarray(score)[:kept] for score, kept in scores])

  def predict_log_proba(self, X) -> Float[np.ndarray, "example class"]:
    """log p(y | x), nats."""
    return special.log_softmax(self.predict_joint_log_proba(X), axis=1)

  def predict_proba(self, X) -> Float[np.ndarray, "example class"]:
    """p(y | x)."""
    return np.exp(self.predict_log_proba(X))

  def predict(self, X) -> np.ndarray:
    """The most probable class, [example]."""
    scores = self.predict_joint_log_proba(X)
    return self.classes_[scores.argmax(1)]

  def sample(self, n_samples: int = 1, label=None, random_state=None) -> tuple[np.ndarray, np.ndarray]:
    """Draws examples from p(x, y), or from p(x | y) of one class.

    Args:
      n_samples: how many.
      label: the class; drawn from the prior by default.
      random_state: scikit-learn's.

    Returns:
      Inputs [n_samples, feature] and labels [n_samples].

    Raises:
      UserError: no such class, or a model that is no distribution over inputs (`ComplementNB`).
    """
    check_is_fitted(self)
    if label is not None and label not in self.classes_:
      raise UserError("label", label, f"choose one of {self.classes_.tolist()}.")
    with base.float64():
      given = None if label is None else np.full(n_samples, np.searchsorted(self.classes_, label))
      key = base.key_of(random_state)
      classes, inputs = jax.device_get(self._program().sample(self._state["params"], key, given, count=n_samples))
    return inputs, self.classes_[classes]

  @property
  def class_count_(self) -> Float[np.ndarray, " class"]:
    return self._state["statistics"]["count"]

  @property
  def parameters_(self) -> dict[str, np.ndarray]:
    return {"prior": self._state["params"]["prior"], **self._state["params"]["observation"]}

  def __sklearn_is_fitted__(self) -> bool:
    return hasattr(self, "_state")

  def _program(self) -> _Compiled:
    make, options = self._observation()
    return _compiled(make, tuple(options.items()), len(self.classes_), self._prior())

  def _count(self, X, y, classes, sample_weight, first: bool):
    with base.unchanged_where_it_fails(self):
      return self._counted(X, y, classes, sample_weight, first)

  def _counted(self, X, y, classes, sample_weight, first: bool):
    X, y = validate_data(self, X, y, accept_sparse=self._accept_sparse, dtype=np.float64, reset=first)
    if y.dtype.kind not in "biuSU":  # else they are labels, and the check takes longer than the counting
      check_classification_targets(y)
    if sample_weight is not None:
      sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    label = self._labels(y, classes, first)
    if first:
      self._declare(X)
    else:
      self._extend(X)
    program = self._program()
    with base.float64():
      state = program.start(X.shape[1])
      state = state if first else state.replace(**self._state)
      weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
      for inputs, labels, mask, _ in self._chunks(program, X, label, weight):
        state = program.count(state, {"inputs": inputs, "label": labels, "mask": mask})
      params, counted, skipped = jax.device_get((state.params, state.statistics, state.skipped))
    if skipped:
      raise UserError("X", float(abs(X).max()), "sums over the examples overflow: scale the features down.")
    self._state = {"params": params, "statistics": counted}
    return self

  def _labels(self, y, classes, first: bool) -> Int[np.ndarray, " example"]:
    """Labels as places among the classes, which the first data fix."""
    labels, label = np.unique(y, return_inverse=True)
    if first:
      self.classes_ = labels if classes is None else np.unique(classes)
    elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
      remedy = f"it is not the same as on last call to partial_fit, {self.classes_.tolist()}."
      raise UserError("classes", list(classes), remedy)
    if labels is self.classes_:
      return label
    if not np.isin(labels, self.classes_).all():
      unknown = labels[~np.isin(labels, self.classes_)].tolist()
      remedy = f"The target label(s) {unknown} in y do not exist in the initial classes {self.classes_.tolist()}."
      raise UserError("y", labels.tolist(), remedy)
    return np.searchsorted(self.classes_, labels)[label]

  def _chunks(self, program: _Compiled, X, label=None, weight=None) -> Iterator[tuple[Any, Any, Any, int]]:
    """`_chunks` of rows, once all are known to be what the model is for: scikit-learn's validation knows NaN alone."""
    if self.__sklearn_tags__().input_tags.positive_only and X.shape[0] and X.min() < 0:
      message = f"Negative values in data passed to {type(self).__name__} (input X): give counts, or categories from 0."
      raise UserError("X", float(X.min()), message)
    check = program.family.observation.check
    if check is not None:
      check(X.data[None] if issparse(X) else X, "X")  # what a sparse matrix leaves out is 0
    return _chunks(X, label, weight)

  def _checked_prior(self, field: str, prior) -> tuple[float, ...] | None:
    """A prior that was given, hashable.

    Raises:
      UserError: it is no distribution over the classes.
    """
    if prior is None:
      return None
    values, remedy = np.asarray(prior, np.float64), ""
    if values.shape != self.classes_.shape:
      remedy = f"Number of priors must match number of classes, {len(self.classes_)}."
    elif (values < 0).any():
      remedy = "Priors must be non-negative."
    elif not np.isclose(values.sum(), 1):
      remedy = "The sum of the priors should be 1."
    if remedy:
      raise UserError(field, values.tolist(), remedy)
    return tuple(values.tolist())

  def _declare(self, X) -> None:
    """Takes from the first data what the model is to know before it counts."""

  def _extend(self, X) -> None:
    """Makes room for what further data have and the first had not."""


class GaussianNB(_NaiveBayes):
  """Features normal, with a mean and a variance in each class.

  Args:
    priors: probability of each class; by default its share of the examples.
    var_smoothing: share of the largest variance that every variance gains; above 0.

  Attributes:
    class_prior_: probability of each class, [class].
    theta_, var_: means and variances, smoothed, [class, feature].
  """

  def __init__(self, *, priors=None, var_smoothing=1e-9):
    self.priors = priors
    self.var_smoothing = var_smoothing

  def _observation(self):
    return family_lib.gaussian, {"var_smoothing": self.var_smoothing}

  def _prior(self):
    return self._checked_prior("priors", self.priors)

  @property
  def class_prior_(self) -> Float[np.ndarray, " class"]:
    return self.parameters_["prior"]

  @property
  def theta_(self) -> Float[np.ndarray, "class feature"]:
    return self.parameters_["mean"]

  @property
  def var_(self) -> Float[np.ndarray, "class feature"]:
    return self.parameters_["variance"]


class _DiscreteNB(_NaiveBayes):
  """What the smoothed models have in common.

  Attributes:
    class_log_prior_: [class], nats.
    feature_count_: sum of each feature over the examples of a class, by weight, [class, feature].
    feature_log_prob_: log p(x_f | y), [class, feature], nats; of `ComplementNB` the weights.
  """

  alpha: Any
  force_alpha: bool
  fit_prior: bool
  class_prior: Any
  _accept_sparse = "csr"

  @property
  def class_log_prior_(self) -> Float[np.ndarray, " class"]:
    with np.errstate(divide="ignore"):  # of a class without examples
      return np.log(self.parameters_["prior"])

  @property
  def feature_count_(self) -> Float[np.ndarray, "class feature"]:
    return self._state["statistics"]["sums"]["features"]

  @property
  def feature_log_prob_(self) -> Float[np.ndarray, "class feature"]:
    return self.parameters_["weight"]

  def _smoothing(self) -> float | tuple[float, ...]:
    """`alpha`, one or one a feature; 0 as its limit from above.

    Raises:
      UserError: below 0, NaN, or of another length than features.
    """
    alpha = np.asarray(self.alpha, np.float64)
    if not (alpha >= 0).all():
      raise UserError("alpha", float(alpha.min()), "All values in alpha must be greater than 0.")
    if alpha.ndim and alpha.shape != (self.n_features_in_,):
      remedy = f"When alpha is an array, it should contains `n_features`, {self.n_features_in_}, of them."
      raise UserError("alpha", list(alpha.shape), remedy)
    if not self.force_alpha and (alpha < _LEAST_ALPHA).any():
      message = f"alpha too small will result in numeric errors, setting alpha = {_LEAST_ALPHA:.1e}."
      warnings.warn(message, stacklevel=4)
      alpha = np.maximum(alpha, _LEAST_ALPHA)
    return _hashable(np.maximum(alpha, _LIMIT_ALPHA))

  def _prior(self):
    if self.class_prior is not None:
      return self._checked_prior("class_prior", self.class_prior)
    return None if self.fit_prior else (1 / len(self.classes_),) * len(self.classes_)

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.classifier_tags.poor_score = True
    tags.input_tags.sparse = bool(self._accept_sparse)
    return tags


class BernoulliNB(_DiscreteNB):
  """Features on or off.

  Args:
    alpha: added to every count, 0 or more; one, or one a feature.
    force_alpha: take `alpha` as it is; else 1e-10 at least.
    binarize: a feature is on above it; None: features are 0 and 1.
    fit_prior: whether a class has the probability of its share of the examples; else all have the same.
    class_prior: probability of each class, in place of both.
  """

  def __init__(self, *, alpha=1.0, force_alpha=True, binarize=0.0, fit_prior=True, class_prior=None):
    self.alpha = alpha
    self.force_alpha = force_alpha
    self.binarize = binarize
    self.fit_prior = fit_prior
    self.class_prior = class_prior

  def _observation(self):
    threshold = 0.5 if self.binarize is None else self.binarize
    return family_lib.bernoulli, {"alpha": self._smoothing(), "threshold": threshold}

  @property
  def feature_log_prob_(self) -> Float[np.ndarray, "class feature"]:
    """log p(x_f = 1 | y)."""
    return special.log_expit(self.parameters_["weight"])


class _CountNB(_DiscreteNB):
  """Of features that are no less than 0."""

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.input_tags.positive_only = True
    return tags


class MultinomialNB(_CountNB):
  """Features are counts, such as those of words.

  Args:
    alpha, force_alpha, fit_prior, class_prior: as `BernoulliNB`.
  """

  def __init__(self, *, alpha=1.0, force_alpha=True, fit_prior=True, class_prior=None):
    self.alpha = alpha
    self.force_alpha = force_alpha
    self.fit_prior = fit_prior
    self.class_prior = class_prior

  def _observation(self):
    return family_lib.multinomial, {"alpha": self._smoothing()}


class ComplementNB(_CountNB):
  """Features are counts, and a class is weighed by those of all others: for classes of unequal size.

  Args:
    alpha, force_alpha, fit_prior, class_prior: as `BernoulliNB`; the prior does not enter predictions.
    norm: divide the weights of a class by their sum.
  """

  def __init__(self, *, alpha=1.0, force_alpha=True, fit_prior=True, class_prior=None, norm=False):
    self.alpha = alpha
    self.force_alpha = force_alpha
    self.fit_prior = fit_prior
    self.class_prior = class_prior
    self.norm = norm

  def _observation(self):
    return family_lib.complement, {"alpha": self._smoothing(), "norm": self.norm}

  @property
  def feature_all_(self) -> Float[np.ndarray, " feature"]:
    """Sum of each feature over all examples."""
    return self.feature_count_.sum(0)


class CategoricalNB(_CountNB):
  """Features are categories, whole numbers from 0.

  Args:
    alpha, force_alpha, fit_prior, class_prior: as `BernoulliNB`.
    min_categories: categories of every feature, or of each; by default as many as the first data have.  A category
      beyond them is counted as a new one in further data, and an error in what is predicted.

  Attributes:
    n_categories_: categories of each feature, [feature].
    category_count_, feature_log_prob_: of each feature, [class, category].
  """

  _accept_sparse = False

  def __init__(self, *, alpha=1.0, force_alpha=True, fit_prior=True, class_prior=None, min_categories=None):
    self.alpha = alpha
    self.force_alpha = force_alpha
    self.fit_prior = fit_prior
    self.class_prior = class_prior
    self.min_categories = min_categories

  def _declare(self, X):
    least = np.asarray(1 if self.min_categories is None else self.min_categories)
    if least.dtype.kind not in "iu":
      raise UserError("min_categories", self.min_categories, "'min_categories' should have integral type.")
    if least.ndim and least.shape != (X.shape[1],):
      raise UserError("min_categories", self.min_categories, f"'min_categories' should have shape ({X.shape[1]},).")
    self.n_categories_ = np.maximum(X.max(0).astype(int) + 1, least)

  def _extend(self, X):
    larger = np.maximum(self.n_categories_, X.max(0).astype(int) + 1)
    if (larger > self.n_categories_).any():
      counts = self.feature_count_.reshape(len(self.classes_), X.shape[1], -1)
      padded = np.pad(counts, ((0, 0), (0, 0), (0, larger.max() - counts.shape[2])))
      statistics = {**self._state["statistics"], "sums": {"features": padded.reshape(len(counts), -1)}}
      self.n_categories_ = larger
      # Parameters are a function of the counts: those of nothing will do until they are computed anew.
      self._state = {"params": self._program().start(X.shape[1]).params, "statistics": statistics}

  def _observation(self):
    options = {"num_categories": tuple(self.n_categories_.tolist()), "alpha": self._smoothing()}
    return family_lib.categorical, options

  @property
  def category_count_(self) -> list[Float[np.ndarray, "class category"]]:
    return self._of_features(self.feature_count_)

  @property
  def feature_log_prob_(self) -> Any:
    return self._of_features(self.parameters_["weight"])

  def _of_features(self, flat: np.ndarray) -> list[np.ndarray]:
    """Apart by features, without the padding of those with fewer categories."""
    parts = flat.reshape(len(flat), len(self.n_categories_), -1)
    return [parts[:, i, :count] for i, count in enumerate(self.n_categories_)]

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.input_tags.categorical = True
    return tags


def _hashable(values) -> float | tuple[float, ...]:
  """Numbers as `functools.lru_cache` takes them."""
  return tuple(np.asarray(values, np.float64).tolist()) if np.ndim(values) else float(values)


def _chunks(X, label=None, weight=None) -> Iterator[tuple[Any, Any, Any, int]]:
  """(inputs, label, mask, number of rows that are real); the last chunk is padded with rows of zeros and mask 0."""
  count = X.shape[0]
  size = SMALL if count <= SMALL else LARGE

  def padded(array, rows):
    part = array[rows].toarray() if issparse(array) else array[rows]
    if len(part) == size:
      return part
    whole = np.empty((size, *array.shape[1:]), array.dtype)
    whole[: len(part)], whole[len(part) :] = part, 0
    return whole

  for start in range(0, count, size):
    rows = slice(start, start + size)
    inputs, labels, mask = (None if array is None else padded(array, rows) for array in (X, label, weight))
    yield inputs, labels, mask, min(size, count - start)
