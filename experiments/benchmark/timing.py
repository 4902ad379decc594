"""What the workloads share: images, timed updates, and a result as one JSON line."""

import itertools
import os
import statistics
import time
from typing import Any

import jax
import numpy as np

from research.data import examples as examples_lib
from research.data import sources
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor
from research.training.experiment import Experiment

BATCH, WARMUP, BUDGET_SECONDS = 128, 5, 15
SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


def images(name: str, split: str, limit: int | None):
  """Images as float32 in [0, 1] and labels, and where they are from."""
  try:
    examples = sources.load(name, f"{split}[:{limit}]" if limit else split)
  except UserError as error:
    if limit is None:
      raise
    rng = np.random.default_rng(0)
    return rng.random((limit, *SHAPES[name]), np.float32), rng.integers(0, 10, limit), f"random ({error})"
  assert isinstance(examples, examples_lib.Examples)  # both sets fit in memory
  return np.asarray(examples.inputs, np.float32) / 255, np.asarray(examples.label, np.int32), name


def image_batch(inputs, labels):
  return jax.device_put({"inputs": inputs, "label": labels.astype(np.int32), "mask": np.ones(len(labels), np.float32)})


def timed(update, state, batches, count: int) -> tuple[float, dict]:
  """Median wall time in ms of `count` updates after warm-up, and what else is measured."""
  times, cpu = [], []
  for batch in itertools.cycle(batches):
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    state, metrics = update(state, batch)
    jax.block_until_ready((state, metrics))
    times.append(1e3 * (time.perf_counter() - wall_start))
    cpu.append(1e3 * (time.process_time() - cpu_start))
    if len(times) == WARMUP + count or (len(times) >= WARMUP + 5 and sum(times) > 1e3 * BUDGET_SECONDS):
      break
  first, times, cpu = times[0], times[WARMUP:], cpu[WARMUP:]
  measured = {"steps": len(times), "warmup": WARMUP, "min_ms": min(times), "cpu_ms": statistics.mean(cpu)}
  return statistics.median(times), measured | {"first_step_s": first / 1e3}


def wall_and_cpu(call) -> tuple[float, float]:
  """Seconds of wall time, and of CPU time over all threads."""
  wall, cpu = time.perf_counter(), time.process_time()
  call()
  return time.perf_counter() - wall, time.process_time() - cpu


def trained(experiment: Experiment, seed: int, width: int, total: int) -> tuple[Any, float]:
  """The state after `total` steps, `width` a dispatch, and seconds; one dispatch compiled and ran before."""
  executor = Executor(experiment, parallel.plan("jit", 1), seed, width)
  spans = [(first, min(width, total - first)) for first in range(0, total, width)]
  state, start = None, 0.0
  for timed_spans in (spans[:1], spans):
    state = jax.block_until_ready(executor.init_state())
    start = time.perf_counter()
    for _, _, feed, count in executor.feeds(experiment.train_data, timed_spans, width):
      state, _ = executor.update(state, feed, count)
    jax.block_until_ready(state)
  return state, time.perf_counter() - start


def milliseconds(call) -> float:
  start = time.perf_counter()
  call()
  return 1e3 * (time.perf_counter() - start)


def result(name: str, metric: str, value: float, unit: str, **detail) -> dict:
  detail |= {"cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()}
  detail |= {"device": jax.devices()[0].device_kind, "load": os.getloadavg()[0]}
  rounded = {key: float(f"{x:.5g}") if isinstance(x, float) else x for key, x in detail.items()}
  ours = f"genera on jax {jax.__version__}"
  return {"workload": name, "ours": ours, "metric": metric, "value": float(f"{value:.5g}"), "unit": unit} | {
    "detail": rounded
  }
