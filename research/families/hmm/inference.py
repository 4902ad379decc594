"""Exact inference on a Markov chain of hidden states, given the likelihood of every observation under every state.

Rabiner 1989 is the reference for what is computed; Särkkä & García-Fernández 2021 for the parallel forms.  Nothing here
knows what is observed: emissions arrive as `log_likelihoods[n, t, k] = log p(x_nt | z_nt = k)`.  Sequences are padded
to one length; steps at or beyond `length` carry no evidence, whatever stands there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, Key


class Chain(NamedTuple):
  """A Markov chain, in logarithms.

  Attributes:
    log_initial: `log p(z_1 = i)`, normalised.
    log_transition: `log p(z_t = j | z_t-1 = i)` at [i, j], rows normalised; -inf forbids a transition.
  """

  log_initial: Float[Array, " state"]
  log_transition: Float[Array, "state state"]


class Filtered(NamedTuple):
  """What the forward pass knows.

  Attributes:
    log_evidence: `log p(x_1..T)`, nats.
    probabilities: `p(z_t | x_1..t)`; 0 at padding.
  """

  log_evidence: Float[Array, " batch"]
  probabilities: Float[Array, "batch time state"]


class Smoothed(NamedTuple):
  """What the forward and the backward pass know together.

  Attributes:
    log_evidence: `log p(x_1..T)`, nats.
    probabilities: `γ_t = p(z_t | x_1..T)` (Rabiner, eq. 27); 0 at padding.
    transitions: expected number of transitions from i to j (`ξ` of eq. 37, summed over time), summed over the sequences
      by their weights.
  """

  log_evidence: Float[Array, " batch"]
  probabilities: Float[Array, "batch time state"]
  transitions: Float[Array, "state state"]


class Path(NamedTuple):
  """The most probable path.

  Attributes:
    states: -1 at padding.
    log_joint: `log p(z, x)` of it, nats.
  """

  states: Int[Array, "batch time"]
  log_joint: Float[Array, " batch"]


def log_evidence(
  chain: Chain, log_likelihoods: Float[Array, "batch time state"], length: Int[Array, " batch"]
) -> Float[Array, " batch"]:
  """`log p(x_1..T)` of every sequence, nats; differentiable."""
  return forward(chain, log_likelihoods, length).log_evidence


def forward(chain: Chain, log_likelihoods: Float[Array, "batch time state"], length: Int[Array, " batch"]) -> Filtered:
  """The forward algorithm (Rabiner, eqs. 19-21), scaled (sec. V.A)."""
  valid, evidence = _padded(log_likelihoods, length)
  log_c, alpha = _forward(chain, evidence)
  return Filtered(log_c.sum(0), jnp.moveaxis(alpha, 0, 1) * valid[..., None])


def smooth(
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
  weights: Float[Array, " batch"] | None = None,
) -> Smoothed:
  """The forward-backward algorithm (Rabiner, sec. III.A).

  Args:
    chain, log_likelihoods, length: the model, the emissions and how many steps of each sequence are real.
    weights: of the sequences in `transitions`; 1 by default.
  """
  valid, evidence = _padded(log_likelihoods, length)
  log_c, alpha = _forward(chain, evidence)
  transition = jnp.exp(chain.log_transition)
  predicted = alpha[:-1] @ transition

  def step(gamma, inputs):
    alpha, predicted = inputs
    ratio = jnp.where(predicted > 0, gamma / jnp.where(predicted > 0, predicted, 1), 0)
    return alpha * (ratio @ transition.T), (gamma, ratio)

  first, (rest, ratio) = lax.scan(step, alpha[-1], (alpha[:-1], predicted), reverse=True)
  gamma = jnp.moveaxis(jnp.concatenate([first[None], rest]), 0, 1) * valid[..., None]
  weights = jnp.ones(len(length), alpha.dtype) if weights is None else weights.astype(alpha.dtype)
  ratio = ratio * (valid.T[1:] * weights)[..., None]
  transitions = transition * jnp.einsum("tni,tnj->ij", alpha[:-1], ratio)
  return Smoothed(log_c.sum(0), gamma, transitions)


def viterbi(chain: Chain, log_likelihoods: Float[Array, "batch time state"], length: Int[Array, " batch"]) -> Path:
  """The most probable path (Rabiner, eqs. 32-35)."""
  valid = jnp.arange(log_likelihoods.shape[1]) < length[:, None]
  states = jnp.arange(log_likelihoods.shape[-1])

  def step(delta, inputs):
    log_likelihood, valid = inputs
    scores = delta[:, :, None] + chain.log_transition
    new = scores.max(1) + log_likelihood
    return jnp.where(valid, new, delta), jnp.where(valid, scores.argmax(1), states)

  def back(state, pointer):
    before = jnp.take_along_axis(pointer, state[:, None], 1)[:, 0]
    return before, state

  emitted = jnp.moveaxis(jnp.where(valid[..., None], log_likelihoods, 0), 1, 0)
  delta, pointers = lax.scan(step, chain.log_initial + emitted[0], (emitted[1:], valid.T[1:, :, None]))
  first, rest = lax.scan(back, delta.argmax(-1), pointers, reverse=True)
  path = jnp.concatenate([first[None], rest]).T
  best = jnp.where(length > 0, delta.max(-1), 0)
  return Path(jnp.where(valid, path, -1).astype(jnp.int32), best)


def sample_posterior(
  keys: Key[Array, " batch"],
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
) -> Int[Array, "batch time"]:
  """A path drawn from `p(z | x)` for each sequence and key: filter forward, sample backward (Scott 2002, eq. 7)."""
  filtered = forward(chain, log_likelihoods, length)
  valid, time = jnp.arange(log_likelihoods.shape[1]) < length[:, None], jnp.arange(log_likelihoods.shape[1])
  log_alpha = jnp.moveaxis(jnp.log(filtered.probabilities), 1, 0)

  def step(state, inputs):
    log_alpha, valid, last, t = inputs
    onward = jnp.where(last[:, None], 0, chain.log_transition.T[state])
    drawn = jax.vmap(lambda key, logits: jax.random.categorical(jax.random.fold_in(key, t), logits))(
      keys, jnp.where(valid[:, None], log_alpha + onward, 0)
    )
    return drawn, drawn

  start = jnp.zeros(len(length), jnp.int32)
  inputs = log_alpha, valid.T, (time == length[:, None] - 1).T, time
  return jnp.where(valid, lax.scan(step, start, inputs, reverse=True)[1].T, -1).astype(jnp.int32)


def simulate(keys: Key[Array, " batch"], chain: Chain, steps: int) -> Int[Array, "batch time"]:
  """A path of `steps` states drawn from the chain itself, for each key."""

  def draw(key):
    def step(state, t):
      drawn = jax.random.categorical(jax.random.fold_in(key, t), chain.log_transition[state])
      return drawn, drawn

    first = jax.random.categorical(jax.random.fold_in(key, 0), chain.log_initial)
    return jnp.concatenate([first[None], lax.scan(step, first, jnp.arange(1, steps))[1]])

  return jax.vmap(draw)(keys).astype(jnp.int32)


def _padded(log_likelihoods, length):
  """Which steps are real, [batch, time]; and the emissions, time first, 0 where they are not: no evidence."""
  valid = jnp.arange(log_likelihoods.shape[1]) < length[:, None]
  return valid, jnp.moveaxis(jnp.where(valid[..., None], log_likelihoods, 0), 1, 0)


def _forward(chain, log_likelihoods):
  """`log p(x_t | x_1..t-1)` [time, batch] and `p(z_t | x_1..t)` [time, batch, state]."""
  peak = log_likelihoods.max(-1)
  shift = jnp.where(jnp.isfinite(peak), peak, 0)
  likelihoods = jnp.exp(log_likelihoods - shift[..., None])
  transition = jnp.exp(chain.log_transition)

  def normalise(joint):
    c = joint.sum(-1)
    return joint / jnp.where(c > 0, c, 1)[:, None], c

  def step(alpha, likelihood):
    alpha, c = normalise((alpha @ transition) * likelihood)
    return alpha, (c, alpha)

  alpha, c = normalise(jnp.exp(chain.log_initial) * likelihoods[0])
  _, (rest_c, rest) = lax.scan(step, alpha, likelihoods[1:])
  c, alpha = jnp.concatenate([c[None], rest_c]), jnp.concatenate([alpha[None], rest])
  return jnp.log(c) + shift, alpha
