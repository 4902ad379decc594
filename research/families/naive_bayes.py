"""Naive Bayes: p(x, y) = p(y) prod_f p(x_f | y), fitted by counting, in one pass.

Everything is a function of sums over examples, so batches, devices and passes add up: `expect` counts, `maximise` is
the closed form.  The log-odds of two classes are linear in fixed functions of the input, `Observation.features`: what a
logistic regression is given to be the discriminative twin of the model (Ng & Jordan 2002).

Maron 1961; McCallum & Nigam 1998 (Bernoulli, multinomial); Rennie et al. 2003 (complement); Chan, Golub & LeVeque 1983
(variances in one pass).  Smoothing is scikit-learn's, number by number.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research import axes, randomness
from research.errors import UserError
from research.families import classifier
from research.metrics import Mean

Tree = Mapping[str, Array]
Inputs = Float[Array, "batch feature"]
Weights = Float[Array, "batch class"]  # of an example: its mask in the column of its class, elsewhere 0
Scores = Float[Array, "batch class"]
Smoothing = float | tuple[float, ...]  # added to every count: one number, or one a feature

DEFINITIONS = classifier.DEFINITIONS

# Sums are exact in the type of the inputs: accelerators would round the factors to fewer bits.
_dot = functools.partial(jnp.matmul, precision="highest")


def _sums(weights: Weights, features: Float[Array, "batch feature"]) -> Float[Array, "class feature"]:
  """weights^T features: what the examples of each class add up to.

  Of every row of `weights` one number is not 0, which a CPU makes use of, for which scattering costs one pass: 14 ms
  for 60,000 rows of 784 float64 numbers where all weigh 1 and 50 where not, the product 30 to 70.
  """

  def by_class(weights, features):
    weight, label = weights.sum(-1, keepdims=True), weights.argmax(-1)
    add = lambda x: jax.ops.segment_sum(x, label, weights.shape[1])
    return jax.lax.cond((weight == 1).all(), lambda: add(features), lambda: add(weight * features))

  return jax.lax.platform_dependent(weights, features, cpu=by_class, default=lambda w, x: _dot(w.T, x))


class Observation(NamedTuple):
  """p(x | y), every feature on its own, as pure functions.

  Attributes:
    statistics: `statistics(anchor, inputs, weights) -> sums` over the examples, each [class, ...].
    parameters: `parameters(anchor, count, sums) -> parameters` in closed form; `count` is the weight of each class.
    log_likelihood: `log_likelihood(parameters, inputs) -> [batch, class]`, log p(x | y) in nats; the multinomial models
      leave out the factor that depends on x alone.
    features: `features(inputs) -> [batch, statistic]`, in which the log-odds of two classes are linear.
    mean: `mean(parameters) -> [class, feature]`, the expected input.
    sample: `sample(parameters, key) -> [feature]`, of one class; None where the model is no distribution.
    anchor: `anchor(inputs, weights) -> [class, feature]`, where the classes lie, to be known before they are counted;
      None where it need not be.
    check: `check(inputs, field)` refuses finite host arrays that the model is not for, by `UserError`; None if it is
      for all.
    uses_prior: whether p(y) enters the score of a class.
  """

  statistics: Callable[[Array, Inputs, Weights], Tree]
  parameters: Callable[[Array, Float[Array, " class"], Tree], Tree]
  log_likelihood: Callable[[Tree, Inputs], Scores]
  features: Callable[[Inputs], Float[Array, "batch statistic"]]
  mean: Callable[[Tree], Float[Array, "class feature"]]
  sample: Callable[[Tree, Key[Array, ""]], Float[Array, " feature"]] | None = None
  anchor: Callable[[Inputs, Weights], Float[Array, "class feature"]] | None = None
  check: Callable[[np.ndarray, str], None] | None = None
  uses_prior: bool = True


def gaussian(var_smoothing: float = 1e-9) -> Observation:
  """x_f | y normal with a mean and a variance of its own.

  Variances are the mean square minus the square of the mean, both about an anchor: the mean of the class in the batch
  in which it first appears.  About 0 the difference would lose all digits where a mean is large beside its deviation,
  and come out negative; about a shift within the class it loses next to none (Chan, Golub & LeVeque 1983, on shifted
  data).  Their pairwise merging of means is as sound, but its statistics are no sums, and sums are what devices,
  micro-batches and passes add.

  Args:
    var_smoothing: every variance gains this share of the largest variance of any feature, classes taken together; of 1
      where every feature is constant.  A class without examples has the mean and variance of all.

  Raises:
    UserError: `var_smoothing` is not above 0.
  """
  _check_positive("var_smoothing", var_smoothing)

  def anchor(inputs, weights):
    count, total = axes.psum((weights.sum(0), _sums(weights, inputs)))
    return total / jnp.where(count > 0, count, 1)[:, None]

  def statistics(anchor, inputs, weights):
    offset = inputs - anchor[weights.argmax(-1)]
    return {"offset": _sums(weights, offset), "square": _sums(weights, offset**2)}

  def parameters(anchor, count, sums):
    seen, n = (count > 0)[:, None], jnp.where(count > 0, count, 1)[:, None]
    offset = sums["offset"] / n
    mean, variance = anchor + offset, jnp.maximum(sums["square"] / n - offset**2, 0)
    share = count / jnp.where(count.sum() > 0, count.sum(), 1)
    centre = _dot(share, mean)
    overall = _dot(share, variance + (mean - centre) ** 2)
    largest = overall.max()
    smoothing = var_smoothing * jnp.where(largest > 0, largest, 1)
    return {"mean": jnp.where(seen, mean, centre), "variance": jnp.where(seen, variance, overall) + smoothing}

  def log_likelihood(parameters, inputs):
    mean, variance = parameters["mean"], parameters["variance"]
    # Not expanded into matrix products: they would cancel where a variance is small.
    square = ((inputs[:, None] - mean) ** 2 / variance).sum(-1)
    return -0.5 * (square + jnp.log(2 * jnp.pi * variance).sum(-1))

  def sample(parameters, key):
    mean = parameters["mean"]
    return mean + jnp.sqrt(parameters["variance"]) * jax.random.normal(key, mean.shape, mean.dtype)

  return Observation(
    statistics=statistics,
    parameters=parameters,
    log_likelihood=log_likelihood,
    features=lambda inputs: jnp.concatenate([inputs, inputs**2], -1),
    mean=lambda parameters: parameters["mean"],
    sample=sample,
    anchor=anchor,
  )


def _log_linear(features: Callable, parameters: Callable, **rest) -> Observation:
  """Observations whose statistics are the sums of `features`, and log p(x | y) = features(x) weight_y + bias_y.

  Args:
    features: as `Observation.features`.
    parameters: `parameters(count, counts [class, statistic]) -> {weight: [class, statistic], bias: [class], ...}`.
    rest: of `Observation`.
  """
  return Observation(
    statistics=lambda anchor, inputs, weights: {"features": _sums(weights, features(inputs))},
    parameters=lambda anchor, count, sums: parameters(count, sums["features"]),
    log_likelihood=lambda p, inputs: _dot(features(inputs), p["weight"].T) + p["bias"],
    features=features,
    **rest,
  )


def bernoulli(alpha: Smoothing = 1.0, threshold: float = 0.5) -> Observation:
  """x_f > threshold with probability p = (n_on + alpha) / (n + 2 alpha) (McCallum & Nigam 1998, equation 5).

  Raises:
    UserError: `alpha` is not above 0.
  """
  smoothing = _smoothing(alpha)

  def parameters(count, counts):
    n = count[:, None]
    log_on, log_off = jnp.log(counts + smoothing), jnp.log(n - counts + smoothing)
    return {"weight": log_on - log_off, "bias": (log_off - jnp.log(n + 2 * smoothing)).sum(-1)}

  def sample(parameters, key):
    p = jax.nn.sigmoid(parameters["weight"])
    return jax.random.bernoulli(key, p).astype(p.dtype)

  return _log_linear(
    lambda inputs: (inputs > threshold).astype(inputs.dtype),
    parameters,
    mean=lambda parameters: jax.nn.sigmoid(parameters["weight"]),
    sample=sample,
  )


def multinomial(alpha: Smoothing = 1.0) -> Observation:
  """x counts draws from a distribution over the features, theta_f = (n_f + alpha) / sum_f (n_f + alpha).

  McCallum & Nigam 1998, equation 7.  Counts need not be whole.  What is sampled has as many draws as a mean input of
  its class, rounded: the model says nothing about their number.

  Raises:
    UserError: `alpha` is not above 0.
  """
  smoothing = _smoothing(alpha)

  def parameters(count, counts):
    smoothed = counts + smoothing
    log_theta = jnp.log(smoothed) - jnp.log(smoothed.sum(-1, keepdims=True))
    draws = counts.sum(-1) / jnp.where(count > 0, count, 1)
    return {"weight": log_theta, "bias": jnp.zeros_like(count), "draws": draws}

  def sample(parameters, key):
    theta = jnp.exp(parameters["weight"])
    return jax.random.multinomial(key, jnp.round(parameters["draws"]), theta / theta.sum())

  return _log_linear(
    lambda inputs: inputs,
    parameters,
    mean=lambda parameters: parameters["draws"][:, None] * jnp.exp(parameters["weight"]),
    check=_check_counts,
    sample=sample,
  )


def complement(alpha: Smoothing = 1.0, norm: bool = False) -> Observation:
  """Weights from the counts of all *other* classes: -log theta_{not y, f} (Rennie et al. 2003, section 3.1).

  Made for classes of unequal size.  It scores classes and is no distribution over x: there is nothing to sample, and
  the class prior does not enter.

  Args:
    alpha: added to every count.
    norm: divide the weights of a class by their sum (Rennie et al. 2003, section 3.2).

  Raises:
    UserError: `alpha` is not above 0.
  """
  smoothing = _smoothing(alpha)

  def parameters(count, counts):
    # The sum over the others, not the whole minus the class: nothing cancels.
    smoothed = _dot(1 - jnp.eye(len(counts), dtype=counts.dtype), counts) + smoothing
    log_theta = jnp.log(smoothed) - jnp.log(smoothed.sum(-1, keepdims=True))
    weight = log_theta / log_theta.sum(-1, keepdims=True) if norm else -log_theta
    mean = counts / jnp.where(count > 0, count, 1)[:, None]
    return {"weight": weight, "bias": jnp.zeros_like(count), "mean": mean}

  return _log_linear(
    lambda inputs: inputs,
    parameters,
    mean=lambda parameters: parameters["mean"],
    check=_check_counts,
    uses_prior=False,
  )


def categorical(num_categories: Sequence[int], alpha: Smoothing = 1.0) -> Observation:
  """x_f is one of `num_categories[f]` categories, 0 first, with probability (n_fk + alpha) / (n + alpha K_f).

  Args:
    num_categories: of each feature.
    alpha: added to every count.

  Raises:
    UserError: `alpha` is not above 0, or a feature has no category.
  """
  smoothing = _smoothing(alpha)
  sizes = np.asarray(num_categories, int)
  if sizes.min(initial=1) < 1:
    raise UserError("num_categories", int(sizes.min()), "give every feature at least one category.")
  # Features with fewer categories than others are padded; what pads them is never counted and weighs nothing.
  exists = np.arange(sizes.max(initial=1)) < sizes[:, None]
  split = lambda flat: flat.reshape(*flat.shape[:-1], *exists.shape)

  def features(inputs):
    chosen = jax.nn.one_hot(inputs.astype(jnp.int32), exists.shape[1], dtype=inputs.dtype)
    return chosen.reshape(len(inputs), exists.size)

  def parameters(count, counts):
    smoothed = jnp.where(exists, split(counts) + smoothing[..., None], 0)
    log_p = jnp.log(jnp.where(exists, smoothed, 1)) - jnp.log(smoothed.sum(-1, keepdims=True))
    return {"weight": jnp.where(exists, log_p, 0).reshape(counts.shape), "bias": jnp.zeros_like(count)}

  def sample(parameters, key):
    weight = parameters["weight"]
    return jax.random.categorical(key, jnp.where(exists, split(weight), -jnp.inf)).astype(weight.dtype)

  def mean(parameters):
    return jnp.where(exists, jnp.exp(split(parameters["weight"])) * np.arange(exists.shape[1]), 0).sum(-1)

  check = functools.partial(_check_categories, sizes)
  return _log_linear(features, parameters, mean=mean, check=check, sample=sample)


def flat(inputs: Float[Array, "batch ..."]) -> Inputs:
  """Every number of an input is a feature."""
  return inputs.reshape(len(inputs), -1)


@dataclasses.dataclass(frozen=True)
class NaiveBayes:
  """The family over any observation, as `statistics.statistics_learner` takes it, summed by `statistics.total`.

  A batch has `inputs` [batch, ...], `label` [batch] and `mask` [batch], which may hold any weights.  Parameters are
  those of the observation, `prior` [class] and `anchor` [class, feature].

  Attributes:
    observation: `gaussian(...)`, `bernoulli(...)`, `multinomial(...)`, `complement(...)` or `categorical(...)`.
    num_classes: of the labels 0 to num_classes - 1.
    prior: probability of each class; by default its share of what was counted, unsmoothed, so that a class that was
      never seen is never predicted.
    encode: `encode(inputs) -> [batch, feature]`, of the type to compute in.

  Raises:
    UserError: `prior` is no distribution over the classes.
  """

  observation: Observation
  num_classes: int
  prior: tuple[float, ...] | None = None
  encode: Callable[[Array], Inputs] = flat

  def __post_init__(self):
    if self.prior is None:
      return
    given = np.asarray(self.prior, float)
    if given.shape != (self.num_classes,) or (given < 0).any() or not np.isclose(given.sum(), 1):
      raise UserError("prior", self.prior, f"give {self.num_classes} probabilities that sum to 1.")

  def check(self, inputs: np.ndarray, field: str = "inputs") -> None:
    """Refuses encoded host arrays [example, feature] that the model is not for.

    Raises:
      UserError: NaN or infinite features; what is no count (multinomial, complement); what is none of the categories
        (categorical).
    """
    # The sum is one pass without a mask of all features; it is finite but for a reason.
    if not np.isfinite(inputs.sum()):
      _refuse(~np.isfinite(inputs), inputs, field, "replace or remove values that are NaN or infinite.")
    if self.observation.check is not None:
      self.observation.check(inputs, field)

  def init(self, key, batch) -> dict:
    """Parameters of nothing counted; independent of what is in the batch."""
    del key
    inputs = jax.eval_shape(self.encode, batch["inputs"])
    anchor = jnp.zeros((self.num_classes, inputs.shape[1]), inputs.dtype)
    counted = jax.eval_shape(lambda: self._count(anchor, batch))
    nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), counted)
    return self.maximise({"anchor": anchor}, nothing)

  def prepare(self, params, statistics, batch) -> dict:
    """The parameters, with anchors for the classes of which the batch has the first examples."""
    find = self.observation.anchor
    if find is None:
      return params
    unseen, old = (statistics["count"] == 0)[:, None], params["anchor"]
    moved = lambda: jnp.where(unseen, find(*self._encoded(batch)), old)
    return {**params, "anchor": jax.lax.cond(unseen.any(), moved, lambda: old)}

  def expect(self, params, batch, key) -> tuple[dict, dict[str, Mean]]:
    """Sums over the batch; and its accuracy under the parameters so far, before it was counted."""
    del key
    right = self.log_joint(params, batch["inputs"]).argmax(-1) == batch["label"]
    metrics = {"accuracy": Mean.of(right.astype(jnp.float32), batch["mask"])}
    return self._count(params["anchor"], batch), metrics

  def maximise(self, params, statistics) -> dict:
    """The parameters in closed form."""
    count, anchor = statistics["count"], params["anchor"]
    total = count.sum()
    counted = jnp.where(total > 0, count / jnp.where(total > 0, total, 1), 1 / self.num_classes)
    prior = counted if self.prior is None else jnp.asarray(self.prior, count.dtype)
    observed = self.observation.parameters(anchor, count, statistics["sums"])
    return {"anchor": anchor, "prior": prior, "observation": observed}

  def evaluate(self, params, batch) -> dict[str, Mean]:
    """The metrics of `DEFINITIONS`."""
    return classifier.score(self.log_posterior(params, batch["inputs"]), batch)

  def log_joint(self, params, inputs: Float[Array, "batch ..."]) -> Scores:
    """log p(x, y), nats; -inf for a class of prior 0."""
    scores = self.observation.log_likelihood(params["observation"], self.encode(inputs))
    return scores + jnp.log(params["prior"]) if self.observation.uses_prior else scores

  def log_posterior(self, params, inputs: Float[Array, "batch ..."]) -> Scores:
    """log p(y | x), nats."""
    return jax.nn.log_softmax(self.log_joint(params, inputs))

  def mean(self, params) -> Float[Array, "class feature"]:
    """The expected input of each class."""
    return self.observation.mean(params["observation"])

  def sample_labels(self, params, key: Key[Array, ""], count: int) -> Int[Array, " count"]:
    """Draws from the prior."""
    logits = jnp.log(params["prior"])
    return jax.vmap(lambda key: jax.random.categorical(key, logits))(randomness.example_keys(key, count))

  def sample(self, params, key: Key[Array, ""], label: Int[Array, " batch"]) -> Inputs:
    """An input of each of the classes asked for.

    Raises:
      UserError: the model is no distribution over inputs.
    """
    draw = self.observation.sample
    if draw is None:
      raise UserError("model", "complement", "it scores classes, and has no distribution to sample from: use another.")
    chosen = jax.tree.map(lambda leaf: leaf[label], params["observation"])
    return jax.vmap(draw)(chosen, randomness.example_keys(key, len(label)))

  def _encoded(self, batch) -> tuple[Inputs, Weights]:
    inputs = self.encode(batch["inputs"])
    one_hot = jax.nn.one_hot(batch["label"], self.num_classes, dtype=inputs.dtype)
    return inputs, one_hot * batch["mask"].astype(inputs.dtype)[:, None]

  def _count(self, anchor, batch) -> dict:
    inputs, weights = self._encoded(batch)
    return {"count": weights.sum(0), "sums": self.observation.statistics(anchor, inputs, weights)}


def _check_counts(inputs: np.ndarray, field: str) -> None:
  if inputs.min(initial=0) < 0:
    _refuse(inputs < 0, inputs, field, "Negative values in data: a model of counts takes features of 0 or more.")


def _check_categories(sizes: np.ndarray, inputs: np.ndarray, field: str) -> None:
  if inputs.min(initial=0) < 0:
    _refuse(inputs < 0, inputs, field, "Negative values in data: categories are numbered from 0.")
  _refuse(inputs != np.floor(inputs), inputs, field, "categories are whole numbers, from 0: encode or bin the feature.")
  _refuse(inputs >= sizes, inputs, field, "an unseen category: declare more of them, or map it to one that is known.")


def _refuse(bad: np.ndarray, inputs: np.ndarray, field: str, remedy: str) -> None:
  """Names the first bad feature."""
  if bad.any():
    example, feature = np.argwhere(bad)[0].tolist()
    raise UserError(f"{field}[{example}, {feature}]", inputs[example, feature].item(), remedy)


def _smoothing(alpha: Smoothing) -> np.ndarray:
  values = np.asarray(alpha, np.float64)
  _check_positive("alpha", float(values.min()))
  return values


def _check_positive(field: str, value: float) -> None:
  # `not >` refuses NaN as well.
  if not value > 0:
    raise UserError(field, value, "give a number above 0; 1e-10 is as good as none.")
