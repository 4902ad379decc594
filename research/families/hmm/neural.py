"""Transitions that a network moves: where the chain goes depends on the last observation too.

Bengio & Frasconi 1995 (input-output hidden Markov models); Tran et al. 2016 (neural transitions); Obermeyer et al. 2019
(networks of the previous observation, on this very music).  Learned by the gradient of the exact likelihood.
"""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from research import randomness
from research.errors import UserError
from research.families.hmm import inference, learning
from research.families.hmm.emissions import Emission


def neural_transitions(emission: Emission, network: nn.Module, *, rank: int) -> learning.HiddenMarkov:
  """A hidden Markov model with `p(z_t = j | z_t-1 = i, x_t-1) ∝ exp(a_ij + g_j(x_t-1))`.

  The sum over j that normalises it is a product of two matrices, exp(a) and exp(g), so a step costs no more than twice
  that of a table: and divided between the two observations that it stands between, it makes a chain of the table alone
  have the same likelihood.  All of `inference` holds for that chain.

  `params` are `initial` [state], `emission`, `network`, and the factors `origin` [state, rank] and `target` [rank,
  state] of a.  There is no closed-form M-step: `expect`, `count` and `maximise` raise a UserError.

  Args:
    emission: one of `emissions`.
    network: g, `(previous, train) -> [batch, time, state]`, with `previous` [batch, time, feature] the observation
      before each step, zeros at the first.
    rank: of a.
  """
  num_states = emission.num_states

  def init(key, batch):
    keys = [randomness.stream_key(key, name) for name in ("origin", "target", "emission", "network")]
    weights = learning.valid_steps(batch) * batch["mask"][:, None]
    scale = rank**-0.25
    return {
      "initial": jnp.zeros(num_states),
      "origin": scale * 0.5 * jax.random.normal(keys[0], (num_states, rank)),
      "target": scale * 0.5 * jax.random.normal(keys[1], (rank, num_states)),
      "emission": emission.init(keys[2], batch["inputs"], weights),
      "network": network.init({"params": keys[3], "dropout": keys[3]}, before(batch["inputs"]), train=False)["params"],
    }

  def before(inputs):
    inputs = inputs.astype(jnp.result_type(float))
    return jnp.pad(inputs, ((0, 0), (1, 0), (0, 0)))[:, :-1]

  def push(params, previous, key=None):
    rngs = {} if key is None else {"dropout": key}
    return jnp.asarray(network.apply({"params": params["network"]}, previous, train=key is not None, rngs=rngs))

  def chain(params):
    table = jax.nn.log_softmax(params["origin"] @ params["target"])
    return inference.Chain(jax.nn.log_softmax(params["initial"]), table)

  def potentials(params, batch, key=None):
    emitted = emission.log_likelihoods(params["emission"], batch["inputs"], key)
    pushed = push(params, before(batch["inputs"]), key)[:, 1:]
    pushed -= jax.lax.stop_gradient(pushed.max(-1, keepdims=True))
    total = jnp.exp(pushed) @ jnp.exp(chain(params).log_transition).T
    total = jnp.log(jnp.maximum(total, jnp.finfo(total.dtype).tiny))
    real = (jnp.arange(1, emitted.shape[1]) < batch["length"][:, None])[..., None]
    return emitted.at[:, 1:].add(jnp.where(real, pushed, 0)).at[:, :-1].add(-jnp.where(real, total, 0))

  def closed_form(*arguments):
    del arguments
    raise UserError("transition", "neural", "it has no closed-form M-step: learn it by gradient.")

  return learning.likelihood_model(
    init=init,
    chain=chain,
    log_likelihoods=potentials,
    sample=functools.partial(_sample, emission, chain, push),
    expect=closed_form,
    count=closed_form,
    maximise=closed_form,
  )


def _sample(emission: Emission, chain: Callable, push: Callable, params, keys, steps: int):
  """Observations [batch, time, ...] and states [batch, time], one step after the other."""

  def step(carry, t):
    state, previous = carry
    pushed = push(params, previous.astype(jnp.result_type(float))[:, None])[:, 0]
    logits = jnp.where(t > 0, chain(params).log_transition[state] + pushed, chain(params).log_initial)
    at_step = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
    state = jax.vmap(jax.random.categorical)(at_step, logits).astype(jnp.int32)
    at_step = jax.vmap(lambda key: randomness.stream_key(key, "observations"))(at_step)
    observation = emission.draw(params["emission"], at_step, state, previous)
    return (state, observation), (observation, state)

  start = jnp.zeros((len(keys), *emission.observation.shape), emission.observation.dtype)
  _, (observed, states) = jax.lax.scan(step, (jnp.zeros(len(keys), jnp.int32), start), jnp.arange(steps))
  return jnp.moveaxis(observed, 0, 1), states.T
