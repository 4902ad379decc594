"""Exact inference on a Markov chain of hidden states, given the likelihood of every observation under every state.

Rabiner 1989 is the reference for what is computed.  Nothing here knows what is observed: emissions arrive as
`log_likelihoods[n, t, k] = log p(x_nt | z_nt = k)`, so that every emission model shares it.  Sequences are padded to
one length; steps at or beyond `length` carry no evidence, whatever stands there.

Every function takes `method`: 'sequential' goes through the steps one after the other, in scaled probabilities where
that is exact to rounding and in logarithms where it is not (`scaled.is_exact`); 'parallel' takes products by a tree, in
logarithms; 'auto' chooses by the shapes.  A sequence that is impossible under the model has log-evidence -inf and a
posterior of zeros.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from research import target
from research.errors import UserError
from research.families.hmm import logspace, scaled

METHODS = ("auto", "sequential", "parallel")

# A tree pays where a step is latency.  On CPU, with 2 to 8 states and 500 to 100,000 steps of one sequence, it took one
# to ten times as long.  On accelerators a step costs some launches whatever it computes: these bounds on
# the steps, and on the multiplications of one, are reckoned from that and not measured.
PARALLEL_STEPS, PARALLEL_WORK = 64, 1_000_000


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
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
  method: str = "auto",
) -> Float[Array, " batch"]:
  """`log p(x_1..T)` of every sequence, nats.

  Its gradient is not taken through the recursion; it is what that amounts to: posteriors for `log_likelihoods` and
  `log_initial`, expected counts for `log_transition`.  So it costs one backward pass, and what is impossible has
  gradient 0.  It cannot be differentiated twice.
  """
  return _log_evidence(method, chain, log_likelihoods, length)


def forward(
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
  method: str = "auto",
) -> Filtered:
  """The forward algorithm (Rabiner, eqs. 19-21)."""
  problem = _problem(chain, log_likelihoods, length)
  passed = _pass(problem, method)

  def log_way(logs):
    log_evidence, log_filtered = logs.forward(*problem[:3])
    return log_evidence, jnp.exp(log_filtered)

  scaled_way = lambda scaled: (_summed(problem, scaled), scaled.filtered)
  log_evidence, filtered = _choose(passed, scaled_way, log_way)
  return Filtered(log_evidence, _batch_first(problem, filtered))


def smooth(
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
  weights: Float[Array, " batch"] | None = None,
  method: str = "auto",
) -> Smoothed:
  """The forward-backward algorithm (Rabiner, sec. III.A).

  Args:
    chain, log_likelihoods, length: the model, the emissions and how many steps of each sequence are real.
    weights: of the sequences in `transitions`; 1 by default.
    method: see above.
  """
  problem = _problem(chain, log_likelihoods, length)
  passed = _pass(problem, method)
  weights = jnp.ones(len(length)) if weights is None else weights
  log_evidence, smoothed, transitions = _posterior(problem, passed, weights)
  return Smoothed(log_evidence, _batch_first(problem, smoothed), transitions)


def viterbi(
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
  method: str = "auto",
) -> Path:
  """The most probable path (Rabiner, eqs. 32-35); of paths that are equally probable, any."""
  problem = _problem(chain, log_likelihoods, length)
  parallel = _is_parallel(method, problem.log_likelihoods.shape)
  best = (logspace.best_parallel if parallel else logspace.best)(*problem[:3])
  states = _traced_back(problem, best, parallel)
  emitted = jnp.take_along_axis(problem.log_likelihoods, states[:, None], 1)[:, 0]
  moved = problem.log_transition[states[:-1], states[1:]]
  moved = jnp.concatenate([problem.log_initial[states[0]][None], moved])
  log_joint = jnp.where(problem.valid, emitted + moved, 0).sum(0)
  return Path(jnp.where(problem.valid, states, -1).T, log_joint)


def sample_posterior(
  keys: Key[Array, " batch"],
  chain: Chain,
  log_likelihoods: Float[Array, "batch time state"],
  length: Int[Array, " batch"],
  method: str = "auto",
) -> Int[Array, "batch time"]:
  """A path drawn from `p(z | x)` for each sequence and key; -1 at padding.

  Forward filtering, backward sampling (Scott 2002, eq. 7), by the Gumbel-max trick: both methods draw the same paths.
  """
  problem = _problem(chain, log_likelihoods, length)
  passed = _pass(problem, method)
  filtered = _choose(passed, lambda scaled: jnp.log(scaled.filtered), lambda logs: logs.forward(*problem[:3])[1])
  shape, dtype = filtered.shape[:2], filtered.dtype
  noise = jax.vmap(lambda key: jax.random.gumbel(key, shape, dtype), out_axes=2)(keys)
  states = _traced_back(problem, filtered + noise, passed is None)
  return jnp.where(problem.valid, states, -1).T


def simulate(keys: Key[Array, " batch"], chain: Chain, steps: int) -> Int[Array, "batch time"]:
  """A path of `steps` states drawn from the chain itself, for each key."""

  def draw(key):
    def step(state, t):
      next_state = jax.random.categorical(jax.random.fold_in(key, t), chain.log_transition[state]).astype(jnp.int32)
      return next_state, next_state

    first = jax.random.categorical(jax.random.fold_in(key, 0), chain.log_initial).astype(jnp.int32)
    return jnp.concatenate([first[None], lax.scan(step, first, jnp.arange(1, steps))[1]])

  return jax.vmap(draw)(keys)


class _Problem(NamedTuple):
  """The model and the emissions, time first and sequences last, as `scaled` and `logspace` take them."""

  log_initial: Float[Array, " state"]
  log_transition: Float[Array, "state state"]
  log_likelihoods: Float[Array, "time state batch"]
  valid: Bool[Array, "time batch"]


class _Pass(NamedTuple):
  """A scaled forward pass, and whether it is exact."""

  scaled: scaled.Forward
  exact: Bool[Array, ""]


class _Logs(NamedTuple):
  """The passes in logarithms."""

  forward: Callable
  backward: Callable


def _problem(chain, log_likelihoods, length) -> _Problem:
  dtype = jnp.result_type(log_likelihoods, *chain)
  valid = jnp.arange(log_likelihoods.shape[1]) < length[:, None]
  # At padding every state emits with probability 1: no evidence.
  emitted = jnp.where(valid[..., None], log_likelihoods, 0).astype(dtype)
  return _Problem(*(x.astype(dtype) for x in chain), jnp.transpose(emitted, (1, 2, 0)), valid.T)


def _batch_first(problem, probabilities):
  return jnp.transpose(probabilities * problem.valid[:, None], (2, 0, 1))


def _is_parallel(method, shape) -> bool:
  if method not in METHODS:
    raise UserError("method", method, f"choose one of {', '.join(METHODS)}.")
  if method != "auto":
    return method == "parallel"
  steps, states, batch = shape
  return target.platform() != "cpu" and steps >= PARALLEL_STEPS and batch * states**3 <= PARALLEL_WORK


def _pass(problem, method) -> _Pass | None:
  """The scaled forward pass; None where the parallel form is to be used."""
  if _is_parallel(method, problem.log_likelihoods.shape):
    return None
  model = jnp.exp(problem.log_initial), jnp.exp(problem.log_transition), problem.log_likelihoods
  passed = scaled.forward(*model)
  return _Pass(passed, scaled.is_exact(*model, passed))


def _choose(passed, scaled_way, log_way):
  """`scaled_way(pass)` where that is exact, else `log_way(functions)`."""
  if passed is None:
    return log_way(_Logs(logspace.forward_parallel, logspace.backward_parallel))
  sequential = _Logs(logspace.forward, logspace.backward)
  return lax.cond(passed.exact, lambda: scaled_way(passed.scaled), lambda: log_way(sequential))


def _summed(problem, scaled) -> Float[Array, " batch"]:
  """The log-evidence of a scaled pass."""
  return (scaled.log_evidence * problem.valid).sum(0)


def _evidence(problem, passed) -> Float[Array, " batch"]:
  return _choose(passed, lambda scaled: _summed(problem, scaled), lambda logs: logs.forward(*problem[:3])[0])


def _posterior(problem, passed, weights):
  """Log-evidence, posteriors [time, state, batch] and expected transitions, the sequences weighed."""
  weights = (problem.valid * weights).astype(problem.log_likelihoods.dtype)

  def scaled_way(passed):
    return _summed(problem, passed), *scaled.backward(jnp.exp(problem.log_transition), passed, weights)

  def log_way(logs):
    log_evidence, filtered = logs.forward(*problem[:3])
    onward = logs.backward(*problem[1:3])
    return log_evidence, *logspace.posterior(*problem[1:3], filtered, onward, weights)

  return _choose(passed, scaled_way, log_way)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _log_evidence(method, chain, log_likelihoods, length):
  problem = _problem(chain, log_likelihoods, length)
  return _evidence(problem, _pass(problem, method))


def _log_evidence_forward(method, chain, log_likelihoods, length):
  problem = _problem(chain, log_likelihoods, length)
  passed = _pass(problem, method)
  return _evidence(problem, passed), (chain, log_likelihoods, problem, passed)


def _log_evidence_backward(method, residuals, gradient):
  del method
  chain, log_likelihoods, problem, passed = residuals
  _, smoothed, transitions = _posterior(problem, passed, gradient)
  emitted = _batch_first(problem, smoothed) * gradient[:, None, None]
  cotangent = Chain(emitted[:, 0].sum(0), transitions)
  cast = lambda x, like: x.astype(like.dtype)
  return jax.tree.map(cast, cotangent, chain), cast(emitted, log_likelihoods), None


_log_evidence.defvjp(_log_evidence_forward, _log_evidence_backward)


def _traced_back(problem, scores, parallel) -> Int[Array, "time batch"]:
  """The path that goes back from every sequence's last step, always to the state i that maximises
  `scores[t, i] + log_transition[i, z_t+1]`; at padding any."""
  ends = problem.valid & ~jnp.roll(problem.valid, -1, 0).at[-1].set(False)

  def step(after, inputs):
    scores, ends = inputs
    state = (scores + jnp.where(ends, 0, problem.log_transition[:, after])).argmax(0)
    return state, state

  if not parallel:
    return lax.scan(step, jnp.zeros_like(scores[0, 0], int), (scores, ends), reverse=True)[1]
  # Where to come from, for each state to go to: maps, whose compositions are taken by a tree.
  onward = jnp.where(ends[:, None, None], 0, problem.log_transition[..., None])
  maps = (scores[:, :, None] + onward).argmax(1)
  compose = lambda later, earlier: jnp.take_along_axis(earlier, later, 1)
  return lax.associative_scan(compose, maps, reverse=True)[:, 0]
