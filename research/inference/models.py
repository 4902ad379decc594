"""Models that are built in: hierarchical, linear, logistic, Poisson, mixture, Gaussian process.

Each density is normalised in the parameters that matter; constants of the data are left out only where said.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import stats
from jaxtyping import Array, Float, Int

from research.errors import UserError
from research.inference.model import Model, Parameter
from research.inference.supports import ordered, positive, simplex

# Rubin 1981, table 1: effects of coaching on scores in eight schools, and their standard errors.
EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


def half_cauchy(x, scale: float):
  """Log-density on x > 0."""
  return math.log(2.0) + stats.cauchy.logpdf(x, 0, scale)


def eight_schools(centred: bool = False) -> Model:
  """Rubin 1981, as posteriordb has it: y_j ~ N(θ_j, σ_j), θ_j ~ N(μ, τ), μ ~ N(0, 5), τ ~ half-Cauchy(5).

  Args:
    centred: θ itself is a parameter, which makes a funnel of it; otherwise θ = μ + τ η, η ~ N(0, 1).
  """
  effects, errors = jnp.asarray(EFFECTS), jnp.asarray(ERRORS)

  def theta(values):
    return values["theta"] if centred else values["mu"] + values["tau"] * values["eta"]

  def log_density(values):
    mu, tau, effect = values["mu"], values["tau"], theta(values)
    prior = stats.norm.logpdf(mu, 0, 5) + half_cauchy(tau, 5)
    schools = stats.norm.logpdf(effect, mu, tau) if centred else stats.norm.logpdf(values["eta"])
    return prior + schools.sum() + stats.norm.logpdf(effects, effect, errors).sum()

  def replicate(key, values):
    return theta(values) + errors * jax.random.normal(key, (len(EFFECTS),))

  school = {"theta": Parameter((8,))} if centred else {"eta": Parameter((8,))}
  return Model(
    {"mu": Parameter(), "tau": Parameter((), positive()), **school},
    log_density,
    derived=(lambda values: {}) if centred else (lambda values: {"theta": theta(values)}),
    replicate=replicate,
    observed=np.asarray(EFFECTS),
  )


class Response(NamedTuple):
  """How an outcome hangs on the line, intercept + x · weights, and on values: of a generalised linear model.

  Attributes:
    log_likelihood: `(values, line, outcome) -> [row]`.
    moments: `(values, line) -> mean, variance` of an outcome.
    draw: `(key, values, line) -> outcome`.
  """

  log_likelihood: Callable
  moments: Callable
  draw: Callable


def _regression(parameters, prior, response: Response, inputs, outcome, scale: float) -> Model:
  """A generalised linear model: intercept and weights ~ N(0, scale), other parameters by `prior`."""
  x, y = jnp.asarray(inputs), jnp.asarray(outcome)
  line = lambda values, x: values["intercept"] + x @ values["weights"]

  def log_prior(values):
    numbers = stats.norm.logpdf(values["intercept"], 0, scale) + stats.norm.logpdf(values["weights"], 0, scale).sum()
    return numbers + prior(values)

  def log_likelihood(values, batch):
    return response.log_likelihood(values, line(values, batch["inputs"]), batch["outcome"])

  return Model(
    {"intercept": Parameter(), "weights": Parameter((x.shape[1],)), **parameters},
    lambda values: log_prior(values) + log_likelihood(values, {"inputs": x, "outcome": y}).sum(),
    log_prior=log_prior,
    log_likelihood=log_likelihood,
    replicate=lambda key, values: response.draw(key, values, line(values, x)),
    observed=np.asarray(outcome),
    predict=lambda values, inputs: response.moments(values, line(values, inputs)),
  )


def logistic(inputs: Float[np.ndarray, "row feature"], outcome: Int[np.ndarray, " row"], scale: float = 1.0) -> Model:
  """Binary outcomes: y ~ Bernoulli(σ(intercept + x · weights)).

  Raises:
    UserError: an outcome that is neither 0 nor 1.
  """
  _check_outcome(outcome, lambda y: np.isin(y, (0, 1)), "0 or 1")
  response = Response(
    lambda values, line, y: jnp.where(y > 0.5, jax.nn.log_sigmoid(line), jax.nn.log_sigmoid(-line)),
    lambda values, line: (jax.nn.sigmoid(line), jax.nn.sigmoid(line) * jax.nn.sigmoid(-line)),
    lambda key, values, line: jax.random.bernoulli(key, jax.nn.sigmoid(line)).astype(line.dtype),
  )
  return _regression({}, lambda values: 0.0, response, inputs, outcome, scale)


def poisson(inputs: Float[np.ndarray, "row feature"], outcome: Int[np.ndarray, " row"], scale: float = 1.0) -> Model:
  """Counts: y ~ Poisson(exp(intercept + x · weights)); the prior of the intercept is about the mean count's logarithm.

  Raises:
    UserError: an outcome that is no count.
  """
  _check_outcome(outcome, lambda y: (y >= 0) & (y == np.round(y)), "counts: 0, 1, 2, ...")
  centre = float(np.log(max(np.mean(outcome), 0.5)))
  response = Response(
    lambda values, line, y: stats.poisson.logpmf(y, jnp.exp(centre + line)),
    lambda values, line: (jnp.exp(centre + line), jnp.exp(centre + line)),
    lambda key, values, line: jax.random.poisson(key, jnp.exp(centre + line)).astype(line.dtype),
  )
  return _regression({}, lambda values: 0.0, response, inputs, outcome, scale)


def linear(inputs: Float[np.ndarray, "row feature"], outcome: Float[np.ndarray, " row"], scale: float = 1.0) -> Model:
  """y ~ N(intercept + x · weights, variance), variance ~ inverse-Gamma(1, 1); with conditionals."""
  _check_outcome(outcome, np.isfinite, "finite numbers")
  noise = lambda key, line: jax.random.normal(key, line.shape, line.dtype)
  response = Response(
    lambda values, line, y: stats.norm.logpdf(y, line, jnp.sqrt(values["variance"])),
    lambda values, line: (line, jnp.full_like(line, values["variance"])),
    lambda key, values, line: line + jnp.sqrt(values["variance"]) * noise(key, line),
  )
  prior = lambda values: inverse_gamma(values["variance"], 1.0, 1.0)
  model = _regression({"variance": Parameter((), positive())}, prior, response, inputs, outcome, scale)
  design = jnp.asarray(np.column_stack([np.ones(len(outcome)), inputs]))
  y = jnp.asarray(outcome)

  def coefficients(key, values):
    """Of a Gaussian prior and likelihood: N(V Xᵀy / σ², V), V⁻¹ = XᵀX / σ² + I / scale²."""
    precision = design.T @ design / values["variance"] + jnp.eye(design.shape[1]) / scale**2
    factor = jnp.linalg.cholesky(precision)
    mean = jax.scipy.linalg.cho_solve((factor, True), design.T @ y / values["variance"])
    sample = mean + jax.scipy.linalg.solve_triangular(factor, noise(key, mean), lower=True, trans=1)
    return {"intercept": sample[0], "weights": sample[1:]}

  def variance(key, values):
    apart = y - values["intercept"] - design[:, 1:] @ values["weights"]
    return {"variance": (1 + 0.5 * (apart**2).sum()) / jax.random.gamma(key, 1 + 0.5 * len(y), dtype=apart.dtype)}

  return dataclasses.replace(model, conditionals=(coefficients, variance))


def inverse_gamma(x, shape: float, rate: float):
  """Log-density on x > 0."""
  return shape * math.log(rate) - math.lgamma(shape) - (shape + 1) * jnp.log(x) - rate / x


def mixture(outcome: Float[np.ndarray, " row"], components: int = 3) -> Model:
  """Gaussians on a line, their means in order.

  Weights ~ Dirichlet(1), means ~ N(0, 2), variances ~ inverse-Gamma(2, 0.1): for numbers of about zero mean and unit
  variance.  Labels are summed out of the density; Gibbs sampling draws them.
  """
  _check_outcome(outcome, np.isfinite, "finite numbers")
  if components < 2:
    raise UserError("config.model.mixture.components", components, "give two at least.")
  y = jnp.asarray(outcome)
  shape, rate, width = 2.0, 0.1, 2.0

  def joint(values, y):
    deviations = jnp.sqrt(values["variances"])
    return jnp.log(values["weights"]) + stats.norm.logpdf(y[:, None], values["means"], deviations)

  def log_prior(values):
    return (
      stats.norm.logpdf(values["means"], 0, width).sum()
      + inverse_gamma(values["variances"], shape, rate).sum()
      + math.lgamma(components + 1)  # of the order of the means
      + math.lgamma(components)  # of Dirichlet(1)
    )

  def log_likelihood(values, batch):
    return jax.nn.logsumexp(joint(values, batch["outcome"]), -1)

  def everything(key, values):
    """Labels given parameters, then parameters given labels, sorted: the density knows no order of components."""
    keys = [jax.random.fold_in(key, i) for i in range(4)]
    labels = jax.nn.one_hot(jax.random.categorical(keys[0], joint(values, y)), components, dtype=y.dtype)
    counts, variances = labels.sum(0), values["variances"]
    precision = counts / variances + width**-2
    noise = jax.random.normal(keys[1], (components,), y.dtype)
    means = (labels * y[:, None]).sum(0) / variances / precision + noise / jnp.sqrt(precision)
    squares = (labels * (y[:, None] - means) ** 2).sum(0)
    variances = (rate + 0.5 * squares) / jax.random.gamma(keys[2], shape + 0.5 * counts, dtype=y.dtype)
    weights = jax.random.dirichlet(keys[3], 1 + counts, dtype=y.dtype)
    order = jnp.argsort(means)
    return {"weights": weights[order], "means": means[order], "variances": variances[order]}

  def replicate(key, values):
    labels = jax.random.categorical(jax.random.fold_in(key, 0), jnp.log(values["weights"]), shape=y.shape)
    noise = jax.random.normal(jax.random.fold_in(key, 1), y.shape, y.dtype)
    return values["means"][labels] + jnp.sqrt(values["variances"][labels]) * noise

  quantiles = np.quantile(outcome, (np.arange(components) + 0.5) / components)
  return Model(
    {
      "weights": Parameter((components,), simplex(), np.full(components, 1 / components)),
      "means": Parameter((components,), ordered(), quantiles + 1e-3 * np.arange(components)),
      "variances": Parameter((components,), positive(), np.full(components, 0.1)),
    },
    lambda values: log_prior(values) + log_likelihood(values, {"outcome": y}).sum(),
    log_prior=log_prior,
    log_likelihood=log_likelihood,
    replicate=replicate,
    observed=np.asarray(outcome),
    conditionals=(everything,),
  )


def gaussian_process(inputs: Float[np.ndarray, "row feature"], outcome: Float[np.ndarray, " row"]) -> Model:
  """A function with a squared-exponential covariance, seen with noise; summed out exactly (Rasmussen & Williams 2006).

  y ~ N(0, amplitude² exp(-½ |x - x'|² / length²) + noise² I); the three parameters' logarithms ~ N(0, 1).  What is
  predicted at other inputs is their algorithm 2.1.
  """
  _check_outcome(outcome, np.isfinite, "finite numbers")
  x, y = jnp.asarray(inputs), jnp.asarray(outcome)

  def factor(values):
    covariance = squared_exponential(values, x, x) + (values["noise"] ** 2 + 1e-8) * jnp.eye(len(y), dtype=y.dtype)
    return jnp.linalg.cholesky(covariance)

  def log_prior(values):
    normal = lambda value: stats.norm.logpdf(jnp.log(value)) - jnp.log(value)
    return normal(values["amplitude"]) + normal(values["length"]) + normal(values["noise"])

  def log_density(values):
    low = factor(values)
    white = jax.scipy.linalg.solve_triangular(low, y, lower=True)
    marginal = -0.5 * white @ white - jnp.log(jnp.diagonal(low)).sum() - 0.5 * len(y) * math.log(2 * math.pi)
    return log_prior(values) + marginal

  def log_likelihood(values, batch):
    mean, variance = predict(values, batch["inputs"])
    return stats.norm.logpdf(batch["outcome"], mean, jnp.sqrt(variance))

  def predict(values, points):
    low = factor(values)
    cross = squared_exponential(values, x, points)
    half = jax.scipy.linalg.solve_triangular(low, cross, lower=True)
    mean = half.T @ jax.scipy.linalg.solve_triangular(low, y, lower=True)
    return mean, jnp.maximum(values["amplitude"] ** 2 - (half**2).sum(0), 0) + values["noise"] ** 2

  def replicate(key, values):
    return factor(values) @ jax.random.normal(key, y.shape, y.dtype)

  return Model(
    {name: Parameter((), positive()) for name in ("amplitude", "length", "noise")},
    log_density,
    log_likelihood=log_likelihood,
    replicate=replicate,
    observed=np.asarray(outcome),
    predict=predict,
  )


def squared_exponential(values, one: Float[Array, "row feature"], other: Float[Array, "point feature"]) -> Array:
  """Covariance of the function at two sets of inputs."""
  squares = ((one[:, None] - other) ** 2).sum(-1)
  return values["amplitude"] ** 2 * jnp.exp(-0.5 * squares / values["length"] ** 2)


def _check_outcome(outcome: np.ndarray, valid, what: str) -> None:
  bad = ~np.asarray(valid(np.asarray(outcome)))
  if bad.any():
    row = int(np.flatnonzero(bad)[0])
    raise UserError(f"outcome of row {row}", float(np.asarray(outcome)[row]), f"this model is of {what}.")
