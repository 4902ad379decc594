"""Hidden Markov models as learners see them: Baum-Welch, counts of known states, the gradient of the likelihood.

A batch has `inputs` [batch, time, ...], `length` int [batch], `mask` [batch] over sequences, and for supervised
learning `states` int [batch, time].
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.families.hmm import inference
from research.families.hmm.emissions import Emission, log_mode, log_probabilities, random_log_simplex
from research.metrics import Mean

Params = Mapping[str, Any]

DEFINITIONS = {"nll": "negative log-likelihood by the forward algorithm, nats a time step"}


class HiddenMarkov(NamedTuple):
  """The functions of a hidden Markov model.

  `params` are `initial` [state] and `transition` [state, state], logits of the distributions that they are normalised
  to, and `emission`: see `emissions`.

  Attributes:
    init: `init(key, batch) -> params`.
    expect: `expect(params, batch, key) -> (statistics, metrics)`: Baum-Welch's E-step.
    count: the same where the states are known: `batch["states"]`.
    maximise: `maximise(params, statistics) -> params`: the M-step of both.
    evaluate: `evaluate(params, batch) -> metrics`.
    init_variables, loss, evaluate_variables: the three functions of `gradient_learner`; params are
      `variables["params"]`.
    chain: `chain(params) -> inference.Chain`.
    smooth: `smooth(params, batch) -> inference.Smoothed`.
    decode: `decode(params, batch) -> inference.Path`: Viterbi.
    sample_states: `sample_states(params, keys [batch], batch) -> states [batch, time]`, from the posterior.
    sample: `sample(params, keys [batch], steps) -> (observations [batch, time, ...], states [batch, time])`.
  """

  init: Callable[..., Params]
  expect: Callable[..., Any]
  count: Callable[..., Any]
  maximise: Callable[..., Params]
  evaluate: Callable[..., dict[str, Mean]]
  init_variables: Callable[..., dict[str, Params]]
  loss: Callable[..., Any]
  evaluate_variables: Callable[..., dict[str, Mean]]
  chain: Callable[[Params], inference.Chain]
  smooth: Callable[..., inference.Smoothed]
  decode: Callable[..., inference.Path]
  sample_states: Callable[..., Int[Array, "batch time"]]
  sample: Callable[..., tuple[Array, Int[Array, "batch time"]]]


def hmm(
  emission: Emission,
  *,
  initial_concentration: float | Float[Array, " state"] = 1.0,
  transition_concentration: float | Float[Array, "state state"] = 1.0,
) -> HiddenMarkov:
  """A hidden Markov model with the emissions given (Rabiner 1989, sec. II).

  Args:
    emission: one of `emissions`.
    initial_concentration, transition_concentration: of the Dirichlet priors on the initial distribution and on the rows
      of the transition matrix, a number or one a cell.  The M-step is the mode: it adds `concentration - 1` to every
      expected count; 1 is maximum likelihood.  Learning by gradient ignores them.

  Raises:
    UserError: a concentration below 1.
  """
  num_states = emission.num_states
  _check_concentrations(initial=initial_concentration, transition=transition_concentration)

  def init(key, batch):
    keys = [randomness.stream_key(key, name) for name in ("initial", "transition", "emission")]
    weights = valid_steps(batch) * batch["mask"][:, None]
    return {
      "initial": random_log_simplex(keys[0], (num_states,)),
      "transition": random_log_simplex(keys[1], (num_states, num_states)),
      "emission": emission.init(keys[2], batch["inputs"], weights),
    }

  def log_likelihoods(params, batch, key=None):
    return emission.log_likelihoods(params["emission"], batch["inputs"], key)

  def expect(params, batch, key):
    del key
    # Time first, as inference goes through it: what is transposed then is observations, which are fewer than states.
    inputs = jnp.moveaxis(batch["inputs"], 1, 0)
    logs = jnp.moveaxis(emission.log_likelihoods(params["emission"], inputs), 0, 1)
    posterior = inference.smooth(chain_of(params), logs, batch["length"], batch["mask"])
    gamma = jnp.moveaxis(posterior.probabilities, 1, 0) * batch["mask"].astype(logs.dtype)[:, None]
    return {
      "initial": gamma[0].sum(0),
      "transition": posterior.transitions,
      "emission": emission.expect(params["emission"], inputs, gamma),
    }, {"nll": _nll(posterior.log_evidence, batch)}

  def count(params, batch, key):
    del key
    assigned, transitions = _known_states(batch, num_states, params["initial"].dtype)
    return {
      "initial": assigned[:, 0].sum(0),
      "transition": transitions,
      "emission": emission.expect(params["emission"], batch["inputs"], assigned),
    }, {}

  def maximise(params, statistics):
    return {
      "initial": log_mode(statistics["initial"], initial_concentration, params["initial"]),
      "transition": log_mode(statistics["transition"], transition_concentration, params["transition"]),
      "emission": emission.maximise(params["emission"], statistics["emission"]),
    }

  return likelihood_model(
    init=init,
    chain=chain_of,
    log_likelihoods=log_likelihoods,
    sample=lambda params, keys, steps: _sample(emission, params, keys, steps),
    expect=expect,
    count=count,
    maximise=maximise,
  )


def _check_concentrations(**concentrations) -> None:
  for name, value in concentrations.items():
    if jnp.min(jnp.asarray(value)) < 1:
      raise UserError(f"{name}_concentration", value, "give 1 (maximum likelihood) or more.")


def _known_states(
  batch, num_states: int, dtype
) -> tuple[Float[Array, "batch time state"], Float[Array, "state state"]]:
  """The states as responsibilities, 0 at padding, and how often each follows each."""
  states = jnp.where(valid_steps(batch) & (batch["mask"] > 0)[:, None], batch["states"], -1)
  pairs = jnp.where(states[:, 1:] >= 0, states[:, :-1] * num_states + states[:, 1:], num_states**2)
  transitions = jnp.bincount(pairs.ravel(), length=num_states**2 + 1)[:-1].reshape(num_states, num_states)
  return jax.nn.one_hot(states, num_states, dtype=dtype), transitions.astype(dtype)


def likelihood_model(
  *,
  init: Callable[..., Params],
  chain: Callable[[Params], inference.Chain],
  log_likelihoods: Callable[..., Float[Array, "batch time state"]],
  sample: Callable[..., tuple[Array, Int[Array, "batch time"]]],
  expect: Callable[..., Any],
  count: Callable[..., Any],
  maximise: Callable[..., Params],
) -> HiddenMarkov:
  """The functions of a model that inference gives, once it has a chain and `log_likelihoods(params, batch, key)`.

  Args:
    init, chain, sample, expect, count, maximise: as in `HiddenMarkov`.
    log_likelihoods: of every step under every state, nats; `key` is for dropout, None outside training.
  """

  def evaluate(params, batch, key=None):
    evidence = inference.log_evidence(chain(params), log_likelihoods(params, batch, key), batch["length"])
    return {"nll": _nll(evidence, batch)}

  def loss(variables, batch, key):
    return evaluate(variables["params"], batch, randomness.stream_key(key, "dropout"))["nll"], ({}, {})

  def smooth(params, batch):
    return inference.smooth(chain(params), log_likelihoods(params, batch), batch["length"], batch["mask"])

  def decode(params, batch):
    return inference.viterbi(chain(params), log_likelihoods(params, batch), batch["length"])

  def sample_states(params, keys, batch):
    return inference.sample_posterior(keys, chain(params), log_likelihoods(params, batch), batch["length"])

  return HiddenMarkov(
    init=init,
    expect=expect,
    count=count,
    maximise=maximise,
    evaluate=evaluate,
    init_variables=lambda key, batch: {"params": init(key, batch)},
    loss=loss,
    evaluate_variables=lambda variables, batch: evaluate(variables["params"], batch),
    chain=chain,
    smooth=smooth,
    decode=decode,
    sample_states=sample_states,
    sample=sample,
  )


def chain_of(params: Params) -> inference.Chain:
  """The chain whose logits are `params["initial"]` and `params["transition"]`."""
  return inference.Chain(log_probabilities(params["initial"]), log_probabilities(params["transition"]))


def _sample(emission, params, keys: Key[Array, " batch"], steps: int):
  """Ancestral sampling: states first, then one observation after the other, since each may depend on the last."""
  states = inference.simulate(keys, chain_of(params), steps)
  keys = jax.vmap(lambda key: randomness.stream_key(key, "observations"))(keys)

  def step(previous, inputs):
    t, state = inputs
    at_step = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
    observation = emission.draw(params["emission"], at_step, state, previous)
    return observation, observation

  start = jnp.zeros((len(keys), *emission.observation.shape), emission.observation.dtype)
  _, observations = jax.lax.scan(step, start, (jnp.arange(steps), states.T))
  return jnp.moveaxis(observations, 0, 1), states


def valid_steps(batch) -> Bool[Array, "batch time"]:
  """Which steps are real."""
  return jnp.arange(batch["inputs"].shape[1]) < batch["length"][:, None]


def _nll(log_evidence, batch) -> Mean:
  """Total negative log-likelihood of the sequences that count, and how many steps they have."""
  mask = batch["mask"].astype(log_evidence.dtype)
  return Mean(-jnp.where(mask > 0, mask * log_evidence, 0).sum(), (mask * batch["length"]).sum())
