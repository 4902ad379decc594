"""Bits that depend on the bits before them, beside the state: held and moving notes of music."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError
from research.families.hmm import emissions


def autoregressive_bernoulli(num_states: int, num_features: int, *, reach: int = 2) -> emissions.Emission:
  """Independent bits, given the state and what the observation before had nearby: [batch, time, feature].

  The log-odds of feature d in state k are `a_kd + b_jkd`, where j is the distance of the nearest feature, up to
  `reach`, that was 1 in the observation before; without one, and at the first step, they are a_kd.  It is an arHMM
  (Obermeyer et al. 2019) whose tables are sums, so that what a state learns at one distance it knows of all.  The
  likelihood of all states is a few products of matrices: there is no term for each step, state and feature.

  To be learned by gradient: the sum has no closed-form M-step.

  Args:
    num_states, num_features: K and D.
    reach: largest distance, in features; for the keys of a piano, in semitones.

  Raises:
    UserError: a negative reach.
  """
  if reach < 0:
    raise UserError("reach", reach, "give the largest distance, 0 or more.")
  plain = emissions.bernoulli(num_states, num_features)

  def init(key, inputs, weights):
    base = plain.init(key, inputs, weights)["logits"]
    return {"logits": base, "offsets": jnp.zeros((reach + 1, *base.shape), base.dtype)}

  def log_likelihoods(params, inputs, key=None):
    del key
    inputs = inputs.astype(params["logits"].dtype)
    near = nearest(jnp.pad(inputs, ((0, 0), (1, 0), (0, 0)))[:, :-1], reach)
    log_likelihood = emissions.bernoulli_log_likelihoods(params["logits"], inputs)
    silent = jax.nn.softplus(params["logits"])
    # Where a distance applies, its term replaces that of no distance: log p = x l - log(1 + exp l).
    for mask, offset in zip(near, params["offsets"]):
      log_likelihood += (inputs * mask) @ offset.T - mask @ (jax.nn.softplus(params["logits"] + offset) - silent).T
    return log_likelihood

  def draw(params, keys, states, previous):
    logits = params["logits"][states]
    for mask, offset in zip(nearest(previous.astype(logits.dtype), reach), params["offsets"]):
      logits += mask * offset[states]
    return jax.vmap(lambda key, p: jax.random.bernoulli(key, p))(keys, jax.nn.sigmoid(logits)).astype(previous.dtype)

  def closed_form(*arguments):
    del arguments
    raise UserError("emission", "autoregressive", "it has no closed-form M-step: learn it by gradient.")

  return plain._replace(init=init, log_likelihoods=log_likelihoods, draw=draw, expect=closed_form, maximise=closed_form)


def nearest(bits: Float[Array, "... feature"], reach: int) -> list[Float[Array, "... feature"]]:
  """For each distance 0 to `reach`: 1 where the nearest bit that is 1 lies so far away, else 0."""
  edge = [(0, 0)] * (bits.ndim - 1)
  missing, nearest_bits = jnp.ones_like(bits), []
  for distance in range(min(reach, bits.shape[-1] - 1) + 1):
    kept = bits.shape[-1] - distance
    above = jnp.pad(bits[..., distance:], [*edge, (0, distance)])
    below = jnp.pad(bits[..., :kept], [*edge, (distance, 0)])
    nearest_bits.append(missing * jnp.maximum(above, below))
    missing -= nearest_bits[-1]
  return nearest_bits
