"""What the loop costs beside the device: host time per step, of a learner that computes next to nothing.

  python -m experiments.benchmark loop/host_overhead

The value is the wall time of a step in the loop, with data, metrics, guards and a row of every hundredth step, less
that of the compiled update alone, called in a row on the same feeds.  `of_a_10_ms_step_us` is the same for a step of
about ten milliseconds, where the host's work should hide behind the device's: about zero, or below it.
"""

import contextlib
import dataclasses
import io
import statistics
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from research.data import pipeline
from research.metrics import Mean
from research.training import loop, parallel, rundir, steps
from research.training.executor import Executor
from research.training.experiment import Experiment

STEPS = 2000
REPEATS = 5


def measure(num_steps: int = STEPS, repeats: int = REPEATS) -> dict[str, Any]:
  """One row for `python -m experiments.benchmark`: microseconds of host time per step."""
  tiny, slow = _overhead(_experiment(), num_steps, repeats), _overhead(_experiment(_ten_milliseconds), 100, 3)
  detail = {
    "loop_us": round(tiny["loop"], 1),
    "bare_update_us": round(tiny["bare"], 1),
    "num_steps": num_steps,
    "log_every": 100,
    "of_a_10_ms_step_us": round(slow["loop"] - slow["bare"], 1),
    "the_10_ms_step_us": round(slow["bare"], 1),
    "device": rundir.device_name(),
  }
  value = round(tiny["loop"] - tiny["bare"], 1)
  return {"workload": "loop/host_overhead", "metric": "time_per_step", "value": value, "unit": "us", "detail": detail}


def _experiment(work=lambda w: 0.0) -> Experiment:
  """Least squares in eight dimensions, 16 examples a step; `work(w)` is added to the device's share."""
  rng = np.random.default_rng(0)
  arrays = {"x": rng.normal(size=(1024, 8)).astype(np.float32), "y": rng.normal(size=(1024,)).astype(np.float32)}

  def loss(variables, batch, key):
    del key
    w = variables["params"]["w"]
    mean = Mean.of((batch["x"] @ w - batch["y"]) ** 2, batch["mask"])
    return mean, ({"work": Mean.constant(jax.lax.stop_gradient(work(w)))}, {})

  learner = steps.gradient_learner(
    init=lambda key, batch: {"params": {"w": jnp.zeros(8)}},
    loss=loss,
    evaluate=lambda variables, batch: {"loss": loss(variables, batch, None)[0]},
    optimizer=optax.sgd(1e-3),
  )
  data = pipeline.shuffled(arrays, 16, seed=0)
  return Experiment(learner, data, pipeline.sequential(arrays, 1024))


def _ten_milliseconds(w):
  """A chain of matrix products, about ten milliseconds on a CPU core or two."""
  start = jnp.eye(256) * (1 + w[0])
  return jax.lax.fori_loop(0, 24, lambda _, m: jnp.tanh(m @ start), start).sum()


def _overhead(experiment: Experiment, num_steps: int, repeats: int) -> dict[str, float]:
  """Median microseconds per step, in the loop and bare."""
  plan = parallel.plan("jit", 1)
  executor = Executor(experiment, plan, seed=0)
  state = executor.init_state()
  feeds = list(executor.feeds(experiment.train_data, [(s, 1) for s in range(num_steps)], 1))
  loops, bares = [], []
  for _ in range(repeats):
    state, seconds = _bare(executor, state, feeds)
    bares.append(seconds)
    loops.append(_looped(experiment, plan, num_steps))
  per_step = lambda seconds: 1e6 * statistics.median(seconds) / num_steps
  return {"loop": per_step(loops), "bare": per_step(bares)}


def _bare(executor, state, feeds):
  """The compiled update in a row, each result awaited: what the device, and calling it, takes."""
  state, metrics = executor.update(state, feeds[0][2], feeds[0][3])
  jax.block_until_ready(metrics)
  compiled, resident = executor._update, executor.resident(executor.experiment.train_data)
  start = time.perf_counter()
  for _, _, feed, count in feeds:
    state, metrics = compiled(state, resident, count, feed)
    jax.block_until_ready(metrics)
  return state, time.perf_counter() - start


def _looped(experiment, plan, num_steps):
  """Seconds of the loop proper, from its row of step 99 (compiled, warm) to the last, scaled to all its steps."""
  first = max(100, num_steps // 10)
  settings = loop.Settings(total_steps=num_steps + first, log_every=100)
  marks = {}
  feed = experiment.train_data.feed

  def noting(step):
    if step in (first, num_steps + first - 1):
      marks[step] = time.perf_counter()
    return feed(step)

  data = dataclasses.replace(experiment.train_data, feed=noting)
  timed = Experiment(experiment.learner, data, experiment.test_data)
  with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
    run = rundir.RunDirectory(folder)
    loop.train(loop.executor(timed, settings, plan), settings, run)
    run.close()
  return (marks[num_steps + first - 1] - marks[first]) * num_steps / (num_steps - 1)
