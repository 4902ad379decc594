"""What the guards cost: preemption polling, the non-finite check, metrics; as a share of a step of 10 to 15 ms.

  python -m experiments.benchmark 'loop/guards_*'

What the guards cost grows with the parameters, of which each gradient is read once more and which wait for the answer;
so there are two networks, of 670,000 (784-512-512-10) and of 62,000 (LeNet-5), with batches that take about as long.
Two parts, measured apart because the whole is smaller than the noise between two runs of a loop:

- on the device: wall time of the update that the loop runs (loss and gradient checked, a bad update discarded, metrics
  summed and checked) less that of the same gradient step with none of it, called in turns: the median of the pairs'
  differences, as what else the machine does slows both of a pair;
- on the host: what the loop does a step for its guards, poll and settle the metrics of the step before, with a row of
  metrics every hundred steps.  In a run the device computes meanwhile, so that this is an upper bound.
"""

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.families import classifier
from research.networks.cnn import LeNet5
from research.networks.mlp import MLP
from research.training import loop, parallel, rundir, steps
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.preemption import Preemption

EXAMPLES, TURNS, POLLS = 4096, 600, 20_000
NETWORKS = {"mlp": MLP((512, 512), 10), "lenet": LeNet5(10)}
BATCHES = {"mlp": 384, "lenet": 64}  # that take 10 to 15 milliseconds on two cores


def measure(network: str, batch_size: int = 0, turns: int = TURNS, polls: int = POLLS) -> dict[str, Any]:
  """One row for `python -m experiments.benchmark`: per cent of the step without guards.

  Args:
    network: one of `NETWORKS`.
    batch_size: 0 for that of `BATCHES`.
    turns: of the device part.
    polls: of the host part.
  """
  batch_size = batch_size or BATCHES[network]
  experiment, bare = _experiment(network, batch_size)
  executor = Executor(experiment, parallel.plan("jit", 1), seed=0)
  guarded, without, metrics = _device(executor, bare, turns)
  host = _host(metrics, polls)
  step = 1e6 * statistics.median(without)
  differences = [1e6 * (one - other) for one, other in zip(guarded, without, strict=True)]
  device = statistics.median(differences)
  detail = {
    "device_us": round(device, 1),
    "host_us": round(host, 2),
    "step_without_us": round(step, 1),
    "device_us_standard_error": round(1.253 * statistics.stdev(differences) / len(differences) ** 0.5, 1),
    "batch": batch_size,
    "turns": turns,
    "polls": polls,
    "log_every": 100,
    "device": rundir.device_name(),
  }
  value = round(100 * (max(device, 0) + host) / step, 2)
  return {
    "workload": f"loop/guards_{network}",
    "metric": "share_of_step",
    "value": value,
    "unit": "%",
    "detail": detail,
  }


def _experiment(network: str, batch_size: int) -> tuple[Experiment, Callable]:
  """A classifier with Adam, on random images; and its gradient step without any guard."""
  rng = np.random.default_rng(0)
  arrays = {
    "inputs": rng.random((EXAMPLES, 28, 28, 1), np.float32),
    "label": rng.integers(0, 10, EXAMPLES).astype(np.int32),
  }
  family, optimizer = classifier.classifier(NETWORKS[network]), optax.adam(1e-3)
  learner = steps.gradient_learner(init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer)
  data = pipeline.shuffled(arrays, batch_size, seed=0)

  def bare(state, resident, count, feed):
    del count
    batch = data.assemble(resident, jax.tree.map(lambda x: x[0], feed))
    key = randomness.stream_key(state.key, "loss", state.step)

    def mean_loss(params):
      mean, _ = family.loss({"params": params}, batch, key)
      return mean.value()

    updates, opt_state = optimizer.update(jax.grad(mean_loss)(state.params), state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return state.replace(step=state.step + 1, params=params, opt_state=opt_state)

  return Experiment(learner, data, data), bare


def _device(executor: Executor, bare: Callable, turns: int) -> tuple[list[float], list[float], Any]:
  """Seconds of each update with guards, and of each without; the metrics of the last."""
  data: Dataset = executor.experiment.train_data
  feeds = [(feed, count) for _, _, feed, count in executor.feeds(data, [(s, 1) for s in range(16)], 1)]
  resident, update, plain = executor.resident(data), executor.update, jax.jit(bare, donate_argnums=0)
  one, other, metrics = executor.init_state(), executor.init_state(), None
  guarded, without = [], []
  for turn in range(turns + 5):
    feed, count = feeds[turn % len(feeds)]
    start = time.perf_counter()
    one, metrics = update(one, feed, count)
    jax.block_until_ready((one, metrics))
    middle = time.perf_counter()
    other = jax.block_until_ready(plain(other, resident, count, feed))
    guarded.append(middle - start)
    without.append(time.perf_counter() - middle)
  return guarded[5:], without[5:], metrics


def _host(metrics: Any, polls: int) -> float:
  """Microseconds a step of polling and of settling metrics that are there, the least of five."""
  settings = loop.Settings(total_steps=polls + 1, log_every=100)
  times = []
  with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()), Preemption() as preemption:
    run = rundir.RunDirectory(folder)
    for _ in range(5):
      with contextlib.closing(rundir.MetricsWriter(run, resume_step=0)) as writer:
        progress = loop._Progress(settings, writer, 0, 0)
        start = time.perf_counter()
        for step in range(polls // 5):
          preemption.poll(step)
          progress.push(step, 1, metrics)
        times.append((time.perf_counter() - start) / (polls // 5))
    run.close()
  return 1e6 * min(times)
