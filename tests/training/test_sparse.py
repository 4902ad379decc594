"""Updates of rows against the same update of the whole table, and against NumPy loops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import axes
from research.metrics import Mean
from research.training import sparse

RATE = 0.1
SIZE, ROWS = 13, 8


def batch_of(seed, masked=(), high=SIZE):
  rng = np.random.default_rng(seed)
  mask = np.ones(ROWS, np.float32)
  mask[list(masked)] = 0
  ids = rng.integers(0, high, (ROWS, 3)).astype(np.int32)
  ids[1, 2] = -1
  return {"ids": ids, "y": rng.normal(size=(ROWS, 4)).astype(np.float32), "mask": mask}


def errors(rows, batch):
  return ((rows.sum(1) - batch["y"]) ** 2).sum(-1)


def learner_of(optimizer, size=SIZE):
  """The sum of three embeddings is to be `y`."""

  def loss(rows, batch, key):
    del key
    mean = Mean.of(errors(rows["table"], batch), batch["mask"])
    return mean, {"error": mean}

  def evaluate(tables, batch):
    return {"norm": Mean.constant(jnp.linalg.norm(tables["table"]))}

  init = lambda key, batch: {"table": jax.random.normal(key, (size, 4))}
  ids = lambda batch, key: {"table": batch["ids"]}
  return sparse.sparse_learner(init=init, ids=ids, loss=loss, evaluate=evaluate, optimizer=optimizer)


def dense_gradient(table, batch):
  """Of the whole table, by autodiff through a one-hot product: no gather, no scatter."""

  def loss(table):
    mean = Mean.of(errors(jax.nn.one_hot(batch["ids"], len(table)) @ table, batch), batch["mask"])
    return mean.value()

  return jax.grad(loss)(table)


@pytest.mark.parametrize("name", ["sgd", "adagrad"])
@pytest.mark.parametrize("masked", [(), (0, 5)])
def test_rows_are_as_if_the_whole_table_had_been_updated(name, masked):
  """Of SGD and Adagrad a row without gradient stays where it is, so lazy and whole are the same."""
  rate = lambda step: RATE / (1 + step)
  optimizer, whole = {
    "sgd": (sparse.sgd(rate), optax.sgd(rate)),
    "adagrad": (sparse.adagrad(rate), optax.adagrad(rate)),
  }[name]
  learner = learner_of(optimizer)
  state = learner.init(jax.random.key(0), batch_of(0))
  table = state.tables["table"]
  slots, update, gradient = whole.init(table), jax.jit(learner.update), jax.jit(dense_gradient)
  for seed in range(4):
    state, metrics = update(state, batch_of(seed, masked))
    grads = gradient(table, batch_of(seed, masked))
    np.testing.assert_allclose(metrics["grad_norm"].value(), np.linalg.norm(grads), rtol=1e-5)
    updates, slots = whole.update(grads, slots, table)
    table = optax.apply_updates(table, updates)
  np.testing.assert_allclose(state.tables["table"], table, rtol=1e-5, atol=1e-6)


def test_lazy_adam_is_adam_of_each_row_by_its_own_time():
  learner = learner_of(sparse.lazy_adam(lambda step: RATE))
  batches = [batch_of(seed, high=9) for seed in range(5)]
  state = learner.init(jax.random.key(0), batches[0])
  table, update, gradient = (
    np.asarray(state.tables["table"], np.float64),
    jax.jit(learner.update),
    jax.jit(dense_gradient),
  )
  before, mean, square, count = table.copy(), np.zeros_like(table), np.zeros_like(table), np.zeros(SIZE)
  for batch in batches:
    grads = np.asarray(gradient(np.float32(table), batch), np.float64)
    state, _ = update(state, batch)
    for row in set(batch["ids"].ravel().tolist()) - {-1}:
      count[row] += 1
      mean[row] = 0.9 * mean[row] + 0.1 * grads[row]
      square[row] = 0.999 * square[row] + 0.001 * grads[row] ** 2
      unbiased = mean[row] / (1 - 0.9 ** count[row]), square[row] / (1 - 0.999 ** count[row])
      table[row] -= RATE * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
  np.testing.assert_allclose(state.tables["table"], table, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(state.tables["table"][9:], np.float32(before[9:]))


@pytest.mark.parametrize("optimizer", [sparse.sgd, sparse.adagrad, sparse.lazy_adam])
def test_what_is_not_finite_and_what_is_padding_change_nothing(optimizer):
  learner = learner_of(optimizer(lambda step: RATE))
  update = jax.jit(learner.update)
  state, _ = update(learner.init(jax.random.key(0), batch_of(0)), batch_of(0))
  spoilt = batch_of(1)
  spoilt["y"][3] = np.nan
  for batch, skipped in ((spoilt, 1), (batch_of(1, masked=range(ROWS)), 0)):
    after, _ = update(state, batch)
    assert (int(after.step), int(after.skipped)) == (2, skipped)
    jax.tree.map(np.testing.assert_array_equal, (after.tables, after.slots), (state.tables, state.slots))


def test_four_devices_are_one():
  learner = learner_of(sparse.adagrad(lambda step: RATE))
  batch = batch_of(2, masked=(0, 1, 6))
  state = learner.init(jax.random.key(0), batch)
  one, _ = jax.jit(learner.update)(state, batch)
  mapped = jax.pmap(
    lambda state, batch: learner.update(state, batch)[0],
    axis_name=axes.AXIS,
    in_axes=(None, 0),
    out_axes=None,
    devices=jax.devices()[:4],
  )
  four = mapped(state, jax.tree.map(lambda x: x.reshape(4, 2, *x.shape[1:]), batch))
  np.testing.assert_allclose(four.tables["table"], one.tables["table"], rtol=1e-6)
  np.testing.assert_allclose(four.slots["table"], one.slots["table"], rtol=1e-6)


def test_no_operation_of_the_program_is_as_large_as_the_table_but_the_scatters():
  """Of the compiled update, the table donated: it is written in place, and nothing else has its size."""
  size = 5003
  learner = learner_of(sparse.lazy_adam(lambda step: RATE), size)
  batch = batch_of(0)
  state = learner.init(jax.random.key(0), batch)
  compiled = jax.jit(learner.update, donate_argnums=0).lower(state, batch).compile()
  memory = compiled.memory_analysis()
  assert memory.alias_size_in_bytes >= 3 * size * 4 * 4
  assert memory.temp_size_in_bytes < size * 4
  text = compiled.as_text()
  assert f"copy(f32[{size},4]" not in text
  assert not [line for line in text.splitlines() if f"= f32[{size},4]" in line and " select(" in line]
