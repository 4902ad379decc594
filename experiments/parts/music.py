"""Pieces of music, as piano rolls, learned by a network of frames: an Experiment, samples as MIDI files."""

import pathlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from experiments.parts import fields, learning, splits
from research import randomness
from research.data import chorales
from research.data.sequences import padded
from research.errors import UserError
from research.evaluation import chains, music
from research.families import frames as family_lib
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report


def experiment(config: ml_collections.ConfigDict, network: Callable[..., nn.Module]) -> Experiment:
  """A model of chorales.

  Args:
    config: `configs.lstm.jsb_chorales`.
    network: `network(keys=..., dtype=...) -> nn.Module`, as `families.frames` takes it.
  """
  data = config.data
  if data.name != chorales.NAME and not data.path:
    raise UserError("config.data.name", data.name, f"there is {chorales.NAME} alone; or give config.data.path.")
  fields.refuse_unread(data, {"path", "resolution", "validation"})
  parts = splits.with_own_validation(lambda part: chorales.load(part, data.path or None, data.resolution), data)
  module = network(keys=chorales.KEYS, dtype=precision.dtype(config.train.precision))
  family = family_lib.frame_model(module, chorales.KEYS, config.train.transpose)
  sets = splits.datasets(parts, config)
  composer = Composer(family, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    report=lambda state: composer.report(state, parts.test.inputs[0, : parts.test.length[0]]),
    predict=composer.predictions,
    definitions=family_lib.DEFINITIONS,
    program=Program(composer.rolls, {"seed": np.zeros(1, np.int32)}),
  )


class Composer:
  """A model of frames that writes music."""

  def __init__(self, family: family_lib.FrameModel, config: ml_collections.ConfigDict):
    self._family, self._config = family, config
    self._per_quarter = chorales.RESOLUTIONS[config.data.resolution]
    section = config.report
    self._sample = jax.jit(lambda v, keys: family.sample(v, keys, section.steps, section.temperature))

  def rolls(self, state, inputs, index):
    """A piano roll int [steps, 88] of `config.report` for each `seed` int [batch]."""
    del index
    return self._sample(steps.variables_of(state), jax.vmap(jax.random.key)(inputs["seed"]))

  def write(self, state) -> tuple[np.ndarray, dict[str, bytes]]:
    """Piano rolls uint8 [sample, time, 88], and as MIDI files."""
    keys = randomness.example_keys(randomness.stream_key(state.key, "samples"), self._config.report.samples)
    rolls = np.asarray(self._sample(steps.variables_of(state), keys)).astype(np.uint8)
    return rolls, {f"sample-{n}.mid": music.midi(roll, self._per_quarter) for n, roll in enumerate(rolls)}

  def report(self, state, piece: np.ndarray) -> Report:
    """Samples beside a piece of the test set, and to be listened to."""
    rolls, files = self.write(state)
    figure = chains.piano_rolls([piece[: self._config.report.steps], *rolls[:3]], ["of the test set", *["sample"] * 3])
    return Report(figures={"piano_rolls": figure}, files=files)

  def predictions(self, state, path: str) -> dict[str, Any]:
    """Samples; or, of a MIDI file, its nats a time step."""
    if not path:
      rolls, files = self.write(state)
      return {"samples": rolls, **files}
    try:
      contents = pathlib.Path(path).read_bytes()
    except OSError as error:
      raise UserError("--input", path, f"it cannot be read ({error}).") from error
    roll = music.piano_roll(contents, self._per_quarter, name=f"--input = {path}")
    batch = padded(path, [roll]).arrays | {"mask": np.ones(1, np.float32)}
    nll = jax.jit(self._family.evaluate)(steps.variables_of(state), batch)["nll"].value()
    print(f"{float(nll):.3f} nats a time step  {path}")
    return {"roll": roll, "nll": np.asarray(nll)}
