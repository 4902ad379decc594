"""Training of graph networks: 200 steps on Cora, as `peers/graph.py` has them, and by sampled neighbourhoods."""

import resource
import statistics
import time

import jax

from experiments import gnn
from experiments.benchmark.timing import result
from experiments.command import cli
from research.training import parallel
from research.training.executor import Executor

EPOCHS, SEEDS, SAMPLED = 200, 10, 100


def cora(name: str) -> dict:
  """Seconds of 200 full-batch steps, median of ten seeds, compiled before; every twenty steps are one call.

  Without GENERA_DATA_DIR there is no Cora: the error says so.
  """
  variant = name.rpartition("/")[2].partition("_")[0]
  overrides = {"train.members": "1", "train.select": "False", "train.duration": f"{EPOCHS} steps"}
  config = cli.load_config(f"configs/gnn/cora.py:{variant}", overrides)
  seconds, accuracies = [], []
  experiment = gnn.experiment(config)
  width = config.run.steps_per_dispatch
  compiled = None
  for seed in range(SEEDS + 1):
    executor = Executor(experiment, parallel.plan("jit", 1), seed, width)
    executor._update = compiled  # by the first, which is not timed, for all
    state = jax.block_until_ready(executor.init_state())
    spans = list(executor.feeds(experiment.train_data, [(i, width) for i in range(0, EPOCHS, width)], width))
    start = time.perf_counter()
    for _, _, feed, count in spans:
      state, _ = executor.update(state, feed, count)
    jax.block_until_ready(state)
    compiled = executor._update
    if seed:
      seconds.append(time.perf_counter() - start)
      accuracies.append(float(executor.evaluate(state, experiment.test_data)["accuracy"]))
  detail = {"seeds": SEEDS, "test_accuracy": statistics.mean(accuracies), "min_s": min(seconds)}
  detail |= {"test_accuracy_std": statistics.pstdev(accuracies)}
  detail["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  return result(name, "train_time_200_epochs", statistics.median(seconds), "s", **detail)


def sampled_power_law(name: str) -> dict:
  """Edges a second of GraphSAGE on a million nodes and ten million edges (`configs/gnn/power_law.py`)."""
  config = cli.load_config("configs/gnn/power_law.py")
  experiment = gnn.experiment(config)
  executor = Executor(experiment, parallel.plan("jit", 1), 0)
  state, start = executor.init_state(), 0.0
  for step, _, feed, count in executor.feeds(experiment.train_data, [(i, 1) for i in range(SAMPLED + 1)], 1):
    state, _ = executor.update(state, feed, count)
    if not step:
      jax.block_until_ready(state)
      start = time.perf_counter()
  jax.block_until_ready(state)
  seconds = time.perf_counter() - start
  first, second = config.model.fan_outs
  edges = SAMPLED * config.train.batch_size * first * (1 + second)
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
  accuracy = float(executor.evaluate(state, experiment.test_data)["accuracy"])
  detail = {"nodes": config.data.nodes, "edges": config.data.edges, "peak_gib": peak, "test_accuracy": accuracy}
  return result(name, "edges_per_second", edges / seconds, "edges/s", steps=SAMPLED, **detail)


WORKLOADS = {"gcn_cora": cora, "gat_cora": cora, "sampled_power_law": sampled_power_law}
