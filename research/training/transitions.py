"""The step of what moves by a rule of its own: a sweep of a Gibbs sampler, a round of alternating least squares."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import struct

from research import axes, randomness
from research.metrics import Mean
from research.training import learner as learner_lib


@struct.dataclass
class TransitionState(learner_lib.State):
  """State of what moves.

  Attributes:
    params: all that moves: factors, hyper-parameters, chains, samples kept.
  """

  params: Any


def transition_learner(
  *,
  init: Callable[[jax.Array, Any], Any],
  move: Callable[[Any, Any, jax.Array], tuple[Any, Mapping[str, Mean]]],
  evaluate: Callable[[Any, Any], Mapping[str, Mean]],
) -> learner_lib.Learner:
  """A learner whose update is one move.

  Args:
    init: `init(key, batch) -> params`.
    move: `move(params, batch, key) -> (params, metrics)`: on this device's share of the batch, whose sums it adds up
      over the devices by `axes.psum`, so that what it returns is the same on all; what belongs to rows of the batch it
      cuts by `axes.mine` and joins by `axes.whole`.  The key is that of the step.
    evaluate: `evaluate(params, batch) -> metrics`.

  A move to what is not finite leaves the params as they were, and counts itself in `skipped`; a batch of padding alone
  leaves them too, and is no error.
  """

  def init_state(key, batch):
    return TransitionState.create(key, params=init(randomness.stream_key(key, "init"), batch))

  def update(state, batch):
    params, metrics = move(state.params, batch, randomness.stream_key(state.key, "move", state.step))
    finite, counted = learner_lib.all_finite(params), axes.psum(batch["mask"].sum()) > 0
    params = learner_lib.keep_if(finite & counted, params, state.params)
    new = state.replace(step=state.step + 1, skipped=state.skipped + (counted & ~finite), params=params)
    return new, dict(metrics)

  return learner_lib.Learner(init_state, update, lambda state, batch: evaluate(state.params, batch), watched=())
