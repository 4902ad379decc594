"""The step of the families that learn by sufficient statistics: an E-step, one psum, a closed-form M-step.

Dempster, Laird & Rubin 1977 (EM); Cappé & Moulines 2009 (stepwise EM); Chan, Golub & LeVeque 1983 (one pass).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from research import axes, randomness
from research.errors import UserError
from research.metrics import Mean
from research.training import learner as learner_lib

Statistics = Any
Combine = Callable[[Statistics, Statistics, jax.Array, jax.Array], Statistics]


@struct.dataclass
class StatisticsState(learner_lib.State):
  """State of a learner by sufficient statistics.

  Attributes:
    params: what the M-step computes.
    statistics: what it computed them from: sums over examples.
  """

  params: Any
  statistics: Statistics


def latest(old: Statistics, new: Statistics, count: jax.Array, step: jax.Array) -> Statistics:
  """Batch EM: the M-step sees the statistics of this batch alone, which is the whole data set."""
  del old, count, step
  return new


def total(old: Statistics, new: Statistics, count: jax.Array, step: jax.Array) -> Statistics:
  """One pass: the M-step sees all that has been counted so far.  The loop refuses a second epoch."""
  del count, step
  return jax.tree.map(jnp.add, old, new)


def stepwise(num_examples: float, power: float = 0.7, delay: float = 1.0) -> Combine:
  """Stepwise EM: a moving average over batches, `s <- (1 - η) s + η ŝ` with `η = (step + delay)^-power`.

  Statistics are kept at the scale of the whole set, so that priors weigh what they would in batch EM; with the whole
  set as batch and `power` 0 it is batch EM.  The first batch counts whole.

  Args:
    num_examples: in the whole set.
    power: in (0.5, 1] for convergence (Cappé & Moulines 2009, assumption 1); 0 forgets at once.
    delay: larger slows the first steps down.
  """
  if not (power == 0 or 0.5 < power <= 1):
    raise UserError("power", power, "give one above 0.5 and up to 1, or 0 for batch EM.")

  def combine(old, new, count, step):
    rate = jnp.where(step == 0, 1.0, (step + delay) ** -power)
    mix = lambda a, b: ((1 - rate) * a + rate * (num_examples / jnp.maximum(count, 1)) * b).astype(a.dtype)
    return jax.tree.map(mix, old, new)

  return combine


def statistics_learner(
  *,
  init: Callable[[jax.Array, Any], Any],
  expect: Callable[[Any, Any, jax.Array], tuple[Statistics, Mapping[str, Mean]]],
  maximise: Callable[[Any, Statistics], Any],
  evaluate: Callable[[Any, Any], Mapping[str, Mean]],
  combine: Combine = latest,
  accumulate: int = 1,
  prepare: Callable[[Any, Statistics, Any], Any] | None = None,
) -> learner_lib.Learner:
  """A learner whose update is an E-step, summed over the devices, and a closed-form M-step.

  Args:
    init: `init(key, batch) -> params`.
    expect: `expect(params, batch, key) -> (statistics, metrics)`: expected sufficient statistics under the current
      parameters, summed over the batch's examples with `batch["mask"]` as weights; `key` is for stochastic E-steps.
    maximise: `maximise(params, statistics) -> params`.
    evaluate: `evaluate(params, batch) -> metrics`.
    combine: what becomes of the statistics of the batches before: `latest`, `total` or `stepwise(...)`.
    accumulate: micro-batches that the E-step goes through one after the other, to bound its memory.
    prepare: `prepare(params, statistics, batch) -> params`: what the E-step must know of a batch before it goes through
      it, such as a shift that keeps its sums small; sums over devices are its own to take.

  An update whose parameters are not finite leaves state and parameters as they were, and counts itself in `skipped`;
  a batch of padding alone leaves them too, and is no error.
  """

  def init_state(key, batch):
    params = init(randomness.stream_key(key, "init"), batch)
    shapes = jax.eval_shape(lambda: expect(params, batch, key)[0])
    nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    return StatisticsState.create(key, params=params, statistics=nothing)

  def update(state, batch):
    key = randomness.stream_key(state.key, "statistics", state.step)
    before = prepare(state.params, state.statistics, batch) if prepare else state.params
    new, metrics = _expect(expect, before, batch, key, accumulate)
    new, count = axes.psum((new, batch["mask"].sum()))
    statistics = combine(state.statistics, new, count, state.step)
    params = maximise(before, statistics)
    finite, counted = learner_lib.all_finite((params, statistics)), count > 0
    old = state.params, state.statistics
    params, statistics = learner_lib.keep_if(finite & counted, (params, statistics), old)
    skipped = state.skipped + (counted & ~finite)
    state = state.replace(step=state.step + 1, skipped=skipped, params=params, statistics=statistics)
    return state, dict(metrics)

  def evaluate_state(state, batch):
    return evaluate(state.params, batch)

  return learner_lib.Learner(init_state, update, evaluate_state, watched=(), one_pass=combine is total)


def _expect(expect, params, batch, key, accumulate):
  """The E-step over micro-batches, summed."""
  if accumulate == 1:
    return expect(params, batch, key)
  rows = len(jax.tree.leaves(batch)[0])
  if rows % accumulate:
    remedy = f"it must divide the {rows} examples that each device has of a batch."
    raise UserError("config.train.accumulate", accumulate, remedy)
  micros = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)
  shapes = jax.eval_shape(lambda: expect(params, jax.tree.map(lambda x: x[0], micros), key))
  nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

  def micro_step(sums, inputs):
    i, micro = inputs
    return jax.tree.map(jnp.add, sums, expect(params, micro, jax.random.fold_in(key, i))), None

  return jax.lax.scan(micro_step, nothing, (jnp.arange(accumulate), micros))[0]
