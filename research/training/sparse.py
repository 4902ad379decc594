"""The step of large embedding tables: only the rows that a batch names are read and written.

Gradients come as rows beside their ids.  They are gathered over the devices, summed by id, and scattered; the
optimizer's own arrays are rows beside the table's.  The work is that of the batch, whatever the table's size, as long
as the state is donated, as the loop does.  (Lazy updates: Abadi et al. 2016, section 4.2; Adagrad: Duchi et al. 2011.)
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research import axes, randomness
from research.metrics import Mean
from research.training import learner as learner_lib
from research.training import steps


class RowOptimizer(NamedTuple):
  """An optimizer of rows.

  Attributes:
    init: `init(table [id, feature]) -> slots`, arrays [id, ...].
    update: `update(rows [n, feature], slots of these rows, gradients [n, feature], step) -> rows, slots`.
    change: `change(gradients [n, feature], step) -> changes [n, feature]`, where an update is no more than a sum of
      what each gradient changes: those of one id are then summed by scattering them, unsorted and the rows unread.
  """

  init: Callable[[Array], Any]
  update: Callable[[Array, Any, Array, Array], tuple[Array, Any]]
  change: Callable[[Array, Array], Array] | None = None


def sgd(schedule: Callable, scattered: bool = False) -> RowOptimizer:
  """Gradient descent, at the rate `schedule(step)`.

  `scattered` adds gradients to the table as they come, which on CPUs takes half the time, or less, of summing them by
  id first; the logged `grad_norm` is then that of the rows as they come, collisions not summed.
  """
  change = lambda grads, step: -schedule(step) * grads
  update = lambda rows, slots, grads, step: (rows + change(grads, step), slots)
  return RowOptimizer(lambda table: (), update, change if scattered else None)


def adagrad(schedule: Callable, initial: float = 0.1, eps: float = 1e-7) -> RowOptimizer:
  """Adagrad (Duchi, Hazan & Singer 2011), a sum of squares for every number of the table, from `initial` on."""

  def update(rows, slots, grads, step):
    total = slots + grads**2
    return rows - schedule(step) * grads / jnp.sqrt(total + eps), total

  return RowOptimizer(lambda table: jnp.full_like(table, initial), update)


def lazy_adam(schedule: Callable, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> RowOptimizer:
  """Adam (Kingma & Ba 2015) of the rows that are named: the others' moments do not decay, and their bias is corrected
  for as many updates as each row has had."""

  def init(table):
    # Two arrays, not one twice: each is donated.
    return jnp.zeros_like(table), jnp.zeros_like(table), jnp.zeros(len(table), jnp.int32)

  def update(rows, slots, grads, step):
    mean, square, count = slots
    mean, square, count = b1 * mean + (1 - b1) * grads, b2 * square + (1 - b2) * grads**2, count + 1
    age = count[:, None].astype(rows.dtype)
    direction = (mean / (1 - b1**age)) / (jnp.sqrt(square / (1 - b2**age)) + eps)
    return rows - schedule(step) * direction, (mean, square, count)

  return RowOptimizer(init, update)


def summed_by_id(
  ids: Int[Array, " n"], grads: Float[Array, "n feature"], size: int
) -> tuple[Int[Array, " n"], Float[Array, "n feature"]]:
  """Every id once, in order, with the sum of its gradients; places that are left over hold the id `size` and zeros.

  Args:
    ids: in any order and as often as they come; those that are negative, or `size` and beyond, are none.
    grads: what each place contributes.
    size: rows of the table.
  """
  ids = jnp.where((ids >= 0) & (ids < size), ids, size)
  order = jnp.argsort(ids, stable=True)
  ids, grads = ids[order], jnp.where((ids < size)[:, None], grads, 0)[order]
  first = jnp.concatenate([jnp.ones(1, bool), ids[1:] != ids[:-1]])
  place = jnp.cumsum(first) - 1
  totals = jax.ops.segment_sum(grads, place, len(ids), indices_are_sorted=True)
  return jnp.full(len(ids), size, ids.dtype).at[place].set(ids), totals


def update_rows(table, slots, ids, grads, optimizer: RowOptimizer, step, allowed=True):
  """The table [id, feature] and its slots after one step on the rows that are named.

  Args:
    table, slots: what the optimizer keeps beside it.
    ids, grads: as `summed_by_id` returns them: every id once.
    optimizer: of rows.
    step: updates before this one.
    allowed: whether anything is to change: what the non-finite guard says.
  """
  take = lambda array: array.at[ids].get(mode="clip")
  rows, new = optimizer.update(take(table), jax.tree.map(take, slots), grads, step)
  # What is not to change is written nowhere: choosing between two tables would be a pass over both.
  target = jnp.where(allowed, ids, len(table))
  put = lambda array, rows: array.at[target].set(rows.astype(array.dtype), mode="drop")
  return put(table, rows), jax.tree.map(put, slots, new)


def add_rows(table, ids, changes, allowed=True):
  """The table with `changes` [n, feature] added to the rows `ids`, those of one id summed; as `update_rows` else."""
  target = jnp.where(allowed & (ids >= 0), ids, len(table))
  return table.at[target].add(changes.astype(table.dtype), mode="drop")


@struct.dataclass
class SparseState(learner_lib.State):
  """State of a learner of tables.

  Attributes:
    tables: arrays [id, feature] by name.
    slots: of the optimizer, for each table.
  """

  tables: Any
  slots: Any


def sparse_learner(
  *,
  init: Callable[[jax.Array, Any], Mapping[str, Array]],
  ids: Callable[[Any, jax.Array], Mapping[str, Array]],
  loss: Callable[[Mapping[str, Array], Any, jax.Array], tuple[Mean, Mapping[str, Mean]]],
  evaluate: Callable[[Mapping[str, Array], Any], Mapping[str, Mean]],
  optimizer: RowOptimizer,
  schedule: Callable | None = None,
) -> learner_lib.Learner:
  """A learner that follows the gradient of a loss of a few rows of large tables.

  Args:
    init: `init(key, batch) -> tables`, arrays [id, feature] by name.
    ids: `ids(batch, key) -> ids`, int arrays of any shape by table name: the rows that this batch needs, drawn
      negatives included; an id of -1 is none, and its row is zeros.
    loss: `loss(rows, batch, key) -> (loss, metrics)`: rows are `tables[name][ids[name]]`, of shape [..., feature]; the
      loss a (sum over examples, count) pair, as in `steps.gradient_learner`; `key` is the one that `ids` was given.
    evaluate: `evaluate(tables, batch) -> metrics`.
    optimizer: of rows: `sgd`, `adagrad`, `lazy_adam`.
    schedule: learning rate by step, logged only.

  The gradient is that of the global mean.  An update whose loss or gradient is not finite changes nothing and counts
  itself in `skipped`; a batch of padding changes nothing.
  """

  def init_state(key, batch):
    tables = dict(init(randomness.stream_key(key, "init"), batch))
    slots = {name: optimizer.init(table) for name, table in tables.items()}
    return SparseState.create(key, tables=tables, slots=slots)

  def update(state, batch):
    key = randomness.stream_key(state.key, "loss", state.step)
    named = dict(ids(batch, key))
    rows = {name: _rows(state.tables[name], named[name]) for name in named}

    def total_loss(rows):
      mean, metrics = loss(rows, batch, key)
      return mean.total, (mean, metrics)

    grads, (mean, metrics) = jax.grad(total_loss, has_aux=True)(rows)
    mean = axes.psum(mean)
    counted = mean.count > 0
    weight = 1 / jnp.where(counted, mean.count, 1)
    gathered = axes.whole({name: (named[name].ravel(), _flat(grads[name]) * weight) for name in named})
    if not optimizer.change:
      gathered = {name: summed_by_id(*gathered[name], len(state.tables[name])) for name in named}
    value, norm = mean.total * weight, steps.global_norm([grad for _, grad in gathered.values()])
    finite = jnp.isfinite(value) & jnp.isfinite(norm)
    tables, slots = dict(state.tables), dict(state.slots)
    for name, (row, grad) in gathered.items():
      if optimizer.change:
        changes = optimizer.change(grad, state.step)
        tables[name] = add_rows(tables[name], row, changes, finite & counted)
      else:
        tables[name], slots[name] = update_rows(
          tables[name], slots[name], row, grad, optimizer, state.step, finite & counted
        )
    new = state.replace(step=state.step + 1, skipped=state.skipped + ~finite, tables=tables, slots=slots)
    logged = {"loss": Mean.where(counted, value), **metrics, "grad_norm": Mean.where(counted, norm)}
    if schedule is not None:
      logged["learning_rate"] = Mean.constant(schedule(state.step))
    return new, logged

  watched = ("loss", "grad_norm")
  return learner_lib.Learner(init_state, update, lambda state, batch: evaluate(state.tables, batch), watched=watched)


def _rows(table, ids):
  real = (ids >= 0) & (ids < len(table))
  return jnp.where(real[..., None], table.at[jnp.where(real, ids, 0)].get(mode="clip"), 0)


def _flat(grads):
  return grads.reshape(-1, grads.shape[-1])
