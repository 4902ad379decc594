"""Environment steps a second: alone, and with learning."""

import time

import jax
import jax.numpy as jnp

from experiments.benchmark.timing import result
from experiments.command import cli
from experiments.parts import learning
from research.environments import cart_pole
from research.training import loop, parallel
from research.training.agents import acting


def random_actions(name: str) -> dict:
  """Steps a second of random actions in so many environments at once, best of 3."""
  rows = int(name.rpartition("_")[2])
  world, steps = cart_pole.cart_pole(), max(20_000 // rows, 50)
  choose = lambda keys, seen, time: jax.vmap(lambda key: jax.random.randint(key, (), 0, 2))(keys)

  @jax.jit
  def run(actors, key):
    actors, record = acting.act(world, choose, actors, key, steps)
    return actors, record.reward.sum()

  actors, _ = jax.block_until_ready(run(acting.begin(world, jax.random.key(0), rows), jax.random.key(1)))
  times = []
  for i in range(3):
    start = time.perf_counter()
    actors, _ = jax.block_until_ready(run(actors, jax.random.key(i)))
    times.append(time.perf_counter() - start)
  return result(name, "steps_per_second", rows * steps / min(times), "steps/s", rows=rows, steps=steps)


def dqn_cart_pole(name: str) -> dict:
  """Steps a second with learning, 50,000 frames of `configs/dqn/cart_pole.py`; compilation is left out."""
  from experiments import dqn

  config = cli.load_config("configs/dqn/cart_pole.py")
  experiment = dqn.experiment(config)
  total = learning.duration(config, experiment.train_data)
  settings = loop.Settings(total_steps=total, steps_per_dispatch=config.run.steps_per_dispatch)
  executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
  width = settings.steps_per_dispatch
  spans = [(i, width) for i in range(0, total - width + 1, width)]
  state, start = executor.init_state(), 0.0
  for i, (_, _, feed, count) in enumerate(executor.feeds(experiment.train_data, spans, width)):
    if i == 1:
      jax.block_until_ready(state)
      start = time.perf_counter()
    state, _ = executor.update(state, feed, count)
  jax.block_until_ready(state)
  seconds = time.perf_counter() - start
  frames = (len(spans) - 1) * width * config.agent.rows * config.agent.steps
  returns = float(executor.evaluate(state, experiment.test_data)["return"])
  rate = jnp.asarray(frames / seconds).item()
  return result(name, "steps_per_second", rate, "steps/s", greedy_return=returns, frames=frames)


WORKLOADS = {
  "dqn_cartpole": dqn_cart_pole,
  **{f"cartpole_random_{rows}": random_actions for rows in (1, 16, 4096)},
}
