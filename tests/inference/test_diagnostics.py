"""Diagnostics against ArviZ, and where the answer is known."""

import numpy as np
import pytest

from research.inference import diagnostics


def autoregressive(correlation, chains=4, count=1000, seed=0):
  """Chains of unit variance, whose effective sample size is (1 - ρ) / (1 + ρ) of their number."""
  rng = np.random.default_rng(seed)
  noise = rng.normal(size=(chains, count))
  draws = np.empty_like(noise)
  draws[:, 0] = noise[:, 0]
  for t in range(1, count):
    draws[:, t] = correlation * draws[:, t - 1] + np.sqrt(1 - correlation**2) * noise[:, t]
  return draws


SAMPLES = {
  "independent": autoregressive(0.0),
  "slow": autoregressive(0.9),
  "antithetic": autoregressive(-0.6),
  "odd": autoregressive(0.5, 3, 501),
  "apart": autoregressive(0.3) + np.arange(4)[:, None],
  "heavy": np.tan(autoregressive(0.2) / 2),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_agree_with_arviz(name):
  stats = pytest.importorskip("arviz_stats.base").array_stats
  draws = SAMPLES[name]
  assert diagnostics.r_hat(draws) == pytest.approx(float(stats.rhat(draws)), rel=1e-6)
  assert diagnostics.bulk_ess(draws) == pytest.approx(float(stats.ess(draws, method="bulk")), rel=1e-6)
  assert diagnostics.tail_ess(draws) == pytest.approx(
    float(stats.ess(draws, method="tail", prob=(0.05, 0.95))), rel=1e-6
  )
  assert diagnostics.mcse_mean(draws) == pytest.approx(float(stats.mcse(draws, method="mean")), rel=1e-6)
  assert diagnostics.e_bfmi(draws) == pytest.approx(np.asarray(stats.bfmi(draws)), rel=1e-6)


@pytest.mark.parametrize("correlation", [0.0, 0.7, -0.4])
def test_effective_sizes_of_autoregressive_chains(correlation):
  draws = autoregressive(correlation, 4, 20_000)
  expected = draws.size * (1 - correlation) / (1 + correlation)
  assert diagnostics.ess(draws) == pytest.approx(expected, rel=0.1)


def test_chains_that_disagree_are_told():
  assert diagnostics.r_hat(SAMPLES["independent"]) < 1.01
  assert diagnostics.r_hat(SAMPLES["apart"]) > 1.2
  scales = SAMPLES["independent"] * np.array([1, 1, 1, 4])[:, None]
  assert diagnostics.r_hat(scales) > 1.05, "of one mean, but of other widths: folded"
  assert np.isnan(diagnostics.ess(np.ones((4, 100))))


def test_errors_are_those_of_repetition():
  """The standard error of mean and deviation, against the spread of 400 repetitions."""
  repeated = [autoregressive(0.6, 4, 400, seed) for seed in range(400)]
  of_means = np.std([draws.mean() for draws in repeated])
  of_deviations = np.std([draws.std(ddof=1) for draws in repeated])
  assert np.median([diagnostics.mcse_mean(draws) for draws in repeated[:50]]) == pytest.approx(of_means, rel=0.2)
  assert np.median([diagnostics.mcse_sd(draws) for draws in repeated[:50]]) == pytest.approx(of_deviations, rel=0.25)
