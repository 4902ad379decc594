"""Naive Bayes with scikit-learn's interface: its names, parameters and smoothing, in float64.

  GaussianNB().fit(X, y).predict_proba(X)

Rows are counted in chunks of a few fixed sizes, so data of any length stream through one compiled program; a fit of
equal hyper-parameters and features compiles nothing.  Beside scikit-learn's methods there is `sample`.
"""

import abc
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from scipy import special
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
    parameters_: of the model, arrays by name, each [class, ...] (`research.families.naive_bayes`).
  """

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
    self.__dict__.pop("_state", None)
    return self._count(X, y, None, sample_weight)

  def partial_fit(self, X, y, classes=None, sample_weight=None):
    """Counts further examples; `classes`, all that will ever come, are to be given at the first call.

    In chunks or at once, the model is the same: see `fit`.
    """
    if classes is None and not self.__sklearn_is_fitted__():
      raise UserError("classes", None, "classes must be passed on the first call to partial_fit.")
    return self._count(X, y, classes, sample_weight)

  def predict_joint_log_proba(self, X) -> Float[np.ndarray, "example class"]:
    """log p(x, y), nats."""
    check_is_fitted(self)
    X = validate_data(self, X, dtype=np.float64, reset=False)
    program, params = self._program(), self._state["params"]
    self._check(program, X)
    with base.float64():
      scores = [(program.log_joint(params, inputs), kept) for inputs, _, _, kept in _chunks(X)]
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

  def _count(self, X, y, classes, sample_weight):
    first = not self.__sklearn_is_fitted__()
    X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
    if y.dtype.kind not in "biuSU":  # else they are labels, and the check takes longer than the counting
      check_classification_targets(y)
    if sample_weight is not None:
      sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    label = self._labels(y, classes, first)
    if first:
      self._declare(X)
    program = self._program()
    self._check(program, X)
    with base.float64():
      state = program.start(X.shape[1])
      state = state if first else state.replace(**self._state)
      weight = np.ones(len(X)) if sample_weight is None else sample_weight
      for inputs, labels, mask, _ in _chunks(X, label, weight):
        state = program.count(state, {"inputs": inputs, "label": labels, "mask": mask})
      params, counted, skipped = jax.device_get((state.params, state.statistics, state.skipped))
    if skipped:
      raise UserError("X", float(np.abs(X).max()), "sums over the examples overflow: scale the features down.")
    self._state = {"params": params, "statistics": counted}
    return self

  def _labels(self, y, classes, first: bool) -> Int[np.ndarray, " example"]:
    """Labels as places among the classes, which the first data fix."""
    labels, label = np.unique(y, return_inverse=True)
    if first:
      self.classes_ = labels if classes is None else np.unique(classes)
    elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
      raise UserError("classes", list(classes), f"the first call to partial_fit gave {self.classes_.tolist()}.")
    if labels is self.classes_:
      return label
    if not np.isin(labels, self.classes_).all():
      raise UserError("y", labels.tolist(), f"there are labels that are not in the classes {self.classes_.tolist()}.")
    return np.searchsorted(self.classes_, labels)[label]

  def _check(self, program: _Compiled, X) -> None:
    """What scikit-learn's validation, which knows NaN, does not know."""
    check = program.family.observation.check
    if check is not None:
      check(X, "X")

  def _declare(self, X) -> None:
    """Takes from the first data what later data cannot change."""


class GaussianNB(_NaiveBayes):
  """Features normal, with a mean and a variance in each class.

  Args:
    priors: probability of each class; by default its share of the examples.
    var_smoothing: share of the largest variance that every variance gains; above 0.
  """

  def __init__(self, *, priors=None, var_smoothing=1e-9):
    self.priors = priors
    self.var_smoothing = var_smoothing

  def _observation(self):
    return family_lib.gaussian, {"var_smoothing": self.var_smoothing}

  def _prior(self):
    return None if self.priors is None else tuple(self.priors)


class _DiscreteNB(_NaiveBayes):
  """What the smoothed models have in common."""

  alpha: float
  fit_prior: bool
  class_prior: Any

  def _prior(self):
    if self.class_prior is not None:
      return tuple(self.class_prior)
    return None if self.fit_prior else (1 / len(self.classes_),) * len(self.classes_)

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.classifier_tags.poor_score = True
    return tags


class BernoulliNB(_DiscreteNB):
  """Features on or off.

  Args:
    alpha: added to every count; above 0.
    binarize: a feature is on above it.
    fit_prior: whether a class has the probability of its share of the examples; else all have the same.
    class_prior: probability of each class, in place of both.
  """

  def __init__(self, *, alpha=1.0, binarize=0.0, fit_prior=True, class_prior=None):
    self.alpha = alpha
    self.binarize = binarize
    self.fit_prior = fit_prior
    self.class_prior = class_prior

  def _observation(self):
    return family_lib.bernoulli, {"alpha": self.alpha, "threshold": self.binarize}


class _CountNB(_DiscreteNB):
  """Of features that are no less than 0."""

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.input_tags.positive_only = True
    return tags


class MultinomialNB(_CountNB):
  """Features are counts, such as those of words.

  Args:
    alpha, fit_prior, class_prior: as `BernoulliNB`.
  """

  def __init__(self, *, alpha=1.0, fit_prior=True, class_prior=None):
    self.alpha = alpha
    self.fit_prior = fit_prior
    self.class_prior = class_prior

  def _observation(self):
    return family_lib.multinomial, {"alpha": self.alpha}


class ComplementNB(_CountNB):
  """Features are counts, and a class is weighed by those of all others: for classes of unequal size.

  Args:
    alpha, fit_prior, class_prior: as `BernoulliNB`; the prior does not enter predictions.
    norm: divide the weights of a class by their sum.
  """

  def __init__(self, *, alpha=1.0, fit_prior=True, class_prior=None, norm=False):
    self.alpha = alpha
    self.fit_prior = fit_prior
    self.class_prior = class_prior
    self.norm = norm

  def _observation(self):
    return family_lib.complement, {"alpha": self.alpha, "norm": self.norm}


class CategoricalNB(_CountNB):
  """Features are categories, whole numbers from 0.

  Args:
    alpha, fit_prior, class_prior: as `BernoulliNB`.
    min_categories: categories of every feature, or of each; by default as many as the first data have.  A category
      beyond them, when further data are counted or predicted, is an error.

  Attributes:
    n_categories_: categories of each feature, [feature].
  """

  def __init__(self, *, alpha=1.0, fit_prior=True, class_prior=None, min_categories=None):
    self.alpha = alpha
    self.fit_prior = fit_prior
    self.class_prior = class_prior
    self.min_categories = min_categories

  def _declare(self, X):
    categories = X.max(0).astype(int) + 1
    self.n_categories_ = np.maximum(categories, 1 if self.min_categories is None else self.min_categories)

  def _observation(self):
    return family_lib.categorical, {"alpha": self.alpha, "num_categories": tuple(self.n_categories_.tolist())}

  def __sklearn_tags__(self):
    tags = super().__sklearn_tags__()
    tags.input_tags.categorical = True
    return tags


def _chunks(X, label=None, weight=None) -> Iterator[tuple[Any, Any, Any, int]]:
  """(inputs, label, mask, number of rows that are real); the last chunk is padded with rows of zeros and mask 0."""
  size = SMALL if len(X) <= SMALL else LARGE

  def padded(array, rows):
    part = array[rows]
    if len(part) == size:
      return part
    whole = np.empty((size, *array.shape[1:]), array.dtype)
    whole[: len(part)], whole[len(part) :] = part, 0
    return whole

  for start in range(0, len(X), size):
    rows = slice(start, start + size)
    inputs, labels, mask = (None if array is None else padded(array, rows) for array in (X, label, weight))
    yield inputs, labels, mask, min(size, len(X) - start)
