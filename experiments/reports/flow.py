"""What a trained flow is used for: densities beside the truth, tables and their oddities, samples, interpolation."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from experiments.parts import generative, splits
from research import randomness
from research.data import mixtures, pipeline, remembered, simulators, table
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import figures, latents
from research.families.flows import dequantisation
from research.families.flows import model as family_lib
from research.training import steps
from research.training.experiment import Report

DEFINITIONS = {
  "log_likelihood": "mean log-density of test points or rows, in the units of the data; nats",
  "true_log_likelihood": "mean log-density of the test points under the mixture that they were drawn from; nats",
  "posterior_gap": "mean over test runs of the true log-posterior of the run's parameters, given what came out, less "
  "the model's: the expected KL divergence from the truth; nats",
  "prior_gap": "the same of the prior, which is uniform: what there is to learn; nats",
  "likelihood_gap": "true_log_likelihood - log_likelihood; nats",
  "bits_per_dim": "negative log of the mean of config.report.importance_samples importance weights of the "
  "dequantisation's noise, over the test set; bits a pixel and channel",
  "cross_validated": "mean log-density of held-out rows over config.report.folds folds, of the estimator that stops by "
  "a tenth of its training rows; nats a row",
  "mixture_cross_validated": "the same of mixtures of 1 to 5 Gaussians of full covariance (scikit-learn), of that "
  "number of components that is best on the held-out rows themselves",
  "gain_over_mixture": "cross_validated - mixture_cross_validated; nats a row",
}


class Data(NamedTuple):
  """What there is to learn from; `kind` is points, posterior, table or images.

  Attributes:
    kind: see above; of a posterior, labels are observations.
    parts: the splits.
    mean, std: what columns are standardised by.
    columns: names of a table's.
  """

  kind: str
  parts: splits.Splits[Examples]
  mean: Float[np.ndarray, " column"] | None = None
  std: Float[np.ndarray, " column"] | None = None
  columns: tuple[str, ...] = ()

  @property
  def log_scale(self) -> float:
    """What the log-density of standardised rows is above that of rows as they are."""
    return 0.0 if self.std is None else float(np.log(self.std).sum())


class Use:
  """A model in use: `report(state)` and `predict(state, path)` of the experiment."""

  def __init__(self, config: ml_collections.ConfigDict, family: family_lib.Flow, data: Data, test: Dataset):
    _check_folds(config, data)
    self._config, self._family, self._data, self._test = config, family, data, test
    self._classes = data.parts.train.num_classes if config.model.conditional else 0
    self._sample = jax.jit(family.sample)

  def report(self, state) -> Report:
    """Numbers and figures, by the kind of data."""
    variables = steps.variables_of(state)
    kinds = {"points": self._points, "posterior": self._posterior, "table": self._table, "images": self._images}
    metrics, pictures = kinds[self._data.kind](variables, randomness.stream_key(state.key, "report"))
    return Report(metrics, pictures, DEFINITIONS)

  def predict(self, state, path: str) -> dict[str, np.ndarray]:
    """Samples; or the log-likelihood of what lies at `path` (CSV of a table, images), and how odd it is."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "predict")
    if self._data.kind == "posterior":
      return self._inferred(variables, path, key)
    if not path:
      return {"samples": self._draw(variables, self._config.report.samples, key)}
    assemble = pipeline.normalised(self._data.mean, self._data.std)
    dataset, names = generative.inputs_at(path, self._data.parts.test, self._config.data.eval_batch_size, assemble)
    logs = self._log_probs(variables, generative.identified(dataset))
    scores = {"log_likelihood": logs, "input": np.asarray(names)}
    if remembered.is_stand_in(self._data.parts.test.inputs):
      return scores  # odd in comparison with what?
    known = np.sort(self._log_probs(variables, self._test))
    return {**scores, "anomaly": 1 - np.searchsorted(known, logs) / len(known)}

  def _log_probs(self, variables, dataset: Dataset) -> np.ndarray:
    return generative.over(dataset, self._log_prob, variables).astype(np.float64) - self._data.log_scale

  def _log_prob(self, variables, batch) -> Float[Array, " batch"]:
    keys = family_lib.evaluation_keys(batch["index"])
    return self._family.log_prob(variables, batch["inputs"], batch["label"], keys)

  def log_likelihood(self, state, batch) -> Float[Array, " batch"]:
    """Of each example, in the units of the data, nats."""
    return self._log_prob(steps.variables_of(state), batch) - self._data.log_scale

  def _draw(self, variables, count: int, key) -> np.ndarray:
    """Samples, in the units of the data."""
    label = jnp.arange(count) % max(self._classes, 1)
    x = self._sample(variables, randomness.example_keys(key, count), label, self._config.report.temperature)
    return np.asarray(x) if self._data.std is None else np.asarray(x) * self._data.std + self._data.mean

  def _points(self, variables, key):
    """The likelihood beside the truth, and maps of both densities."""
    mixture, test = mixtures.MIXTURES[self._config.data.name](), self._data.parts.test.inputs
    log_likelihood, truth = self._log_probs(variables, self._test).mean(), float(mixture.log_density(test).mean())
    axis = np.linspace(-2.6, 2.6, self._config.report.density_side, dtype=np.float32)
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    density = jax.jit(lambda x: self._family.log_prob(variables, x, jnp.zeros(len(x), jnp.int32)))
    shape = (len(axis), len(axis))
    logs = {"model": np.asarray(density(places)), "truth": mixture.log_density(places)}
    panels = {name: np.exp(values).reshape(shape) for name, values in logs.items()}
    samples = self._draw(variables, self._config.report.samples, key)
    numbers = {"log_likelihood": log_likelihood, "true_log_likelihood": truth, "likelihood_gap": truth - log_likelihood}
    return numbers, {"density": figures.densities(panels, axis, samples)}

  def _inferred(self, variables, path: str, key) -> dict[str, np.ndarray]:
    """Draws of the posterior of each observation in a CSV, or of the first test run, parameters 0 to 1."""
    label = self._data.parts.test.label
    observed = table.read(path).values.astype(np.float32) if path else label[:1]
    if observed.shape[1:] != label.shape[1:]:
      raise UserError("--input", path, f"it has {observed.shape[1]} columns, an observation {label.shape[1]}.")
    count = self._config.report.samples
    draw = lambda x, key: self._sample(
      variables, randomness.example_keys(key, count), jnp.broadcast_to(x, (count, len(x))), 1.0
    )
    draws = [np.asarray(draw(x, jax.random.fold_in(key, i))) for i, x in enumerate(observed)]
    return {"samples": np.stack(draws), "observation": observed}

  def _posterior(self, variables, key):
    """The gap to the true posterior, and both of them for two test runs."""
    simulator, test = simulators.SIMULATORS[self._config.data.name](), self._data.parts.test
    truth = simulator.log_posterior(test.inputs, test.label)
    gap = float((truth - self._log_probs(variables, self._test)).mean())
    axis = (np.arange(self._config.report.density_side, dtype=np.float32) + 0.5) / self._config.report.density_side
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    density, panels = jax.jit(self._family.log_prob), {}
    for run in range(2):
      given = np.broadcast_to(test.label[run], places.shape)
      logs = {"model": np.asarray(density(variables, places, given)), "truth": simulator.log_posterior(places, given)}
      panels |= {f"{name}, run {run + 1}": np.exp(v).reshape(len(axis), -1) for name, v in logs.items()}
    samples = self._inferred(variables, "", key)["samples"][0]
    numbers = {"posterior_gap": gap, "prior_gap": float(truth.mean())}
    return numbers, {"posterior": figures.densities(panels, axis, samples)}

  def _table(self, variables, key):
    """The likelihood of test rows, samples beside rows, and the folds."""
    metrics = {"log_likelihood": self._log_probs(variables, self._test).mean()}
    rows, samples = self._data.parts.train.inputs, self._draw(variables, self._config.report.samples, key)
    standard = lambda x: (x - self._data.mean) / self._data.std
    together, _ = latents.principal_components(np.concatenate([standard(rows), standard(samples)]))
    clouds = [together[: len(rows)], together[len(rows) :]]
    limit = float(np.abs(together).max())
    titles = (f"{len(rows):,} rows", f"{len(samples):,} samples")
    if self._config.report.folds:
      metrics |= cross_validated(self._config, self._data)
    return metrics, {"principal_components": figures.point_clouds(clouds, limit, titles)}

  def _images(self, variables, key):
    """Samples, interpolations, and the importance-sampled likelihood."""
    count = self._config.report.samples
    samples = self._draw(variables, count, key)
    title = f"samples at temperature {self._config.report.temperature:g}"
    pictures = {
      "samples": figures.image_grid(samples, columns=self._classes or None, title=title),
      "interpolation": self._interpolation(variables),
    }
    draws = self._config.report.importance_samples
    if not draws:
      return {}, pictures
    measure = lambda variables, batch: family_lib.importance_sampled(self._family, variables, batch, draws)
    nats = -generative.over(self._test, measure, variables).astype(np.float64).mean()
    return {"bits_per_dim": nats / (samples[0].size * np.log(2))}, pictures

  def _interpolation(self, variables, width: int = 9):
    """Each row from one test image to another, along a straight line between their noises."""
    test = self._data.parts.test
    chosen = test.select(np.linspace(0, len(test) - 1, 12).round().astype(int))
    x, label = dequantisation.noisy(jnp.asarray(chosen.inputs / 255, jnp.float32), 0.5), jnp.asarray(chosen.label)
    noise = np.asarray(jax.jit(self._family.noise)(variables, x, label)).reshape(2, 6, 1, -1)
    weight = np.linspace(0, 1, width, dtype=np.float32)[:, None]
    # On the sphere on which noise of so many dimensions lies: a mean of two would be too short.
    between = (np.cos(0.5 * np.pi * weight) * noise[0] + np.sin(0.5 * np.pi * weight) * noise[1]).reshape(6 * width, -1)
    labels = np.where(np.arange(width) < width / 2, *np.asarray(chosen.label).reshape(2, 6, 1)).reshape(-1)
    images = np.asarray(jax.jit(self._family.decode)(variables, between, labels))
    return figures.image_grid(images, columns=width, title="from one test image to another")


def _check_folds(config: ml_collections.ConfigDict, data: Data) -> None:
  """Raises UserError where the cross-validation that the report is to make cannot be."""
  folds, rows = config.report.get("folds", 0), sum(len(part.inputs) for part in data.parts if part is not None)
  if data.kind != "table" or not folds:
    return
  if folds > rows:
    raise UserError("config.report.folds", folds, f"give {rows}, the number of rows, or less; 0 for none.")
  if config.model.name != "coupling":
    raise UserError("config.report.folds", folds, "only couplings are cross-validated: set it to 0.")


def cross_validated(config: ml_collections.ConfigDict, data: Data) -> dict[str, float]:
  """The estimator's held-out log-likelihood over folds of all rows, beside that of the best Gaussian mixture."""
  from sklearn.mixture import GaussianMixture
  from sklearn.model_selection import KFold

  from research.estimators.flow import NormalizingFlow

  parts = [part.inputs for part in data.parts if part is not None]
  rows = np.concatenate(parts).astype(np.float64)
  rows = (rows - rows.mean(0)) / rows.std(0)  # both are told the same; the scale is no part of the comparison
  part = config.model.coupling
  make = functools.partial(
    NormalizingFlow,
    part.layers,
    n_components=config.model.base_components if config.model.base == "mixture" else 1,
    width=part.width,
    bins=part.bins,
    random_state=0,
  )
  flow, mixtures_ = [], []
  for train, held in KFold(config.report.folds, shuffle=True, random_state=0).split(rows):
    flow.append(make().fit(rows[train]).score_samples(rows[held]))
    several = [GaussianMixture(k, reg_covar=1e-3, n_init=3, random_state=0).fit(rows[train]) for k in range(1, 6)]
    mixtures_.append(np.stack([mixture.score_samples(rows[held]) for mixture in several]))
  own, best = float(np.concatenate(flow).mean()), float(np.concatenate(mixtures_, 1).mean(1).max())
  return {"cross_validated": own, "mixture_cross_validated": best, "gain_over_mixture": own - best}
