"""Every environment against the code that defines it: Gymnasium's, MinAtar's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.environments import cart_pole, from_gymnax, grid, protocol
from research.errors import UserError

STEPS = 10_000


def rollout(environment, state, actions):
  """Observations, rewards and ends of a run of given actions that begins anew, from a key, where it ends."""

  def one(carry, inputs):
    state, observation = carry
    key, action = inputs
    after = environment.step(key, state, action)
    begun, first = environment.reset(key)
    done = after.terminated | after.truncated
    pick = lambda a, b: jax.tree.map(lambda x, y: jnp.where(done, x, y), a, b)
    kept = state, observation, after.observation, after.reward, after.terminated, after.truncated
    return (pick(begun, after.state), pick(first, after.observation)), kept

  state, observation = state
  inputs = jax.random.split(jax.random.key(1), len(actions)), jnp.asarray(actions)
  return jax.jit(lambda: jax.lax.scan(one, (state, observation), inputs))()[1]


@pytest.mark.parametrize(
  ("name", "theirs"),
  [("cart_pole", "CartPole-v1"), ("Acrobot-v1", "Acrobot-v1"), ("MountainCar-v0", "MountainCar-v0")],
)
def test_control_is_gymnasiums(name, theirs):
  """10,000 steps of random actions: from each state, Gymnasium comes to the same observation, reward and end."""
  gymnasium = pytest.importorskip("gymnasium")
  environment = cart_pole.cart_pole() if name == "cart_pole" else from_gymnax.load(name)
  actions = np.random.default_rng(0).integers(0, environment.num_actions, STEPS)
  start = jax.jit(environment.reset)(jax.random.key(0))
  states, _, observations, rewards, terminated, truncated = jax.device_get(rollout(environment, start, actions))
  game = gymnasium.make(theirs).unwrapped
  game.reset(seed=0)
  inner, assert_close = states.state, np.testing.assert_allclose
  for i in range(STEPS):
    game.state = np.asarray(internal(name, inner, i), np.float64)
    if name == "cart_pole":
      game.steps_beyond_terminated = None
    seen, reward, end, _, _ = game.step(int(actions[i]))
    assert_close(observations[i], seen, rtol=1e-4, atol=1e-4)
    assert reward == rewards[i]
    assert end == terminated[i]
    assert bool(truncated[i]) == (states.time[i] + 1 >= environment.max_steps and not end)


def internal(name, state, i):
  """Gymnasium's own state."""
  match name:
    case "cart_pole":
      return state[i]
    case "Acrobot-v1":
      return [getattr(state, n)[i] for n in ("joint_angle1", "joint_angle2", "velocity_1", "velocity_2")]
  return [state.position[i], state.velocity[i]]


def test_breakout_is_minatars():
  """10,000 steps of random actions, sticky ones included, from the same start: the same pictures, rewards and ends."""
  pytest.importorskip("gymnax")
  breakout = pytest.importorskip("minatar.environments.breakout")
  environment = from_gymnax.load("breakout")
  actions = np.random.default_rng(0).integers(0, environment.num_actions, STEPS)
  start = jax.jit(environment.reset)(jax.random.key(0))
  states, before, after, rewards, terminated, _ = jax.device_get(rollout(environment, start, actions))
  game, fresh = breakout.Env(), True
  applied = states.action[1:]  # what stuck is what the next state says was done
  stuck = 0
  for i in range(STEPS - 1):
    if fresh:
      game.reset()
      game.ball_x, game.ball_dir = int(states.state.ball_x[i]), int(states.state.ball_dir[i])
      game.last_x = game.ball_x
    np.testing.assert_array_equal(before[i], game.state())
    action = int(actions[i]) if terminated[i] else int(applied[i])
    stuck += action != actions[i]
    if terminated[i]:  # the state that follows is of the next game: the action is one of two
      action = int(actions[i]) if ends(game, int(actions[i])) else int(states.action[i])
    reward, end = game.act(action)
    assert reward == rewards[i]
    assert end == terminated[i]
    if not end:
      np.testing.assert_array_equal(after[i], game.state())
    fresh = end
  assert 0.05 < stuck / STEPS < 0.1, "a tenth of the actions stick, a sixth of which would have been the same"


def ends(game, action):
  import copy

  trial = copy.deepcopy(game)
  return trial.act(action)[1]


def test_minatar_has_the_published_protocol():
  pytest.importorskip("gymnax")
  environment = from_gymnax.load("breakout")
  assert environment.num_actions == 6
  assert environment.max_steps == 0
  assert environment.observation.dtype == bool


def test_time_limit_truncates_and_does_not_terminate():
  environment = cart_pole.cart_pole(max_steps=3)
  state, _ = environment.reset(jax.random.key(0))
  for i in range(3):
    transition = environment.step(jax.random.key(0), state, jnp.int32(i % 2))
    state = transition.state
    assert (bool(transition.truncated), bool(transition.terminated)) == (i == 2, False)


def test_grid_has_the_values_of_value_iteration():
  """The value of the cell beside the goal is 1, and falls by the discount with every step further."""
  values = grid.optimal_values(3, 3, 0.5).max(1).reshape(3, 3)
  distance = np.array([[4, 3, 2], [3, 2, 1], [2, 1, 0]])
  np.testing.assert_allclose(values, np.where(distance > 0, 0.5 ** (distance - 1.0), 0))


def test_discretised_actions():
  follow = lambda key, state, action: protocol.Transition(
    state + action, state + action, action, jnp.asarray(False), jnp.asarray(False)
  )
  world = protocol.Environment(
    "line", lambda key: (jnp.zeros(()), jnp.zeros(())), follow, jax.ShapeDtypeStruct((), jnp.float32), 0
  )
  table = protocol.discretised(world, jnp.array([-1.5, 0.0, 2.0]))
  assert table.num_actions == 3
  assert float(table.step(jax.random.key(0), jnp.zeros(()), jnp.int32(2)).state) == 2.0


def test_an_unknown_environment_is_named():
  with pytest.raises(UserError, match="cart_pole, grid, Acrobot-v1"):
    from_gymnax.load("pong")
