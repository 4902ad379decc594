"""Files of transitions: what fits is read, what does not is named; and what an agent learns from them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.data import transitions
from research.environments import cart_pole, grid, protocol
from research.errors import UserError
from research.networks.q_network import QNetwork
from research.training.agents import offline, replayed
from tests import mock_data


def archive(tmp_path, **changes):
  folder = tmp_path / "raw"
  mock_data.write_raw(folder, "transitions")
  with np.load(folder / "transitions" / "cart_pole.npz") as file:
    arrays = {**file, **changes}
  path = tmp_path / "changed.npz"
  np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
  return str(path)


def test_reads_what_fits(tmp_path):
  arrays = transitions.load(archive(tmp_path), cart_pole.cart_pole())
  assert set(arrays) == set(transitions.FIELDS)
  assert arrays["terminated"].sum() == 5


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"action": None}, "no action"),
    ({"action": np.full(50, 2)}, "0 to 1"),
    ({"action": np.zeros(50)}, "integers"),
    ({"reward": np.full(50, np.nan)}, "not finite in row 0"),
    ({"reward": np.full(50, 1e300)}, "not finite in row 0"),
    ({"observation": np.full((50, 4), -1e39)}, "not finite in row 0"),
    ({"terminated": np.full(50, 7)}, "terminated = '7 in row 0'"),
    ({"terminated": np.full(50, np.nan)}, "terminated = 'nan in row 0'"),
    ({"reward": np.ones(49)}, "lengths"),
    ({"observation": np.zeros((50, 3))}, "shape of one observation"),
  ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, message):
  with pytest.raises(UserError, match=message):
    transitions.load(archive(tmp_path, **changes), cart_pole.cart_pole())


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(UserError, match="no such file"):
    transitions.load(str(tmp_path / "none.npz"), cart_pole.cart_pole())


def test_every_transition_of_a_grid_teaches_value_iteration():
  """All states and actions once each: the fixed point is the Bellman equation's, without the conservative term."""
  world, discount = grid.grid(3, 3), 0.8
  step = jax.jit(world.step)
  goal = np.eye(9)[8]
  rows = []
  for place in range(8):
    for action in range(4):
      at = jnp.array([place // 3, place % 3])
      after = step(jax.random.key(0), protocol.Timed(at, jnp.int32(0)), action)
      rows.append((np.eye(9)[place], action, after.reward, after.observation, after.terminated))
  fields = [np.stack(field) for field in zip(*rows)]
  batch = {name: jnp.asarray(field) for name, field in zip(transitions.FIELDS, fields)}
  batch |= {"mask": jnp.ones(32), "terminated": batch["terminated"].astype(jnp.float32)}
  assert (np.asarray(batch["next_observation"]) == goal).all(1).sum() == 2, "the goal is reached from two sides"
  network = QNetwork(4, 1, features=(32,))
  outputs = lambda params, seen, key: network.apply(params, seen)
  head = replayed.dqn.Expected()
  learner = offline.offline_learner(
    world,
    replayed.Network(network.init, outputs, head),
    optax.adam(3e-3),
    offline.Settings(target_every=20, discount=discount, conservative=0.0),
    replayed.Exploration(),
  )

  @jax.jit
  def train():
    state = learner.init(jax.random.key(0), batch)
    return jax.lax.fori_loop(0, 1500, lambda i, state: learner.update(state, batch)[0], state).params

  values = head.values(outputs(train(), jnp.eye(9), None))[:8]
  np.testing.assert_allclose(values, grid.optimal_values(3, 3, discount)[:8], atol=0.03)
