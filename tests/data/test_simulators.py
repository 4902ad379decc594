"""Two moons: its posterior is a density over the prior's box, and runs are where it says."""

import numpy as np
import pytest

from research.data import simulators
from research.errors import UserError


@pytest.mark.parametrize("x", [(0.0, 0.0), (-0.7, 0.5), (0.3, 0.05)])
def test_posterior_integrates_to_one_over_the_box(x):
  """By a grid much finer than the crescents; the last observation is one that few parameters give."""
  side = 700
  axis = (np.arange(side) + 0.5) / side
  places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
  logs = simulators.TwoMoons().log_posterior(places, np.broadcast_to(np.array(x), places.shape))
  np.testing.assert_allclose(np.exp(logs).mean(), 1, atol=0.04)


def test_likelihood_is_that_of_the_runs():
  """The share of runs with some parameters whose observation falls into a small box, beside likelihood times area."""
  unit = np.tile([[0.6, 0.3]], (200_000, 1))
  simulator = simulators.TwoMoons()
  x = simulator.simulate(unit, np.random.default_rng(0))
  centre, side = np.median(x[x[:, 1] > x[:, 1].mean() + 0.05], axis=0), 0.02
  share = (np.abs(x - centre) < side / 2).all(1).mean()
  grid = centre + side * ((np.stack(np.meshgrid(np.arange(20), np.arange(20)), -1).reshape(-1, 2) + 0.5) / 20 - 0.5)
  evidence = np.array([simulator._evidence(place) for place in grid])
  likelihood = np.exp(simulator.log_posterior(unit[:400], grid)) * evidence
  np.testing.assert_allclose(likelihood.mean() * side**2, share, rtol=0.05)


def test_runs_are_always_the_same_and_bad_names_are_refused():
  first, again = (simulators.load("two_moons", "test", 3) for _ in range(2))
  np.testing.assert_array_equal(first.label, again.label)
  assert len(first.select(slice(2))) == 2
  for arguments in (("three_moons", "test", 3), ("two_moons", "dev", 3), ("two_moons", "test", 0)):
    with pytest.raises(UserError):
      simulators.load(*arguments)
