"""Gaussian data, of which the best denoiser and every density are known in closed form."""

import jax.numpy as jnp
import numpy as np
from scipy.stats import multivariate_normal

from research.families.diffusion.parameterisation import Prediction

MEAN = np.array([1.0, -0.5], np.float32)
COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.8]], np.float32)


def denoiser(process, mean=MEAN, covariance=COVARIANCE):
  """E[data | x_t] and E[noise | x_t]: x_t is N(α m, α² C + σ² I), jointly Gaussian with both."""

  def one(x, t):
    alpha, sigma = process.alpha(t), process.sigma(t)
    precision = jnp.linalg.inv(alpha**2 * covariance + sigma**2 * jnp.eye(len(mean)))
    whitened = (x - alpha * mean) @ precision
    return Prediction(mean + alpha * whitened @ covariance, sigma * whitened)

  return one


def log_density(x):
  """By SciPy."""
  return multivariate_normal(MEAN, COVARIANCE).logpdf(np.asarray(x, np.float64))


def draw(count, seed=0):
  return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, count).astype(np.float32)
