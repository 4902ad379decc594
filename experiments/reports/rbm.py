"""What is told and drawn of Boltzmann machines: log Z and likelihoods, filters, samples, and what an MLP gains."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import belief, generative
from experiments.parts.splits import Splits
from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.evaluation import figures
from research.families import rbm
from research.training import steps
from research.training.experiment import Report

LIKELIHOOD = "mean log-likelihood of the {} set under the lowest machine, nats, log Z by annealed importance sampling"
DEFINITIONS = {
  "log_partition": "log Z of the lowest machine by annealed importance sampling, nats (Salakhutdinov & Murray 2008)",
  "log_partition_error": "standard error of log Z, nats: that of the mean weight of the chains, relative to it",
  "test_log_likelihood": LIKELIHOOD.format("test"),
  "validation_log_likelihood": LIKELIHOOD.format("validation"),
  "fine_tuned_accuracy": "test accuracy of an MLP that begins with the machines' weights",
  "random_accuracy": "test accuracy of the same MLP from random weights, on the same labels in as many steps",
}


def report(
  state, family: rbm.Stack, config: ml_collections.ConfigDict, data: Splits[Examples], sets: Splits[Dataset]
) -> Report:
  """log Z with its error, the likelihoods that follow, filters and samples."""
  variables, section = steps.variables_of(state), config.report
  machine = family.machines(variables)[0]
  key = randomness.stream_key(jax.random.key(0), "anneal")
  estimate = annealed(machine, family.base(variables, 0), key, section.temperatures, section.chains)
  energy = lambda part: generative.over(part, lambda m, batch: rbm.free_energy(m, batch["inputs"]), machine).mean()
  metrics = {"log_partition": float(estimate.log_partition), "log_partition_error": float(estimate.error)}
  metrics["test_log_likelihood"] = -float(energy(sets.test)) - metrics["log_partition"]
  if sets.validation is not None:
    metrics["validation_log_likelihood"] = -float(energy(sets.validation)) - metrics["log_partition"]
  shape = data.test.inputs.shape[1:]
  pictures = {
    "filters": figures.filters(np.asarray(machine.weights), shape, title="weights of the strongest hidden units"),
    "samples": figures.image_grid(_images(samples(variables, family, config), shape), title="samples"),
  }
  if section.fine_tune:
    curves = belief.fine_tuned(family.machines(variables), data, sets, config)
    metrics |= {"fine_tuned_accuracy": curves["machines"][-1], "random_accuracy": curves["random"][-1]}
    pictures["fine_tuning"] = belief.figure(curves, config)
  return Report(metrics, pictures, {name: DEFINITIONS[name] for name in metrics})


annealed = jax.jit(rbm.anneal, static_argnames=("temperatures", "chains"))


def samples(variables, family: rbm.Stack, config: ml_collections.ConfigDict) -> np.ndarray:
  """Means of the visible units [sample, visible], of chains of the top machine annealed from independent units."""
  machines, top = family.machines(variables), len(config.model.hidden) - 1
  key = randomness.stream_key(jax.random.key(1), "samples")
  base = family.base(variables, top)
  top_samples = annealed(machines[-1], base, key, config.report.temperatures, config.report.samples).samples
  up = jax.nn.sigmoid(rbm.inputs_of(machines[-1], top_samples))
  for machine in reversed(machines):
    up = rbm.mean_visible(machine, up)
  return np.asarray(up)


def _images(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """Rows as images 0 to 1; of Gaussian units from the least to the greatest."""
  low, high = min(rows.min(), 0), max(rows.max(), 1)
  return ((rows - low) / (high - low)).reshape(-1, *shape)


def predictions(
  state, family: rbm.Stack, config: ml_collections.ConfigDict, path: str, test: Examples, assemble: pipeline.Assemble
) -> dict[str, Any]:
  """Probabilities of the hidden units of every machine and the free energy of one's own images; or samples."""
  variables = steps.variables_of(state)
  machines = family.machines(variables)
  if not path:
    return {"samples": _images(samples(variables, family, config), test.inputs.shape[1:])}
  given, names = generative.inputs_at(path, test, config.data.eval_batch_size, assemble)

  one = lambda machines, batch: features(machines, batch["inputs"])
  return {**generative.over(given, one, machines), "input": names}


def features(machines, seen) -> dict[str, jax.Array]:
  """Free energy of visible rows, nats, and probabilities of the hidden units of every machine."""
  outputs = {"free_energy": rbm.free_energy(machines[0], seen)}
  for i, machine in enumerate(machines):
    seen = jax.nn.sigmoid(rbm.inputs_of(machine, jnp.asarray(seen)))
    outputs[f"features_{i}"] = seen
  return outputs
