"""Exact marginals of a Bayesian network: all variables at once, given a few findings."""

import jax
import numpy as np

from experiments.benchmark.timing import result, wall_and_cpu
from research.data import classic_networks
from research.families.graphical_model import learning
from research.training.compilation import CompileClock
from research.training.precision import precision

QUERIES, KNOWN = 100, 4


def queries(name: str) -> np.ndarray:
  """States of `KNOWN` variables, -1 of the others, of rows drawn from the network: possible all, the same always."""
  network = classic_networks.load(name)
  rows, rng = network.sample(QUERIES, seed=0), np.random.default_rng(0)
  for row in rows:
    row[rng.permutation(len(row))[KNOWN:]] = -1
  return rows


def marginals(name: str) -> dict:
  """Milliseconds for p(x_i | evidence) of all variables, in float64, the mean over 100 queries one after the other."""
  network = classic_networks.load(name.rpartition("/")[2].partition("_")[0])
  rows = queries(network.name)
  with precision("float64"):
    family = learning.bayesian_network(network.cards, network.parents, given=network.tables)
    params = family.init(jax.random.key(0), None)
    one = jax.jit(lambda row: family.marginals(params, row).variables)
    many = jax.jit(jax.vmap(one))
    clock = CompileClock()
    for function, argument in ((one, rows[0]), (many, rows)):
      np.asarray(function(argument))
    compilation = clock.seconds
    times = [wall_and_cpu(lambda: [np.asarray(one(row)) for row in rows]) for _ in range(5)]
    together = min(wall_and_cpu(lambda: np.asarray(many(rows)))[0] for _ in range(5))
  each = lambda column: 1e3 * min(column) / QUERIES
  detail = {"cpu_ms": each([cpu for _, cpu in times]), "batched_ms": each([together]), "compilation_s": compilation}
  sizes = {"variables": len(network.cards), "known": KNOWN, "queries": QUERIES, "largest_table": family.plan.size}
  return result(name, "all_marginals", each([wall for wall, _ in times]), "ms", **detail, **sizes)


WORKLOADS = {"asia_marginals": marginals, "alarm_marginals": marginals}
