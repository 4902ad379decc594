"""Diffusion of films, all of whose frames are one example: an Experiment, and films that it makes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from experiments.parts import generative, learning, moving
from research import randomness
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import figures, gifs
from research.families.diffusion import model as family_lib
from research.networks.space_time import SpaceTime
from research.training import precision, steps
from research.training.experiment import Experiment, Report


def experiment(config: ml_collections.ConfigDict, generator: Callable) -> Experiment:
  """A diffusion model of films.

  Args:
    config: `configs.diffusion._base.films`.
    generator: `generator(config.sampler, model)`.

  Raises:
    UserError: heads that do not divide the features.
  """
  model, train, film = config.model, config.train, config.film
  if model.features % model.heads:
    raise UserError("config.model.heads", model.heads, f"it must divide config.model.features, {model.features}.")
  names = ("features", "depth", "heads", "patch", "window")
  network = SpaceTime(*(model[name] for name in names), dtype=precision.dtype(train.precision))
  options = {"weighting": train.weighting, "times": train.times, "data_std": model.data_std}
  family = family_lib.diffusion(network, model.process, predicts=model.predicts, **options)
  sets = moving.load(config, film.frames).map(as_inputs)
  draw, shape = generator(config.sampler, family).draw, (film.frames, film.size, film.size, 1)

  def sample(state) -> dict[str, Any]:
    count = config.report.samples
    size, variables = min(config.data.eval_batch_size, count), steps.variables_of(state)
    keys = randomness.place_keys(randomness.stream_key(state.key, "sample"), np.arange(count))
    values = generative.batched(lambda keys: draw(variables, (size, *shape), keys, None), size, keys)
    values = np.clip((np.asarray(values) + 1) / 2, 0, 1)
    return {"frames": values, "films.gif": gifs.beside(values)}

  def report(state) -> Report:
    films = sample(state)
    rows = films["frames"].reshape(-1, *shape[1:])
    figure = figures.image_grid(rows, columns=film.frames, title="films, a row each")
    return Report(figures={"samples": figure}, files={"films.gif": films["films.gif"]})

  def predict(state, path: str) -> dict[str, Any]:
    if path:
      raise UserError("--input", path, "this model draws films of nothing: leave it out.")
    return sample(state)

  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    report=report,
    predict=predict,
    sample=sample,
    definitions=family_lib.DEFINITIONS,
  )


def as_inputs(dataset: Dataset) -> Dataset:
  """Batches as diffusion models take them: values from -1 to 1, and places in the set."""

  def assemble(resident, fed):
    batch = dataset.assemble(resident, fed)
    return {"inputs": 2 * batch["frames"] - 1, "mask": batch["mask"], "index": fed["index"]}

  return dataclasses.replace(dataset, assemble=assemble)
