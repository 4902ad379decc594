"""Forward and backward passes in probabilities, each step scaled to sum to one (Rabiner 1989, sec. V.A).

A step is one product of matrices for all sequences, and no logarithm.  What it cannot hold is a probability below the
smallest number; `is_exact` says whether that has mattered, and `logspace` is there for when it has.

Arrays are [time, state, sequence]: with the sequences last, every operation on a state is one on a contiguous vector.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float


class Forward(NamedTuple):
  """The forward pass.

  Attributes:
    log_evidence: `log p(x_t | x_1..t-1)`, nats.
    filtered: `p(z_t | x_1..t)`.
    likelihoods: of every step, divided by that of its likeliest state.
    scale: what filtered probabilities were multiplied with to sum to 1.
  """

  log_evidence: Float[Array, "time batch"]
  filtered: Float[Array, "time state batch"]
  likelihoods: Float[Array, "time state batch"]
  scale: Float[Array, "time batch"]


def forward(
  initial: Float[Array, " state"],
  transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
) -> Forward:
  """Rabiner, eqs. 19-21 and 91; an impossible step has log-evidence -inf, and zeros from there on."""
  peak = log_likelihoods.max(1)
  shift = jnp.where(jnp.isneginf(peak), 0, peak)
  likelihoods = jnp.exp(log_likelihoods - shift[:, None])

  def step(predicted, likelihood):
    joint = predicted * likelihood
    evidence = joint.sum(0)
    scale = _reciprocal(evidence)
    filtered = joint * scale
    return transition.T @ filtered, (evidence, scale, filtered)

  start = jnp.broadcast_to(initial[:, None], likelihoods.shape[1:])
  _, (evidence, scale, filtered) = lax.scan(step, start, likelihoods)
  return Forward(jnp.log(evidence) + shift, filtered, likelihoods, scale)


def backward(
  transition: Float[Array, "state state"], passed: Forward, weights: Float[Array, "time batch"]
) -> tuple[Float[Array, "time state batch"], Float[Array, "state state"]]:
  """`p(z_t | x_1..T)`, and the expected transitions into every step, summed by that step's weight.

  The recursion is that of Rabiner, eq. 25, for the ratio `p(z_t | x_1..T) / p(z_t | x_1..t-1)`, which needs no scale of
  its own; every step is normalised all the same, or rounding would add up over long sequences.
  """

  def step(carry, inputs):
    ratio, counts, weight = carry
    filtered, likelihood, scale, own_weight = inputs
    counts += filtered @ (ratio * weight).T
    onward = transition @ ratio
    joint = filtered * onward
    correction = _reciprocal(joint.sum(0))
    # A state that cannot be reached has any ratio, also an infinite one.
    ratio = jnp.where(filtered > 0, likelihood * onward * (scale * correction), 0)
    return (ratio, counts, own_weight), joint * correction

  start = jnp.ones_like(passed.filtered[0]), jnp.zeros_like(transition), jnp.zeros_like(passed.scale[0])
  inputs = passed.filtered, passed.likelihoods, passed.scale, weights
  (_, counts, _), smoothed = lax.scan(step, start, inputs, reverse=True)
  return smoothed, transition * counts


def is_exact(
  initial: Float[Array, " state"],
  transition: Float[Array, "state state"],
  log_likelihoods: Float[Array, "time state batch"],
  passed: Forward,
) -> Bool[Array, ""]:
  """Whether nothing that was rounded to zero could have mattered later.

  Either every transition has a probability that floating point can hold with room to spare: then a state whose filtered
  probability vanishes takes nothing from the next step that others do not give it many times over.  Or nothing has come
  near vanishing: every state that can be reached and can emit what was seen has a probability whose products with
  transition probabilities are still normal numbers.
  """
  limits = jnp.finfo(transition.dtype)
  least = limits.tiny / limits.eps
  begun = (passed.filtered[0].sum(0) > 0) & (passed.scale[0] <= 1 / least)
  dense = (transition.min() >= least) & begun.all()

  def nothing_vanished():
    small = limits.tiny**0.5
    predicted = jnp.einsum("ij,tin->tjn", transition, passed.filtered[:-1])
    first = jnp.broadcast_to(initial[:, None], predicted.shape[1:])
    possible = (jnp.concatenate([first[None], predicted]) > 0) & ~jnp.isneginf(log_likelihoods)
    kept = jnp.where(possible, passed.filtered, 1) >= small
    return kept.all() & (jnp.where(transition > 0, transition, 1) >= small).all()

  return lax.cond(dense, lambda: jnp.asarray(True), nothing_vanished)


def _reciprocal(x):
  return 1 / jnp.where(x > 0, x, 1)
