"""Replay against loops in NumPy, written from the definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from research.families import replay


def test_ring_keeps_the_newest_in_order():
  ring = replay.ring({"x": jnp.zeros(())}, rows=2, capacity=6)
  write = jax.jit(replay.write)
  for block in range(5):
    ring = write(ring, {"x": jnp.arange(2 * block, 2 * block + 2)[None] + jnp.array([[0.0], [100.0]])})
  assert int(ring.written) == 10
  assert int(ring.size) == 6
  np.testing.assert_array_equal(ring.fields["x"], [[6, 7, 8, 9, 4, 5], [106, 107, 108, 109, 104, 105]])


def test_a_block_that_does_not_divide_the_ring_is_refused():
  ring = replay.ring({"x": jnp.zeros(())}, rows=1, capacity=5)
  with pytest.raises(ValueError, match="2 at a time"):
    replay.write(ring, {"x": jnp.zeros((1, 2))})


def stream(rng, length):
  terminated = rng.random((3, length)) < 0.15
  truncated = ~terminated & (rng.random((3, length)) < 0.1)
  reward = rng.normal(size=(3, length)).astype(np.float32)
  step = np.broadcast_to(np.arange(length, dtype=np.float32), (3, length))
  return {"reward": reward, "terminated": terminated, "truncated": truncated, "step": step}


@pytest.mark.parametrize("steps", [1, 3])
def test_returns_of_drawn_transitions_stop_where_their_episode_does(steps):
  """Every place of the ring, by a loop over time: no window goes past an episode's end, or past what is written."""
  rng, discount, capacity = np.random.default_rng(0), 0.9, 12
  whole = stream(rng, 16)  # the first four are overwritten
  ring = replay.ring(jax.tree.map(lambda x: jnp.asarray(x[0, 0]), whole), rows=3, capacity=capacity)
  for start in range(0, 16, 4):
    ring = replay.write(ring, jax.tree.map(lambda x, s=start: jnp.asarray(x[:, s : s + 4]), whole))
  keys = jax.random.split(jax.random.key(1), 2000)
  row, place = jax.jit(replay.uniform, static_argnums=2)(ring, keys, steps)
  window = jax.jit(replay.window, static_argnums=(3, 4))(ring, row, place, steps, discount)
  starts = np.asarray(window.first["step"]).astype(int)
  assert sorted(set(starts)) == list(range(4, 16 - steps + 1))
  for i in range(200):
    r, t, total, weight = int(row[i]), starts[i], 0.0, 1.0
    for k in range(steps):
      total += weight * whole["reward"][r, t + k]
      weight *= discount
      if whole["terminated"][r, t + k]:
        weight = 0.0
      if whole["terminated"][r, t + k] or whole["truncated"][r, t + k]:
        break
    np.testing.assert_allclose(window.reward[i], total, rtol=1e-5)
    np.testing.assert_allclose(window.discount[i], weight, rtol=1e-6)
    assert int(window.last["step"][i]) == t + k


def test_uniform_draws_are_uniform():
  ring = replay.ring({"x": jnp.zeros(())}, rows=3, capacity=8)
  ring = replay.write(ring, {"x": jnp.zeros((3, 4))})
  row, place = jax.jit(replay.uniform, static_argnums=2)(ring, jax.random.split(jax.random.key(0), 9000), 2)
  counts = np.zeros((3, 8))
  np.add.at(counts, (np.asarray(row), np.asarray(place)), 1)
  assert counts[:, 3:].sum() == 0, "the newest has no second step, the rest is not written"
  assert stats.chisquare(counts[:, :3].ravel()).pvalue > 1e-4


def test_sum_tree_against_a_running_sum():
  rng, leaves = np.random.default_rng(0), 37
  values, tree = np.zeros(leaves), replay.tree(leaves)
  update, find = jax.jit(replay.update), jax.jit(replay.find)
  for _ in range(20):
    leaf = rng.choice(leaves, 8, replace=False)
    value = rng.integers(0, 9, 8)
    values[leaf] = value
    tree = update(tree, jnp.asarray(leaf), jnp.asarray(value, jnp.float32))
    assert float(tree[1]) == values.sum()
    mass = rng.random(100) * values.sum()
    np.testing.assert_array_equal(
      find(tree, jnp.asarray(mass, jnp.float32)), np.searchsorted(np.cumsum(values), mass, "right")
    )


def test_a_leaf_of_no_weight_is_never_found():
  tree = replay.update(replay.tree(8), jnp.array([2, 5]), jnp.array([1.0, 1e-8]))
  leaves = jax.jit(replay.find)(tree, jnp.linspace(0, 1.0001, 400))
  assert set(np.asarray(leaves).tolist()) <= {2, 5}
