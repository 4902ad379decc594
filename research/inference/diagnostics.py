"""Whether chains can be believed: R-hat, effective sample sizes, errors of what is estimated, energy.

Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021 (Bayesian Analysis 16): rank-normalised, split, folded.  Draws are
host arrays [chain, draw] of one quantity.
"""

import numpy as np
import scipy.fft
import scipy.special
import scipy.stats
from jaxtyping import Float

Draws = Float[np.ndarray, "chain draw"]


def split(draws: Draws) -> Draws:
  """Each chain as two, its halves; of an odd number the middle draw is left out."""
  half = draws.shape[1] // 2
  return np.concatenate([draws[:, :half], draws[:, -half:]])


def rank_normalised(draws: Draws) -> Draws:
  """Normal scores of the ranks of all draws (equation 14)."""
  ranks = scipy.stats.rankdata(draws, axis=None).reshape(draws.shape)
  return scipy.special.ndtri((ranks - 0.375) / (draws.size + 0.25))


def _plain_r_hat(draws: Draws) -> float:
  """Equations 1 to 4."""
  count = draws.shape[1]
  within = draws.var(1, ddof=1).mean()
  between = count * draws.mean(1).var(ddof=1)
  with np.errstate(divide="ignore", invalid="ignore"):
    return float(np.sqrt((between / within + count - 1) / count))


def r_hat(draws: Draws) -> float:
  """The larger of rank-normalised split R-hat and that of the draws folded about their median; NaN of constants."""
  halves = split(draws)
  folded = np.abs(halves - np.median(halves))
  return max(_plain_r_hat(rank_normalised(halves)), _plain_r_hat(rank_normalised(folded)))


def autocovariance(draws: Draws) -> Draws:
  """By lag, of each chain, biased (divided by the number of draws), by FFT."""
  count = draws.shape[1]
  padded = scipy.fft.next_fast_len(2 * count)
  spectrum = np.fft.rfft(draws - draws.mean(1, keepdims=True), padded, axis=1)
  return np.fft.irfft(np.abs(spectrum) ** 2, padded, axis=1)[:, :count] / count


def ess(draws: Draws) -> float:
  """Effective sample size, by Geyer's initial monotone sequence (equations 10 to 13); of draws already split.

  Details are Stan's: autocovariances are divided by the number of draws, their variance by one less.
  """
  chains, count = draws.shape
  if count < 5 or not np.isfinite(draws).all() or np.ptp(draws) == 0:
    return float("nan")
  covariance = autocovariance(draws)
  within = covariance[:, 0].mean() * count / (count - 1)
  total = within * (count - 1) / count + (draws.mean(1).var(ddof=1) if chains > 1 else 0)
  correlation = 1 - (within - covariance.mean(0)) / total
  correlation[0] = 1
  pairs = correlation[: (count - 3) // 2 * 2].reshape(-1, 2).sum(1)
  stop = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
  monotone = np.minimum.accumulate(pairs[:stop])
  # The first correlation past the last pair that is counted improves antithetic chains' estimate.
  beyond = max(correlation[2 * stop], 0) if 2 * stop < count else 0
  time = -1 + 2 * monotone.sum() + beyond
  number = chains * count
  return float(number / max(time, 1 / np.log10(number)))


def bulk_ess(draws: Draws) -> float:
  """Of the body of the distribution: of rank-normalised split chains."""
  return ess(rank_normalised(split(draws)))


def quantile_ess(draws: Draws, probability: float) -> float:
  """Of a quantile: that of being below it."""
  return ess(split((draws <= np.quantile(draws, probability)).astype(float)))


def tail_ess(draws: Draws) -> float:
  """The lesser of the 5 % and 95 % quantiles'."""
  return min(quantile_ess(draws, 0.05), quantile_ess(draws, 0.95))


def mcse_mean(draws: Draws) -> float:
  """Monte Carlo standard error of the mean."""
  return float(draws.std(ddof=1) / np.sqrt(ess(split(draws))))


def mcse_sd(draws: Draws) -> float:
  """Of the standard deviation: by the error of the mean square about the mean (the delta method)."""
  squares = (draws - draws.mean()) ** 2
  variance_of_mean = squares.var() / ess(split(squares))
  return float(np.sqrt(variance_of_mean / squares.mean() / 4))


def e_bfmi(energy: Draws) -> Float[np.ndarray, " chain"]:
  """Energy's Bayesian fraction of missing information, of each chain; below 0.3 its tails are not explored.

  Betancourt 2016 (arXiv 1604.00695).
  """
  return np.square(np.diff(energy, axis=1)).sum(1) / np.square(energy - energy.mean(1, keepdims=True)).sum(1)


def summary(draws: Draws) -> dict[str, float]:
  """Mean, deviation, 5 %, 50 % and 95 % quantiles and the diagnostics of one quantity."""
  low, median, high = np.quantile(draws, [0.05, 0.5, 0.95])
  return {
    "mean": float(draws.mean()),
    "sd": float(draws.std(ddof=1)),
    "q5": float(low),
    "median": float(median),
    "q95": float(high),
    "mcse": mcse_mean(draws),
    "ess_bulk": bulk_ess(draws),
    "ess_tail": tail_ess(draws),
    "r_hat": r_hat(draws),
  }
