"""The one idea: a family is a Learner, three pure functions in the manner of `optax.GradientTransformation`."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Int, Key

from research import metrics as metrics_lib
from research.errors import UserError

Batch = Mapping[str, Any]
Metrics = metrics_lib.Metrics


@struct.dataclass
class State:
  """What every family's state begins with; families add what training changes: parameters, statistics, a replay buffer.

  Attributes:
    step: updates done so far.
    key: the base key of the run, never split: see `research.randomness`.
    skipped: updates that the non-finite guard has discarded.
  """

  step: Int[Array, ""]
  key: Key[Array, ""]
  skipped: Int[Array, ""]

  @classmethod
  def create(cls, key: Key[Array, ""], **fields):
    """The state at step 0."""
    return cls(step=jnp.zeros((), jnp.int32), key=key, skipped=jnp.zeros((), jnp.int32), **fields)


class Learner(NamedTuple):
  """A family as the loop sees it.

  Attributes:
    init: `init(key, batch) -> state`: everything that training changes is in the state.
    update: `update(state, batch) -> state, metrics`: one training step on one device's share of the batch; pure.
    evaluate: `evaluate(state, batch) -> metrics`: exact sums over this device's share, padded examples masked out.
    carry: `carry(batch) -> carry`, arrays [rows, ...]: what an evaluation hands from batch to batch, as it begins; then
      `evaluate(state, batch, carry) -> metrics, carry`, on this device's rows.  None where batches stand alone.
    watched: training metrics that are never to be infinite or NaN where anything was counted, lest the loop stop; None
      for all of them.
    one_pass: whether an example that is seen twice is counted twice, so that training must end with the first epoch.

  `update` returns a state whose `step` is one higher.  Metrics are sums over the local share: the loop adds them up
  over the devices.
  """

  init: Callable[[Key[Array, ""], Batch], State]
  update: Callable[[State, Batch], tuple[State, Metrics]]
  evaluate: Callable[..., Any]
  carry: Callable[[Batch], Any] | None = None
  watched: tuple[str, ...] | None = None
  one_pass: bool = False


def all_finite(tree) -> jax.Array:
  """Whether every number of a tree is finite."""
  leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
  return jnp.stack(leaves).all() if leaves else jnp.asarray(True)


def keep_if(condition: jax.Array, new, old):
  """`new` where the condition holds, else `old`, leaf by leaf."""
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


@struct.dataclass
class EnsembleState(State):
  """`members` is the state of one learner with a leading axis of the ensemble's size."""

  members: State


def ensemble(learner: Learner, size: int, view=None, evaluate=None, in_turn: bool = False) -> Learner:
  """`size` independent learners trained together on one device by vmap.

  Args:
    learner: the learner of one member.
    size: number of members.
    view: `view(member, batch, training) -> batch`: what a member sees of the batch, for instance another mask; by
      default all members see the same.
    evaluate: `evaluate(members, batch) -> metrics` of the ensemble as a whole; by default the members' metrics are
      summed, so the result is their mean.
    in_turn: members one after the other within a step, and no vmap: where scattered sums are most of the work, as on
      graphs, XLA's CPU backend takes three times as long for all at once, and so many times the memory.
  """
  several = (lambda function: lambda *trees: jax.lax.map(lambda one: function(*one), trees)) if in_turn else jax.vmap
  view = view or (lambda member, batch, training: batch)
  indices = jnp.arange(size)

  def init(key, batch):
    members = several(lambda i: learner.init(jax.random.fold_in(key, i), view(i, batch, True)))(indices)
    return EnsembleState.create(key, members=members)

  def update(state, batch):
    one = lambda i, member: learner.update(member, view(i, batch, True))
    members, metrics = several(one)(indices, state.members)
    skipped = members.skipped.sum(dtype=jnp.int32)
    return state.replace(step=state.step + 1, members=members, skipped=skipped), _summed(metrics)

  def evaluate_members(state, batch):
    one = lambda i, member: learner.evaluate(member, view(i, batch, False))
    return _summed(several(one)(indices, state.members))

  if learner.carry:
    raise UserError("config.train.members", size, "members do not carry state from batch to batch: train one.")
  evaluate_all = (lambda state, batch: evaluate(state.members, batch)) if evaluate else evaluate_members
  return learner._replace(init=init, update=update, evaluate=evaluate_all)


def _summed(metrics):
  return jax.tree.map(lambda x: x.sum(0), metrics)


def cross_validation(learner: Learner, folds: int) -> Learner:
  """k-fold cross-validation as an ensemble: member i never trains on fold i, and is evaluated on nothing else.

  The batch must hold `fold`, an integer in [0, folds) per example.  Metrics are pooled over the folds.  What is held
  out is masked, not removed: the family must weigh examples by `mask`, and its network must not look across examples,
  as batch normalisation does.
  """

  def view(member, batch, training):
    held_out = batch["fold"] == member
    visible = ~held_out if training else held_out
    return {**batch, "mask": batch["mask"] * visible}

  return ensemble(learner, folds, view)
