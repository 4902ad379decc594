"""Gymnasium's environments as pure functions, against Gymnasium's own objects."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.environments import from_gymnasium, worlds
from research.errors import UserError
from research.training.agents import acting

NAME = "gymnasium:CartPole-v1"


def player(world):
  choose = lambda keys, seen, time: (seen[:, 2] < 0).astype(jnp.int32)
  return jax.jit(lambda actors, key: acting.act(world, choose, actors, key, 40))


@pytest.fixture(scope="module")
def world():
  return worlds.load(NAME)


def test_episodes_are_those_of_gymnasium(world):
  actors, record = player(world)(acting.begin(world, jax.random.key(0), 3), jax.random.key(1))
  ended = np.flatnonzero(np.asarray(record.terminated[0]))
  assert len(ended), "an episode ends and another begins"
  theirs = gymnasium.make("CartPole-v1")
  seed = int(jax.random.bits(jax.random.fold_in(jax.random.key(0), 0)) >> 1)
  seen, _ = theirs.reset(seed=seed)
  for time in range(ended[0] + 1):
    np.testing.assert_array_equal(record.observation[0, time], seen)
    seen, reward, terminated, truncated, _ = theirs.step(int(record.action[0, time]))
    np.testing.assert_array_equal(record.next_observation[0, time], seen)
    assert (reward, terminated, truncated) == tuple(
      field[0, time].item() for field in (record.reward, record.terminated, record.truncated)
    )
  # What has begun since goes on from its own first observation.
  assert int(actors.env.time[0]) == actors.episode_length[0] < 40


def test_a_state_leads_to_the_same_in_another_process(world):
  """As after a resume: the host has none of the objects, and plays the episodes again; nothing depends on history."""
  actors, _ = player(world)(acting.begin(world, jax.random.key(0), 3), jax.random.key(1))
  results = [player(world)(actors, jax.random.key(2)) for _ in range(2)]
  results.append(player(worlds.load(NAME))(actors, jax.random.key(2)))
  for other in results[1:]:
    jax.tree.map(np.testing.assert_array_equal, results[0], other)


@pytest.mark.filterwarnings("error")
def test_after_its_end_an_episode_stays_as_it_was(world):
  """Episodes of unequal length are played side by side; Gymnasium warns where one is stepped after its end."""
  choose = lambda keys, seen, time: (seen[:, 2] < 0).astype(jnp.int32)
  keys = jax.random.split(jax.random.key(3), 6)
  returns, lengths, ended = jax.jit(lambda keys: acting.play(world, choose, keys, 500))(keys)
  assert ended.all()
  assert len(set(lengths.tolist())) > 1
  np.testing.assert_array_equal(returns, lengths)  # a reward of 1 a step


def test_continuous_actions_in_bins():
  world = worlds.load("gymnasium:Pendulum-v1", bins=5)
  assert (world.num_actions, world.max_steps, world.observation.shape) == (5, 200, (3,))
  np.testing.assert_array_equal(
    np.concatenate(from_gymnasium._Host("gymnasium:Pendulum-v1", 5)._actions), [-2, -1, 0, 1, 2]
  )


@pytest.mark.parametrize(
  ("name", "bins", "remedy"),
  [
    ("gymnasium:Nope-v1", 0, "cannot make it"),
    ("gymnasium:Pendulum-v1", 0, r"environment\.bins"),
    ("gymnasium:Blackjack-v1", 0, "limit of time"),
    ("cart_pole", 3, "leave it at 0"),
  ],
)
def test_what_does_not_fit_is_refused(name, bins, remedy):
  with pytest.raises(UserError, match=remedy):
    worlds.load(name, bins=bins)


class Faulty(gymnasium.Env):
  """Later than the rehearsal: a reward that is no number, an observation of another shape, or no answer at all."""

  action_space = gymnasium.spaces.Discrete(2)
  observation_space = gymnasium.spaces.Box(-1, 1, (2,))

  def __init__(self, fault):
    self.fault = fault

  def reset(self, *, seed=None, options=None):
    self.time = 0
    return np.zeros(2, np.float32), {}

  def step(self, action):
    self.time += 1
    late = self.time > 15  # the rehearsal at loading sees less
    if late and self.fault == "lost":
      raise BrokenPipeError("the simulator is lost")
    shape = 3 if late and self.fault == "shape" else 2
    return np.zeros(shape, np.float32), np.nan if late and self.fault == "reward" else 0.0, False, False, {}


@pytest.mark.parametrize("fault", ["reward", "shape", "lost"])
def test_a_faulty_environment_is_named(fault):
  name = f"Faulty{fault}-v0"
  gymnasium.register(name, lambda: Faulty(fault), max_episode_steps=50, disable_env_checker=True)
  world = worlds.load(f"gymnasium:{name}")
  choose = lambda keys, seen, time: jnp.zeros(len(keys), jnp.int32)
  with pytest.raises(Exception, match=rf"Faulty{fault}.*{fault}"):
    jax.block_until_ready(
      jax.jit(lambda key: acting.act(world, choose, acting.begin(world, key, 2), key, 20))(jax.random.key(0))
    )
