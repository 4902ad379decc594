"""Agents against what is known exactly: value iteration, episodes counted by hand, one device against several."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from research import axes
from research.environments import cart_pole, grid, protocol
from research.errors import UserError
from research.families import dqn
from research.metrics import Mean
from research.networks.q_network import QNetwork
from research.training import learner as learner_lib
from research.training.agents import acting, chosen, on_policy, replayed

DISCOUNT = 0.8
BATCH = {"mask": jnp.ones(32), "row": jnp.arange(32)}


def network(actions, head=None, **options):
  head = head or dqn.Expected()
  module = QNetwork(actions, head.outputs, features=(32,), **options)
  outputs = lambda params, seen, key: module.apply(params, seen, rngs={} if key is None else {"noise": key})
  return replayed.Network(module.init, outputs, head, options.get("noisy", False))


def settings(**changes):
  base = {"rows": 8, "steps": 4, "capacity": 2048, "batch_size": 32, "gradient_steps": 8, "learning_starts": 64}
  return replayed.Settings(**{**base, "target_every": 32, "discount": DISCOUNT, "total_frames": 32 * 400, **changes})


AGENTS = {
  "dqn": {},
  "double": {"double": True},
  "prioritised": {"double": True, "priority": 0.6},
}


@pytest.mark.parametrize("name", [*AGENTS, "pqn"])
def test_converges_to_value_iteration(name):
  """On a 3x3 grid the best actions' values are those of the Bellman equation; truncated episodes do not bias them.

  Returns of one step: longer ones hold what exploring cost.
  """
  world, explore = grid.grid(3, 3, max_steps=6), replayed.Exploration(last=0.3, frames=2000)
  optimizer = optax.adam(optax.exponential_decay(3e-3, 1600, 0.3))
  if name == "pqn":
    chosen = on_policy.Settings(rows=16, steps=8, epochs=2, minibatches=4, discount=DISCOUNT, decay=0.0)
    learner = on_policy.pqn_learner(world, network(4), optimizer, chosen, explore)
  else:
    learner = replayed.dqn_learner(world, network(4), optimizer, settings(**AGENTS[name]), explore)

  @jax.jit
  def train():
    state = learner.init(jax.random.key(0), BATCH)
    state = jax.lax.fori_loop(0, 400, lambda i, state: learner.update(state, BATCH)[0], state)
    return state.params, learner.evaluate(state, BATCH)

  params, metrics = train()
  values = network(4).values(params, jnp.eye(9))[:8].max(1)
  np.testing.assert_allclose(values, grid.optimal_values(3, 3, DISCOUNT)[:8].max(1), atol=0.05)
  assert float(metrics["return"].value()) == 1.0
  assert float(metrics["unfinished"].value()) == 0.0


def counting(length, cut):
  """A world whose observation is the step, and which ends, or is cut off, after `length` steps; reward 1."""

  def step(key, state, action):
    state = state + 1
    end = state >= length
    return protocol.Transition(state, state, jnp.ones(()), end & (not cut), end & cut)

  return protocol.Environment(
    "counting", lambda key: (jnp.zeros(()), jnp.zeros(())), step, jax.ShapeDtypeStruct((), jnp.float32), 2
  )


@pytest.mark.parametrize("cut", [False, True])
def test_the_last_observation_of_an_episode_is_kept(cut):
  world = counting(3, cut)
  choose = lambda keys, seen, time: jnp.zeros(len(keys), jnp.int32)
  play = jax.jit(lambda key: acting.act(world, choose, acting.begin(world, key, 2), key, 7))
  actors, record = play(jax.random.key(0))
  np.testing.assert_array_equal(record.observation[0], [0, 1, 2, 0, 1, 2, 0])
  np.testing.assert_array_equal(record.next_observation[0], [1, 2, 3, 1, 2, 3, 1])
  np.testing.assert_array_equal(record.truncated[0], [cut and i in (2, 5) for i in range(7)])
  np.testing.assert_array_equal(record.terminated[0], [not cut and i in (2, 5) for i in range(7)])
  np.testing.assert_array_equal(record.episode_return[0], [1, 2, 3, 1, 2, 3, 1])
  np.testing.assert_array_equal(actors.episode_return, [1, 1])
  metrics = acting.episode_metrics(record)
  assert float(metrics["episode_return"].value()) == 3
  assert float(metrics["episodes_ended"].value()) == 4


def test_recent_returns_are_the_last_hundred():
  after = jax.jit(acting.Recent.after)
  recent, returns, means = acting.Recent.none(), [], []
  rng = np.random.default_rng(0)
  assert float(recent.mean().count) == 0
  for _ in range(12):
    done, value = rng.random((5, 7)) < 0.4, rng.normal(size=(5, 7)).astype(np.float32)
    recent = after(recent, jnp.asarray(done), jnp.asarray(value))
    returns += value.T.ravel()[done.T.ravel()].tolist()
    means.append(np.mean(returns[-100:] or [0]))
  assert int(recent.episodes) == len(returns) > 100
  np.testing.assert_allclose(recent.mean().value(), np.mean(returns[-100:]), rtol=1e-5)
  np.testing.assert_allclose(recent.area / recent.updates, np.mean(means), rtol=1e-4, atol=1e-6)


def test_greedy_episodes_are_whole_and_counted_once():
  """An agent that never learns, of a world of known length: every episode is played to its end, padding aside."""
  world = counting(5, True)._replace(observation=jax.ShapeDtypeStruct((1,), jnp.float32))
  world = world._replace(
    reset=lambda key: (jnp.zeros(()), jnp.zeros(1)),
    step=lambda key, s, a, step=world.step: (lambda t: t._replace(observation=t.observation[None]))(step(key, s, a)),
  )
  learner = replayed.dqn_learner(world, network(2), optax.sgd(0.0), settings(), replayed.Exploration())
  batch = {"mask": jnp.array([1.0, 1, 1, 0]), "row": jnp.arange(4)}
  metrics = jax.jit(lambda: learner.evaluate(learner.init(jax.random.key(0), BATCH), batch))()
  assert float(metrics["return"].value()) == float(metrics["length"].value()) == 5
  assert float(metrics["return"].count) == 3


def test_the_agent_that_played_best_is_kept():
  """Returns 3, 7, 5, 7, 1 when measured after every second update, or from the 5 on: the later 7 is chosen."""
  returns = jnp.array([3.0, 7.0, 5.0, 7.0, 1.0])

  @struct.dataclass
  class Counting(learner_lib.State):
    params: Any

  learner = learner_lib.Learner(
    init=lambda key, batch: Counting.create(key, params=jnp.zeros(())),
    update=lambda state, batch: (state.replace(step=state.step + 1, params=state.params + 1), {}),
    evaluate=lambda state, batch: {"params": Mean.constant(state.params)},
  )
  for shift, expected in ((0, 8), (2, 10)):
    mean_return = lambda state, due, shift=shift: returns[(state.params.astype(int) // 2 - 1 + shift) % 5]
    best = chosen.best_played(learner, mean_return, 2)
    one = lambda i, state, best=best: best.update(state, BATCH)[0]
    state = jax.lax.fori_loop(0, 10, one, best.init(jax.random.key(0), BATCH))
    assert int(state.chosen_step) == expected
    assert float(state.score) == 7
    assert float(best.evaluate(state, BATCH)["params"].value()) == expected


def test_validation_plays_whole_episodes_only_when_due():
  world = counting(5, True)._replace(observation=jax.ShapeDtypeStruct((1,), jnp.float32))
  world = world._replace(
    reset=lambda key: (jnp.zeros(()), jnp.zeros(1)),
    step=lambda key, s, a, step=world.step: (lambda t: t._replace(observation=t.observation[None]))(step(key, s, a)),
  )
  learner = replayed.dqn_learner(world, network(2), optax.sgd(0.0), settings(), replayed.Exploration())
  play = chosen.validation(world, network(2), replayed.Exploration(), 3)
  both = jax.jit(lambda state: (play(state, True), play(state, False)))(learner.init(jax.random.key(0), BATCH))
  assert [float(value) for value in both] == [5, 0]


@pytest.mark.parametrize("changes", [{}, {"priority": 0.6, "n_steps": 3}])
def test_several_devices_are_one(changes):
  """The same state after the same updates, environments divided over four devices."""
  if jax.device_count() < 4:
    pytest.skip("needs four devices")
  world = cart_pole.cart_pole(20)
  learner = replayed.dqn_learner(
    world, network(2), optax.sgd(0.1), settings(capacity=256, **changes), replayed.Exploration()
  )

  def run(state, batch):
    state, metrics = jax.lax.scan(lambda state, _: learner.update(state, batch), state, None, 4)
    return state, {name: mean.value() for name, mean in axes.psum(metrics).items()}

  start = jax.jit(learner.init)(jax.random.key(0), BATCH)
  one, of_one = jax.jit(run)(start, BATCH)
  split = jax.tree.map(lambda x: x.reshape(4, -1), BATCH)
  mapped = functools.partial(jax.pmap, axis_name=axes.AXIS, devices=jax.devices()[:4], in_axes=(None, 0), out_axes=None)
  four, of_four = mapped(run)(start, split)
  for a, b in zip(jax.tree.leaves((one.replace(key=0), of_one)), jax.tree.leaves((four.replace(key=0), of_four))):
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_noise_explores_and_is_absent_in_evaluation():
  noisy = network(2, noisy=True)
  params = noisy.init(jax.random.key(0), jnp.zeros((1, 4)))
  seen = jnp.ones((3, 4))
  quiet = noisy.values(params, seen)
  loud = [noisy.values(params, seen, jax.random.key(i)) for i in range(2)]
  np.testing.assert_array_equal(quiet, noisy.values(params, seen))
  assert not np.allclose(loud[0], loud[1])
  assert not np.allclose(loud[0], quiet)


def test_settings_that_make_no_sense_are_refused():
  for changes, field in [({"capacity": 8}, "capacity"), ({"discount": 1.5}, "discount"), ({"n_steps": 0}, "n_steps")]:
    with pytest.raises(UserError, match=field):
      settings(**changes).check()
  with pytest.raises(UserError, match="minibatches"):
    on_policy.Settings(rows=4, steps=3, minibatches=5).check()
  with pytest.raises(UserError, match="4 equal parts"):
    on_policy.Settings(rows=4, steps=3, minibatches=6).check(4)


def test_environments_that_devices_do_not_divide_are_refused():
  actors = acting.begin(grid.grid(2, 2), jax.random.key(0), 6)
  with pytest.raises(UserError, match="agent"):
    jax.vmap(lambda _: acting.mine(actors), axis_name=axes.AXIS)(jnp.arange(4))
