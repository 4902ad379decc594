"""What a hidden state emits: the likelihood of an observation under every state, and how to learn it.

Parameters are unconstrained, so that the closed-form M-step and gradient descent move the same ones: categorical
probabilities are logits, normalised where they are used; a Bernoulli's are log-odds; scales are logarithms.
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

from research.errors import UserError

Params = Any
Statistics = Any


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
      responsibility 0) does not enter.  Where there is no closed form it and `maximise` raise a UserError.
    maximise: `maximise(params, statistics) -> params`; a state that nothing was assigned to keeps its parameters.
  """

  num_states: int
  observation: jax.ShapeDtypeStruct
  init: Callable[..., Params]
  log_likelihoods: Callable[..., Float[Array, "batch time state"]]
  draw: Callable[..., Array]
  expect: Callable[..., Statistics]
  maximise: Callable[..., Params]


def categorical(num_states: int, num_symbols: int, *, concentration: float = 1.0) -> Emission:
  """One of `num_symbols` symbols a step: int [batch, time].

  Args:
    num_states, num_symbols: K and V.
    concentration: of the Dirichlet prior on every state's distribution.  The M-step is its mode: it adds
      `concentration - 1` to every count, so that 1 is maximum likelihood and 2 is Laplace's rule.  An unseen symbol has
      probability 0 with the first and 1 / (count + V) with the second.

  Raises:
    UserError: a concentration below 1, which has no mode.
  """
  _at_least_one("concentration", concentration)

  def init(key, inputs, weights):
    del weights
    return {"logits": random_log_simplex(key, (num_states, num_symbols))}

  def log_likelihoods(params, inputs, key=None):
    del key
    return jnp.take(jax.nn.log_softmax(params["logits"]).T, inputs, axis=0, mode="fill", fill_value=-jnp.inf)

  def draw(params, keys, states, previous):
    del previous
    return jax.vmap(jax.random.categorical)(keys, params["logits"][states]).astype(jnp.int32)

  def expect(params, inputs, responsibilities):
    del params
    counts = jnp.zeros((num_symbols, num_states), responsibilities.dtype)
    return {"counts": counts.at[inputs].add(responsibilities).T}

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
    _at_least_one("concentration", float(np.min(np.asarray(value))))
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
    ones = jnp.einsum("ntk,ntd->kd", responsibilities, inputs.astype(responsibilities.dtype))
    return {"count": responsibilities.sum((0, 1)), "ones": ones}

  def maximise(params, statistics):
    count, ones = statistics["count"][:, None], statistics["ones"]
    # Rounding may leave a bit more ones than steps.
    zeros = jnp.maximum(count - ones, 0)
    ones, zeros = ones + prior_ones.astype(ones.dtype), zeros + prior_zeros.astype(ones.dtype)
    return {"logits": jnp.where(ones + zeros > 0, jnp.log(ones) - jnp.log(zeros), params["logits"])}

  shape = jax.ShapeDtypeStruct((num_features,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, expect, maximise)


def gaussian(
  num_states: int,
  num_features: int,
  *,
  covariance: str = "diag",
  scale_prior: float = 0.0,
  scale_weight: float = 0.0,
  floor: float = 1e-6,
) -> Emission:
  """A Gaussian for every state: float [batch, time, feature].

  Args:
    num_states, num_features: K and D.
    covariance: 'diag' or 'full'.
    scale_prior: added to the sum of squared deviations (of 'full': to its diagonal), as by `scale_weight` further
      observations whose squared deviations sum to it; 0 is maximum likelihood.  In the terms of the inverse-gamma prior
      IG(a, b): `scale_prior = 2 b`, `scale_weight = 2 (a + 1)`.
    scale_weight: added to the number of observations.
    floor: smallest variance ('full': added to the diagonal), in squared units of the data: a state that holds one
      point, or a constant feature, keeps a density.
  """
  if covariance not in ("diag", "full"):
    raise UserError("covariance", covariance, "choose diag or full.")
  full = covariance == "full"

  def init(key, inputs, weights):
    mean = _random_steps(key, inputs, weights, num_states)
    total = weights.sum().astype(inputs.dtype)
    centre = jnp.einsum("nt,ntd->d", weights.astype(inputs.dtype), inputs) / total
    variance = jnp.einsum("nt,ntd->d", weights.astype(inputs.dtype), (inputs - centre) ** 2) / total + floor
    log_scale = jnp.broadcast_to(0.5 * jnp.log(variance), mean.shape)
    return {"mean": mean, "scale": jax.vmap(jnp.diag)(log_scale) if full else log_scale}

  def log_likelihoods(params, inputs, key=None):
    del key
    density = _full_density if full else _diagonal_density
    return density(params["mean"], params["scale"], inputs)

  def draw(params, keys, states, previous):
    noise = jax.vmap(lambda key: jax.random.normal(key, (num_features,), params["mean"].dtype))(keys)
    if full:
      return (params["mean"][states] + jnp.einsum("nij,nj->ni", cholesky_of(params["scale"])[states], noise)).astype(
        previous.dtype
      )
    return (params["mean"][states] + jnp.exp(params["scale"])[states] * noise).astype(previous.dtype)

  def expect(params, inputs, responsibilities):
    # Deviations from the current mean: sums of squares of the data itself would cancel.
    sums = jnp.einsum("ntk,ntd->kd", responsibilities, inputs)
    outer = "ntk,nti,ntj->kij" if full else "ntk,ntd,ntd->kd"
    return {
      "count": responsibilities.sum((0, 1)),
      "sum": sums,
      "squares": jnp.einsum(outer, responsibilities, inputs, inputs),
    }

  def maximise(params, statistics):
    count = statistics["count"][:, None]
    used = count > 0
    safe = jnp.where(used, count, 1)
    mean = statistics["sum"] / safe
    if full:
      deviations = statistics["squares"] - mean[:, :, None] * mean[:, None, :] * count[..., None]
      eye = jnp.eye(num_features, dtype=mean.dtype)
      found = (deviations + scale_prior * eye) / (safe[..., None] + scale_weight) + floor * eye
      factor = jnp.linalg.cholesky(found)
      scale = jnp.tril(factor, -1) + jax.vmap(jnp.diag)(jnp.log(jnp.diagonal(factor, axis1=1, axis2=2)))
      used = used[..., None]
    else:
      deviations = statistics["squares"] - mean**2 * count
      scale = 0.5 * jnp.log(jnp.maximum((deviations + scale_prior) / (safe + scale_weight), floor))
    return {
      "mean": jnp.where(count > 0, mean, params["mean"]),
      "scale": jnp.where(used, scale, params["scale"]),
    }

  shape = jax.ShapeDtypeStruct((num_features,), jnp.result_type(float))
  return Emission(num_states, shape, init, log_likelihoods, draw, expect, maximise)


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
  if logits.ndim == 2:
    # log p = x log σ(l) + (1 - x) log σ(-l), as two products; infinite log-odds must not meet a zero.
    on, off = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return inputs @ jnp.maximum(on, _TINY_LOG).T + (1 - inputs) @ jnp.maximum(off, _TINY_LOG).T
  return (inputs[:, :, None] * logits - jax.nn.softplus(logits)).sum(-1)


_TINY_LOG = -1e30  # stands for log 0 where a product with 0 must be 0


def random_log_simplex(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
  """Logarithms of distributions over the last axis, uniform over the simplex (Dirichlet of ones)."""
  return jax.nn.log_softmax(jnp.log(jax.random.exponential(key, shape)))


def log_mode(
  counts: Float[Array, "... outcome"], concentration: Float[Array, "..."] | float, fallback: Float[Array, "... outcome"]
) -> Float[Array, "... outcome"]:
  """Logarithm of the mode of a Dirichlet posterior: `counts + concentration - 1`, normalised over the last axis.

  Rows without any count stay as they are in `fallback`.
  """
  counts = counts + (jnp.asarray(concentration) - 1).astype(counts.dtype)
  total = counts.sum(-1, keepdims=True)
  return jnp.where(total > 0, jnp.log(counts) - jnp.log(jnp.where(total > 0, total, 1)), fallback)


def cholesky_of(scale: Float[Array, "state i j"]) -> Float[Array, "state i j"]:
  """Lower triangular factors of the covariances, of which `scale` holds the diagonal as logarithms."""
  return jnp.tril(scale, -1) + jax.vmap(jnp.diag)(jnp.exp(jnp.diagonal(scale, axis1=1, axis2=2)))


def _diagonal_density(mean, log_scale, inputs):
  scaled = (inputs[:, :, None] - mean) * jnp.exp(-log_scale)
  return -0.5 * (scaled**2).sum(-1) - log_scale.sum(-1) - 0.5 * mean.shape[-1] * math.log(2 * math.pi)


def _full_density(mean, scale, inputs):
  factor = cholesky_of(scale)
  inverse = jax.scipy.linalg.solve_triangular(
    factor, jnp.broadcast_to(jnp.eye(factor.shape[-1]), factor.shape), lower=True
  )
  scaled = jnp.einsum("kij,ntkj->ntki", inverse.astype(inputs.dtype), inputs[:, :, None] - mean)
  log_determinant = jnp.diagonal(scale, axis1=1, axis2=2).sum(-1)
  return -0.5 * (scaled**2).sum(-1) - log_determinant - 0.5 * mean.shape[-1] * math.log(2 * math.pi)


def _random_steps(key, inputs, weights, count):
  """`count` real observations at random, with replacement only if there are fewer."""
  gumbel = jax.random.gumbel(key, (weights.size,))
  _, chosen = jax.lax.top_k(jnp.where(weights.ravel() > 0, gumbel, -jnp.inf), min(count, weights.size))
  rows = inputs.reshape(-1, *inputs.shape[2:])[chosen]
  return rows[jnp.arange(count) % len(rows)]


def _draw_bits(keys, logits: Float[Array, "batch feature"]) -> Int[Array, "batch feature"]:
  return jax.vmap(lambda key, logits: jax.random.bernoulli(key, jax.nn.sigmoid(logits)))(keys, logits)


def _no_closed_form(*arguments):
  del arguments
  raise UserError("emission", "neural", "it has no closed-form M-step: learn it by gradient.")


def _at_least_one(field: str, concentration: float) -> None:
  if concentration < 1:
    raise UserError(field, concentration, "give 1 (maximum likelihood) or more: below it the posterior has no mode.")
