"""The benchmark of the guards measures what it says."""

import jax
import numpy as np
import pytest

from experiments.benchmark import guards
from research.training import parallel
from research.training.executor import Executor


@pytest.mark.parametrize("network", guards.NETWORKS)
def test_a_row_with_its_parts(network):
  row = guards.measure(network, batch_size=8, turns=3, polls=500)
  detail = row["detail"]
  assert row["workload"] == f"loop/guards_{network}"
  assert 0 < detail["host_us"] < 10_000
  parts = 100 * (max(detail["device_us"], 0) + detail["host_us"]) / detail["step_without_us"]
  assert row["value"] == pytest.approx(parts, rel=0.02, abs=0.01)  # all are rounded: a share to hundredths


def test_with_guards_and_without_it_is_the_same_training():
  """Else the difference would be that of two computations."""
  experiment, bare = guards._experiment("mlp", batch_size=8)
  executor = Executor(experiment, parallel.plan("jit", 1), seed=0)
  data = experiment.train_data
  one, other = executor.init_state(), executor.init_state()
  plain = jax.jit(bare)
  for _, _, feed, count in executor.feeds(data, [(s, 1) for s in range(3)], 1):
    one, _ = executor.update(one, feed, count)
    other = plain(other, executor.resident(data), count, feed)
  for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
