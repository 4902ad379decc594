"""Forward and backward passes in logarithms: exact whatever the probabilities, one step after the other or in parallel.

In parallel, products of the matrices `p(z_t, x_t | z_t-1)` are taken by a tree (Särkkä & García-Fernández 2021), with
`state` times the work, in a logarithm of the steps.  Every product is normalised and what was taken out is summed
apart, so that long sequences lose no precision.

Arrays are [time, state, sequence], as in `scaled`.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

CHUNK = 2**18  # numbers that are held at a time of what has a pair of states at every step


def forward(
  log_initial: Float[Array, " state"],
  log_transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
) -> tuple[Float[Array, " batch"], Float[Array, "time state batch"]]:
  """`log p(x_1..T)` and `log p(z_t | x_1..t)` (Rabiner 1989, eqs. 19-21); -inf from an impossible step on."""

  def step(predicted, log_likelihood):
    joint = predicted + log_likelihood
    log_evidence = jax.nn.logsumexp(joint, 0)
    filtered = joint - _or_zero(log_evidence)
    return _log_product(log_transition.T, filtered), (log_evidence, filtered)

  start = jnp.broadcast_to(log_initial[:, None], log_likelihoods.shape[1:])
  log_evidence, filtered = lax.scan(step, start, log_likelihoods)[1]
  return log_evidence.sum(0), filtered


def backward(
  log_transition: Float[Array, "state state"], log_likelihoods: Float[Array, "time state batch"]
) -> Float[Array, "time state batch"]:
  """`log p(x_t+1..T | z_t)` but for a constant a step (Rabiner, eq. 25)."""

  def step(onward, log_likelihood):
    before = _log_product(log_transition, log_likelihood + onward)
    return before - _or_zero(before.max(0)), onward

  return lax.scan(step, jnp.zeros_like(log_likelihoods[0]), log_likelihoods, reverse=True)[1]


def forward_parallel(
  log_initial: Float[Array, " state"],
  log_transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
) -> tuple[Float[Array, " batch"], Float[Array, "time state batch"]]:
  """What `forward` returns, by a tree."""
  emitted = jnp.moveaxis(log_likelihoods, 2, 1)[:, :, None]
  elements = (log_transition + emitted).at[0].set(log_initial + emitted[0])
  products, offsets = lax.associative_scan(_multiply(jax.nn.logsumexp), _normalised(elements))
  # The rows of the first matrix are all the same, so those of its products are.
  joint = products[:, :, 0]
  total = jax.nn.logsumexp(joint, -1)
  return offsets[-1] + total[-1], jnp.moveaxis(joint - _or_zero(total)[..., None], 2, 1)


def backward_parallel(
  log_transition: Float[Array, "state state"], log_likelihoods: Float[Array, "time state batch"]
) -> Float[Array, "time state batch"]:
  """What `backward` returns, by a tree."""
  elements = log_transition + jnp.moveaxis(log_likelihoods, 2, 1)[:, :, None]
  multiply = _multiply(jax.nn.logsumexp)
  products, _ = lax.associative_scan(
    lambda later, earlier: multiply(earlier, later), _normalised(elements), reverse=True
  )
  onward = jnp.moveaxis(jax.nn.logsumexp(products, -1), 2, 1)
  return jnp.concatenate([onward[1:], jnp.zeros_like(onward[:1])])


def posterior(
  log_transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
  filtered: Float[Array, "time state batch"],
  onward: Float[Array, "time state batch"],
  weights: Float[Array, "time batch"],
) -> tuple[Float[Array, "time state batch"], Float[Array, "state state"]]:
  """`p(z_t | x_1..T)`, and the expected transitions into every step, summed by that step's weight (Rabiner, eq. 37)."""
  steps, states, batch = filtered.shape
  size = min(max(1, CHUNK // (states * states * batch)), steps)

  def add(counts, chunk):
    filtered, arriving, weights = chunk
    log_pairs = filtered[:, :, None] + log_transition[..., None] + arriving[:, None]
    return counts + jnp.einsum("tijn,tn->ij", _softmax(log_pairs, (1, 2)), weights), None

  # Pairs (t-1, t) of all steps but the first, whose place the last chunk's padding takes: both weigh nothing.
  pairs = jnp.roll(filtered, 1, 0), log_likelihoods + onward, weights.at[0].set(0)
  padding = -steps % size
  chunks = [jnp.pad(x, ((0, padding), *((0, 0),) * (x.ndim - 1))).reshape(-1, size, *x.shape[1:]) for x in pairs]
  counts, _ = lax.scan(add, jnp.zeros_like(log_transition), tuple(chunks))
  return _softmax(filtered + onward, (1,)), counts


def best(
  log_initial: Float[Array, " state"],
  log_transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
) -> Float[Array, "time state batch"]:
  """`max over z_1..t-1 of log p(z_1..t, x_1..t)` but for a constant a step (Rabiner, eq. 33)."""

  def step(predicted, log_likelihood):
    joint = predicted + log_likelihood
    joint = joint - _or_zero(joint.max(0))
    return (joint[:, None] + log_transition[..., None]).max(0), joint

  start = jnp.broadcast_to(log_initial[:, None], log_likelihoods.shape[1:])
  return lax.scan(step, start, log_likelihoods)[1]


def best_parallel(
  log_initial: Float[Array, " state"],
  log_transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
) -> Float[Array, "time state batch"]:
  """What `best` returns, by a tree."""
  emitted = jnp.moveaxis(log_likelihoods, 2, 1)[:, :, None]
  elements = (log_transition + emitted).at[0].set(log_initial + emitted[0])
  products, _ = lax.associative_scan(_multiply(jnp.max), _normalised(elements))
  return jnp.moveaxis(products[:, :, 0], 2, 1)


def _softmax(logits, axes):
  """Normalised over the axes; zeros where nothing is possible."""
  total = jax.nn.logsumexp(logits, axes, keepdims=True)
  return jnp.exp(logits - _or_zero(total)) * ~jnp.isneginf(total)


def _log_product(matrix, vectors):
  """The logarithm of a matrix times vectors, [i, j] and [j, batch], given theirs."""
  return jax.nn.logsumexp(matrix[..., None] + vectors[None], 1)


def _multiply(add):
  """The product of two (normalised log-matrix [..., i, j], what was taken out [...]), for a semiring's `add`."""

  def multiply(a, b):
    product, offset = _normalised(add(a[0][..., None] + b[0][..., None, :, :], -2))
    return product, a[1] + b[1] + offset

  return multiply


def _normalised(log_matrix):
  peak = _or_zero(log_matrix.max((-2, -1)))
  return log_matrix - peak[..., None, None], peak


def _or_zero(x):
  return jnp.where(jnp.isneginf(x), 0, x)
