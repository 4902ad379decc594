"""What a hidden state emits: the likelihood of an observation under every state, and how to learn it.

Parameters are unconstrained, so that the closed-form M-step and gradient descent move the same ones: categorical
probabilities are logits, normalised where they are used; a Bernoulli's are log-odds; scales are logarithms.  All are
finite: `LOG_ZERO` stands for the logarithm of 0, since a learner takes infinite parameters for a failed update.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.errors import UserError

Params = Any
Statistics = Any

LOG_ZERO = -1e30


class Emission(NamedTuple):
  """A family of distributions `p(x_t | z_t)`, one for each state.

  Attributes:
    num_states: K.
    observation: shape and type of one observation.
    init: `init(key, inputs [batch time ...], weights [batch time]) -> params`, from data; padding weighs 0.
    log_likelihoods: `log_likelihoods(params, inputs [batch time ...], key) -> [batch time state]`, nats; `key` is for
      networks with dropout, None outside training.
    draw: `draw(params, keys [batch], states [batch], previous [batch ...]) -> [batch ...]`: the next observation, given
      the state and the observation before (zeros at the start), which only autoregressive emissions look at.
    expect: `expect(params, inputs, responsibilities [batch time state]) -> statistics`, sums that padding (of
      responsibility 0) does not enter.  Where there is no closed form it and `maximise` raise a UserError; where there
      is, steps are independent, and the order of batch and time is all the same to it and to `log_likelihoods`.
    maximise: `maximise(params, statistics) -> params`; a state that nothing was assigned to keeps its parameters.
  """

  num_states: int
  observation: jax.ShapeDtypeStruct
  init: Callable[..., Params]
  log_likelihoods: Callable[..., Float[Array, "batch time state"]]
  draw: Callable[..., Array]
  expect: Callable[..., Statistics]
  maximise: Callable[..., Params]


def categorical(num_states: int, num_symbols: int, *, concentration: Any = 1.0) -> Emission:
  """One of `num_symbols` symbols a step: int [batch, time].

  Args:
    num_states, num_symbols: K and V.
    concentration: of the Dirichlet prior on every state's distribution, a number or one a cell.  The M-step is its
      mode: it adds `concentration - 1` to every count, so that 1 is maximum likelihood and 2 is Laplace's rule.  A
      symbol that was never seen has probability 0 with the first, one outside 0 to V - 1 with both.

  Raises:
    UserError: a concentration below 1, which has no mode.
  """
  _at_least_one("concentration", concentration)

  def known(symbols):
    # Negative numbers would count from the end.
    return jnp.where(symbols < 0, num_symbols, symbols)

  def init(key, inputs, weights):
    del weights
    return {"logits": random_log_simplex(key, (num_states, num_symbols))}

  def log_likelihoods(params, inputs, key=None):
    del key
    table = log_probabilities(params["logits"]).T
    return jnp.take(table, known(inputs), axis=0, mode="fill", fill_value=-jnp.inf)

  def draw(params, keys, states, previous):
    del previous
    return jax.vmap(jax.random.categorical)(keys, params["logits"][states]).astype(jnp.int32)

  def expect(params, inputs, responsibilities):
    del params
    counts = jnp.zeros((num_symbols, num_states), responsibilities.dtype)
    return {"counts": counts.at[known(inputs)].add(responsibilities, mode="drop").T}

  def maximise(params, statistics):
    return {"logits": log_mode(statistics["counts"], concentration, params["logits"])}

  return Emission(num_states, jax.ShapeDtypeStruct((), jnp.int32), init, log_likelihoods, draw, expect, maximise)


def bernoulli(
  num_states: int, num_features: int, *, concentration: float | tuple[ArrayLike, ArrayLike] = 1.0
) -> Emission:
  """Independent bits, given the state: 0 or 1, [batch, time, feature].

  Args:
    num_states, num_features: K and D.
    concentration: of the Beta(c, c) prior on every probability, or a pair of numbers or [feature] for Beta(a, b).
      The M-step is its mode: it adds `a - 1` ones and `b - 1` zeros to every count, so that 1 is maximum likelihood.

  Raises:
    UserError: a concentration below 1.
  """
  a, b = concentration if isinstance(concentration, tuple) else (concentration, concentration)
  for value in (a, b):
    _at_least_one("concentration", value)
  prior_ones, prior_zeros = jnp.asarray(a) - 1, jnp.asarray(b) - 1

  def init(key, inputs, weights):
    dtype = jnp.result_type(float)
    chosen = _random_steps(key, inputs, weights, num_states).astype(dtype)
    mean = jnp.einsum("nt,nt...->...", weights, inputs.astype(dtype)) / weights.sum()
    probabilities = jnp.clip(0.5 * (chosen + mean), 1e-3, 1 - 1e-3)
    return {"logits": jnp.log(probabilities) - jnp.log1p(-probabilities)}

  def log_likelihoods(params, inputs, key=None):
    del key
    return bernoulli_log_likelihoods(params["logits"], inputs)

  def draw(params, keys, states, previous):
    return _draw_bits(keys, params["logits"][states]).astype(previous.dtype)

  def expect(params, inputs, responsibilities):
    del params
    return {"count": responsibilities.sum((0, 1)), "ones": _weighted_sums(inputs, responsibilities)}

  def maximise(params, statistics):
    count, ones = statistics["count"][:, None], statistics["ones"]
    # Rounding may leave a bit more ones than steps.
    zeros = jnp.maximum(count - ones, 0)
    ones, zeros = ones + prior_ones.astype(ones.dtype), zeros + prior_zeros.astype(ones.dtype)
    log_odds = jnp.clip(jnp.log(ones) - jnp.log(zeros), LOG_ZERO, -LOG_ZERO)
    return {"logits": jnp.where(ones + zeros > 0, log_odds, params["logits"])}

  shape = jax.ShapeDtypeStruct((num_features,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, expect, maximise)


def poisson(num_states: int, num_features: int, *, events: Any = 0.0, observations: Any = 0.0) -> Emission:
  """Independent counts, given the state: whole numbers from 0, [batch, time, feature].

  Parameters are `log_rate` [state, feature].

  Args:
    num_states, num_features: K and D.
    events, observations: of the prior Gamma(events + 1, observations) on every rate: so many events in so many further
      observations, numbers or arrays that broadcast to [state, feature].  The M-step is its mode; 0 and 0 are maximum
      likelihood.
  """

  def init(key, inputs, weights):
    weights = weights.astype(jnp.result_type(float))
    chosen = _random_steps(key, inputs, weights, num_states).astype(weights.dtype)
    mean = jnp.einsum("nt,ntd->d", weights, inputs.astype(weights.dtype)) / weights.sum()
    return {"log_rate": jnp.log(0.5 * (chosen + mean) + 1e-3)}

  def log_likelihoods(params, inputs, key=None):
    del key
    log_rate = params["log_rate"]
    counts = inputs.astype(log_rate.dtype)
    logs = counts @ log_rate.T - jnp.exp(log_rate).sum(-1) - jax.scipy.special.gammaln(counts + 1).sum(-1)[..., None]
    return jnp.where(logs > 0.5 * LOG_ZERO, logs, -jnp.inf)

  def draw(params, keys, states, previous):
    rates = jnp.exp(params["log_rate"][states])
    return jax.vmap(jax.random.poisson)(keys, rates).astype(previous.dtype)

  def expect(params, inputs, responsibilities):
    del params
    return {"count": responsibilities.sum((0, 1)), "events": _weighted_sums(inputs, responsibilities)}

  def maximise(params, statistics):
    time = statistics["count"][:, None] + jnp.asarray(observations, statistics["count"].dtype)
    rate = (statistics["events"] + jnp.asarray(events, time.dtype)) / jnp.where(time > 0, time, 1)
    return {"log_rate": jnp.where(time > 0, stored_log(rate), params["log_rate"])}

  shape = jax.ShapeDtypeStruct((num_features,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, expect, maximise)


def multinomial(num_states: int, num_symbols: int, *, trials: int = 0, concentration: float = 1.0) -> Emission:
  """How often each of `num_symbols` symbols came in a step's trials: counts [batch, time, symbol].

  Parameters are `logits` [state, symbol].

  Args:
    num_states, num_symbols: K and V.
    trials: of a step that is drawn; what is learnt from may have any number.
    concentration: as of `categorical`.

  Raises:
    UserError: a concentration below 1.
  """
  _at_least_one("concentration", concentration)

  def init(key, inputs, weights):
    del inputs, weights
    return {"logits": random_log_simplex(key, (num_states, num_symbols))}

  def log_likelihoods(params, inputs, key=None):
    del key
    logs = jnp.maximum(log_probabilities(params["logits"]), LOG_ZERO)
    counts, gammaln = inputs.astype(logs.dtype), jax.scipy.special.gammaln
    ways = gammaln(counts.sum(-1) + 1) - gammaln(counts + 1).sum(-1)
    total = counts @ logs.T + ways[..., None]
    return jnp.where(total > 0.5 * LOG_ZERO, total, -jnp.inf)

  def draw(params, keys, states, previous):
    symbols = lambda key, logits: jax.random.categorical(key, logits, shape=(trials,))
    symbols = jax.vmap(symbols)(keys, params["logits"][states])
    return jax.nn.one_hot(symbols, num_symbols, dtype=previous.dtype).sum(1)

  def expect(params, inputs, responsibilities):
    del params
    return {"counts": _weighted_sums(inputs, responsibilities)}

  def maximise(params, statistics):
    return {"logits": log_mode(statistics["counts"], concentration, params["logits"])}

  shape = jax.ShapeDtypeStruct((num_symbols,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, expect, maximise)


class GaussianPrior(NamedTuple):
  """What the mean and variance of a Gaussian are believed to be, in the terms of further observations.

  The density is proportional to `exp(-(w log σ² + (s + κ (μ - m)²) / σ²) / 2)`, a normal-inverse-gamma; of a full
  covariance `exp(-(w log |Σ| + tr Σ⁻¹ (s I + κ (μ - m) (μ - m)ᵀ)) / 2)`, a normal-inverse-Wishart.  The M-step is the
  mode.  The default is flat: maximum likelihood.

  Attributes:
    mean: m, [feature] or [state, feature] or a number.
    mean_weight: κ: observations that lie at m, as far as the mean is concerned.
    squares: s: the sum of squared deviations of `weight` observations, a number or one a feature, also for each state;
      of a full covariance also a matrix, in place of s I.
    weight: w.
    floor: smallest variance (of a full covariance: added to its diagonal), in squared units of the data, so that a
      state that holds one point, or a constant feature, keeps a density.
  """

  mean: Any = 0.0
  mean_weight: float = 0.0
  squares: Any = 0.0
  weight: float = 0.0
  floor: float = 1e-6


FLAT = GaussianPrior()
COVARIANCES = ("spherical", "diag", "tied", "full")


def gaussian(
  num_states: int,
  num_features: int,
  *,
  covariance: str = "diag",
  prior: GaussianPrior = FLAT,
  tied: int | None = None,
) -> Emission:
  """A Gaussian for every state: float [batch, time, feature].

  Parameters are `mean` [state, feature] and `scale`: logarithms of standard deviations [state, feature], or Cholesky
  factors [state, feature, feature] with logarithms on the diagonal.  Sums of squares are taken of the data as they
  are: in float32, data far from zero should be centred.

  Args:
    num_states, num_features: K and D.
    covariance: 'spherical' (one variance for all features), 'diag', 'tied' (one full covariance for `tied` states that
      follow one another) or 'full'.
    prior: of means and covariances.
    tied: states that share a tied covariance; all by default.

  Raises:
    UserError: no such covariance.
  """
  if covariance not in COVARIANCES:
    raise UserError("covariance", covariance, f"choose one of {', '.join(COVARIANCES)}.")
  full, group = covariance in ("tied", "full"), (tied or num_states) if covariance == "tied" else 1

  def init(key, inputs, weights):
    weights = weights.astype(inputs.dtype)
    mean = _random_steps(key, inputs, weights, num_states)
    centre = jnp.einsum("nt,ntd->d", weights, inputs) / weights.sum()
    variance = jnp.einsum("nt,ntd->d", weights, (inputs - centre) ** 2) / weights.sum()
    if covariance == "spherical":
      variance = variance.mean(keepdims=True)
    log_scale = jnp.broadcast_to(0.5 * jnp.log(variance + prior.floor), mean.shape)
    return {"mean": mean, "scale": jax.vmap(jnp.diag)(log_scale) if full else log_scale}

  def log_likelihoods(params, inputs, key=None):
    del key
    density = _full_density if full else _diagonal_density
    return density(params["mean"], params["scale"], inputs)

  def draw(params, keys, states, previous):
    noise = jax.vmap(lambda key: jax.random.normal(key, (num_features,), params["mean"].dtype))(keys)
    factor = cholesky_of(params["scale"]) if full else jax.vmap(jnp.diag)(jnp.exp(params["scale"]))
    return (params["mean"][states] + jnp.einsum("nij,nj->ni", factor[states], noise)).astype(previous.dtype)

  def expect(params, inputs, responsibilities):
    del params
    squares = "ntk,nti,ntj->kij" if full else "ntk,nti,nti->ki"
    return {
      "count": responsibilities.sum((0, 1)),
      "sum": _weighted_sums(inputs, responsibilities),
      "squares": jnp.einsum(squares, responsibilities, inputs, inputs),
    }

  def maximise(params, statistics):
    mean, squares, count = _scatter(prior, statistics, full)
    if full:
      scale = _full_scale(prior, squares, count, group)
    else:
      scale = _diagonal_scale(prior, squares, count, covariance == "spherical")
    used = statistics["count"] > 0
    shared = used.reshape(-1, group).any(1).repeat(group)
    keep = lambda used, new, old: jnp.where(used.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
    return {"mean": keep(used, mean, params["mean"]), "scale": keep(shared, scale, params["scale"])}

  shape = jax.ShapeDtypeStruct((num_features,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, expect, maximise)


def mixture(num_states: int, num_components: int, components: Emission, *, concentration: float = 1.0) -> Emission:
  """A mixture for every state, for instance of Gaussians (Rabiner 1989, sec. IV.A).

  Parameters are `weights`, logits [state, component], and `components`, those of the components.

  Args:
    num_states, num_components: K and M.
    components: a model of K M states: those of state k are its states k M to k M + M - 1.
    concentration: of the Dirichlet prior on every state's weights; the M-step adds `concentration - 1` to every count.

  Raises:
    UserError: `components` has not K M states, or a concentration below 1.
  """
  _at_least_one("concentration", concentration)
  if components.num_states != num_states * num_components:
    raise UserError("components", components.num_states, f"give a model of {num_states * num_components} states.")

  def init(key, inputs, weights):
    logits = jnp.zeros((num_states, num_components))
    return {"weights": logits, "components": components.init(key, inputs, weights)}

  def joint(params, inputs, key=None):
    logs = components.log_likelihoods(params["components"], inputs, key)
    return logs.reshape(*logs.shape[:-1], num_states, num_components) + log_probabilities(params["weights"])

  def log_likelihoods(params, inputs, key=None):
    return jax.nn.logsumexp(joint(params, inputs, key), -1)

  def draw(params, keys, states, previous):
    chosen = jax.vmap(jax.random.categorical)(keys, params["weights"][states])
    keys = jax.vmap(lambda key: randomness.stream_key(key, "component"))(keys)
    return components.draw(params["components"], keys, states * num_components + chosen, previous)

  def expect(params, inputs, responsibilities):
    logs = joint(params, inputs)
    # Where no component is possible the responsibility is 0, and so must be its shares.
    shares = jnp.where(jnp.isneginf(logs), 0, jax.nn.softmax(logs)) * responsibilities[..., None]
    parts = components.expect(params["components"], inputs, shares.reshape(*shares.shape[:-2], -1))
    return {"weights": shares.sum((0, 1)), "components": parts}

  def maximise(params, statistics):
    return {
      "weights": log_mode(statistics["weights"], concentration, params["weights"]),
      "components": components.maximise(params["components"], statistics["components"]),
    }

  return Emission(num_states, components.observation, init, log_likelihoods, draw, expect, maximise)


def neural_bernoulli(
  num_states: int, num_features: int, network: nn.Module, *, autoregressive: bool = False
) -> Emission:
  """Bits whose log-odds a network gives, for learning by gradient.

  Args:
    num_states, num_features: K and D.
    network: `(previous, train) -> logits`, with `previous` [batch, time, feature] the frame before each step (zeros at
      the first) and logits [batch, time, state, feature] if `autoregressive` (Obermeyer et al. 2019, nnHMM); else it is
      given None for `previous` and returns [state, feature].
    autoregressive: whether an observation depends on the one before, beside the state.
  """

  def before(inputs):
    inputs = inputs.astype(jnp.result_type(float))
    return jnp.pad(inputs, ((0, 0), (1, 0), (0, 0)))[:, :-1] if autoregressive else None

  def init(key, inputs, weights):
    del weights
    return network.init({"params": key, "dropout": key}, before(inputs), train=False)["params"]

  def log_likelihoods(params, inputs, key=None):
    rngs = {} if key is None else {"dropout": key}
    logits = jnp.asarray(network.apply({"params": params}, before(inputs), train=key is not None, rngs=rngs))
    return bernoulli_log_likelihoods(logits, inputs)

  def draw(params, keys, states, previous):
    last = previous.astype(jnp.result_type(float))[:, None] if autoregressive else None
    logits = jnp.asarray(network.apply({"params": params}, last, train=False))
    logits = logits[jnp.arange(len(states)), 0, states] if autoregressive else logits[states]
    return _draw_bits(keys, logits).astype(previous.dtype)

  shape = jax.ShapeDtypeStruct((num_features,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, _no_closed_form, _no_closed_form)


def bernoulli_log_likelihoods(
  logits: Float[Array, "*batch_time state feature"], inputs: Array
) -> Float[Array, "batch time state"]:
  """`Σ_d log p(x_d)` of bits with log-odds [state, feature], or those of every step [batch, time, state, feature]."""
  inputs = inputs.astype(logits.dtype)
  if logits.ndim > 2:
    return (inputs[:, :, None] * logits - jax.nn.softplus(logits)).sum(-1)
  # x log σ(l) + (1 - x) log σ(-l), as two products: in them the logarithm of 0 must not meet a 0.
  on, off = (jnp.maximum(jax.nn.log_sigmoid(odds), LOG_ZERO).T for odds in (logits, -logits))
  logs = inputs @ on + (1 - inputs) @ off
  return jnp.where(logs > 0.5 * LOG_ZERO, logs, -jnp.inf)


def log_probabilities(logits: Float[Array, "... outcome"]) -> Float[Array, "... outcome"]:
  """Normalised over the last axis; -inf where a logit stands for that."""
  return jnp.where(logits > 0.5 * LOG_ZERO, jax.nn.log_softmax(logits), -jnp.inf)


def stored_log(probabilities: Float[Array, "..."]) -> Float[Array, "..."]:
  """Logarithms as parameters hold them: finite."""
  return jnp.maximum(jnp.log(probabilities), LOG_ZERO)


def random_log_simplex(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
  """Logarithms of distributions over the last axis, uniform over the simplex (Dirichlet of ones)."""
  return jax.nn.log_softmax(jnp.log(jax.random.exponential(key, shape)))


def log_mode(
  counts: Float[Array, "... outcome"], concentration: Float[Array, "..."] | float, fallback: Float[Array, "... outcome"]
) -> Float[Array, "... outcome"]:
  """Logarithm of the mode of a Dirichlet posterior: `counts + concentration - 1`, normalised over the last axis.

  Finite: see `LOG_ZERO`.  Rows without any count stay as they are in `fallback`.
  """
  counts = counts + (jnp.asarray(concentration) - 1).astype(counts.dtype)
  total = counts.sum(-1, keepdims=True)
  return jnp.where(total > 0, stored_log(counts / jnp.where(total > 0, total, 1)), fallback)


def cholesky_of(scale: Float[Array, "state i j"]) -> Float[Array, "state i j"]:
  """Lower triangular factors of the covariances, of which `scale` holds the diagonal as logarithms."""
  return jnp.tril(scale, -1) + jax.vmap(jnp.diag)(jnp.exp(jnp.diagonal(scale, axis1=1, axis2=2)))


def scale_of(covariances: Float[Array, "state i j"]) -> Float[Array, "state i j"]:
  """The inverse of `cholesky_of`, for covariances; NaN where they are not positive definite."""
  factor = jnp.linalg.cholesky(covariances)
  return jnp.tril(factor, -1) + jax.vmap(jnp.diag)(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)))


def _diagonal_density(mean, log_scale, inputs):
  scaled = (inputs[:, :, None] - mean) * jnp.exp(-log_scale)
  return -0.5 * (scaled**2).sum(-1) - log_scale.sum(-1) - 0.5 * mean.shape[-1] * math.log(2 * math.pi)


def _full_density(mean, scale, inputs):
  identity = jnp.broadcast_to(jnp.eye(mean.shape[-1], dtype=mean.dtype), scale.shape)
  inverse = jax.scipy.linalg.solve_triangular(cholesky_of(scale), identity, lower=True)
  centre = mean.mean(0)  # so that the difference of two products, rather than of two points, loses no digits
  scaled = jnp.einsum("kij,ntj->ntki", inverse, inputs - centre) - jnp.einsum("kij,kj->ki", inverse, mean - centre)
  log_determinant = jnp.diagonal(scale, axis1=1, axis2=2).sum(-1)
  return -0.5 * (scaled**2).sum(-1) - log_determinant - 0.5 * mean.shape[-1] * math.log(2 * math.pi)


def _scatter(prior, statistics, full: bool):
  """Means [state, feature], squared deviations from them [state, feature (, feature)] and counts [state]; those of a
  state that nothing was assigned to are 0 but for the mean."""
  count = statistics["count"]
  used = (count > 0)[:, None]
  centre = jnp.asarray(prior.mean, count.dtype)
  mean = (statistics["sum"] + prior.mean_weight * centre) / jnp.where(used, count[:, None] + prior.mean_weight, 1)
  product = (lambda a, b: a[:, :, None] * b[:, None]) if full else (lambda a, b: a * b)
  per_state = lambda x: x[:, None, None] if full else x[:, None]
  crossed, off = product(mean, statistics["sum"]), mean - centre
  crossed = crossed + crossed.mT if full else 2 * crossed
  squares = statistics["squares"] - crossed + product(mean, mean) * per_state(count)
  squares += prior.mean_weight * product(off, off)
  return mean, jnp.where(per_state(count) > 0, squares, 0), count


def _diagonal_scale(prior, squares, count, spherical: bool):
  variance = (squares + jnp.asarray(prior.squares, squares.dtype)) / _weight(count, prior.weight)[:, None]
  if spherical:
    variance = jnp.broadcast_to(variance.mean(-1, keepdims=True), variance.shape)
  return 0.5 * jnp.log(jnp.maximum(variance, prior.floor))


def _full_scale(prior, squares, count, group: int):
  """Of `group` states that follow one another together."""
  identity, prior_squares = jnp.eye(squares.shape[-1], dtype=squares.dtype), jnp.asarray(prior.squares, squares.dtype)
  if prior_squares.ndim < 2:
    prior_squares = prior_squares * identity
  squares, count = squares.reshape(-1, group, *squares.shape[1:]).sum(1), count.reshape(-1, group).sum(1)
  covariance = (squares + prior_squares) / _weight(count, prior.weight)[:, None, None] + prior.floor * identity
  return scale_of(covariance).repeat(group, 0)


def _weight(count, prior_weight):
  """Observations that a covariance is the mean of; 1 where there are none, and nothing is made of it."""
  return jnp.where(count > 0, count, 1) + prior_weight


def _random_steps(key, inputs, weights, count):
  """`count` real observations at random, each as often as another."""
  gumbel = jax.random.gumbel(key, (weights.size,))
  _, chosen = jax.lax.top_k(jnp.where(weights.ravel() > 0, gumbel, -jnp.inf), min(count, weights.size))
  real = jnp.clip((weights > 0).sum(), 1, len(chosen))
  return inputs.reshape(-1, *inputs.shape[2:])[chosen[jnp.arange(count) % real]]


def _weighted_sums(inputs, responsibilities) -> Float[Array, "state feature"]:
  return jnp.einsum("ntk,ntd->kd", responsibilities, inputs.astype(responsibilities.dtype))


def _draw_bits(keys, logits: Float[Array, "batch feature"]) -> Int[Array, "batch feature"]:
  return jax.vmap(lambda key, logits: jax.random.bernoulli(key, jax.nn.sigmoid(logits)))(keys, logits)


def _no_closed_form(*arguments):
  del arguments
  raise UserError("emission", "neural", "it has no closed-form M-step: learn it by gradient.")


def _at_least_one(field: str, concentration: Any) -> None:
  if np.min(np.asarray(concentration)) < 1:
    raise UserError(field, concentration, "give 1 (maximum likelihood) or more: below it the posterior has no mode.")
