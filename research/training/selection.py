"""The best of a run, kept in its state: for runs so short that a checkpoint at every step would be most of them."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research import axes
from research.metrics import Mean
from research.training import steps
from research.training.learner import Batch, Learner, State, keep_if


@struct.dataclass
class SelectedState(State):
  """What trains, and the variables of the step that validated best.

  Attributes:
    trained: the state of the learner that trains.
    chosen: its variables where the validation loss was least.
    score: that loss; infinite before the first step.
    chosen_step: updates done then.
  """

  trained: Any
  chosen: Any
  score: Float[Array, ""]
  chosen_step: Int[Array, ""]


def best_on_validation(
  learner: Learner,
  validate: Callable[[Any, Batch], Mean],
  evaluate: Callable[[Any, Batch], Any],
  patience: int = 0,
) -> Learner:
  """`learner` by gradient, measured by the variables of the step whose validation loss was least.

  Args:
    learner: of `steps.gradient_learner`.
    validate: `validate(variables, batch) -> loss`, of validation data that the batch carries whole.
    evaluate: `evaluate(variables, batch) -> metrics`.
    patience: updates without a lower loss after which nothing is chosen any more (early stopping: what follows is
      trained and thrown away); 0 is without end.
  """

  def init(key, batch):
    trained: Any = learner.init(key, batch)
    chosen = steps.variables_of(trained)
    return SelectedState.create(
      key, trained=trained, chosen=chosen, score=jnp.float32(jnp.inf), chosen_step=jnp.zeros((), jnp.int32)
    )

  def update(state, batch):
    updated: Any = learner.update(state.trained, batch)
    trained, metrics = updated
    variables = steps.variables_of(trained)
    loss = axes.psum(validate(variables, batch)).value()
    better = loss < state.score
    if patience:
      better &= state.step - state.chosen_step < patience
    new = state.replace(
      step=state.step + 1,
      skipped=trained.skipped,
      trained=trained,
      chosen=keep_if(better, variables, state.chosen),
      score=jnp.where(better, loss, state.score),
      chosen_step=jnp.where(better, state.step + 1, state.chosen_step),
    )
    chosen = {"validation_loss": Mean.constant(loss), "chosen_step": Mean.constant(new.chosen_step)}
    return new, {**metrics, **chosen}

  return learner._replace(init=init, update=update, evaluate=lambda state, batch: evaluate(state.chosen, batch))
