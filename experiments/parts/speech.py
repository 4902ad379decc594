"""What recognisers of speech share: recordings, their features, and an Experiment of words, or of strings of them."""

import pathlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import as_files, classification, learning, sound, splits
from experiments.reports import speech as report_lib
from research.data import pipeline, spoken_strings, wavs
from research.errors import UserError
from research.families import classifier as classifier_lib
from research.families import ctc
from research.networks.speech import LogMel
from research.training import steps
from research.training.experiment import Experiment, Program


def features(section: ml_collections.ConfigDict, rate: int) -> LogMel:
  """What `config.features` asks for."""
  return LogMel(rate, **section.to_dict())


def words(config: ml_collections.ConfigDict, network: Callable[..., nn.Module]) -> Experiment:
  """A classifier of recordings.

  Args:
    config: `configs._speech.base`.
    network: `network(outputs, features) -> nn.Module` of [batch, time, 1].
  """
  data, (parts, rate) = config.data, sound.recordings(config.data)
  module = network(parts.train.num_classes, features(config.features, rate))
  family = classifier_lib.classifier(module, label_smoothing=config.train.label_smoothing)
  sets, predict = splits.datasets(parts, config), classification.predictive(family, 1, 0)

  def predictions(state, path: str) -> dict[str, Any]:
    sounds, names = heard(path, rate)
    inputs = wavs.framed(sounds, round(data.seconds * rate))
    arrays = {"inputs": inputs, "label": np.zeros(len(inputs), np.int32)}
    logs, _ = classification.over(pipeline.sequential(arrays, data.eval_batch_size), predict, state)
    classes = np.asarray(parts.train.class_names)[logs.argmax(-1)]
    for name, one, log in zip(names, classes, logs):
      print(f"{one}  {np.exp(log.max()):.3f}  {name}")
    return {"input": np.asarray(names), "class_name": classes, "probabilities": np.exp(logs)}

  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    report=lambda state: classification.report(state, predict, sets.test, parts.test, None),
    predict=predictions,
    as_file=as_files.sounds(rate),
    definitions=classifier_lib.DEFINITIONS,
    program=Program.of_batches(predict, sets.test, {"class": parts.test.class_names}),
    notes=splits.notes(parts.train),
  )


def strings(config: ml_collections.ConfigDict, network: Callable[..., nn.Module]) -> Experiment:
  """A transcriber of strings of words, joined from recordings.

  Args:
    config: `configs._speech.strings`.
    network: `network(outputs, features) -> nn.Module`, as `families.ctc` takes it.
  """
  data, (parts, rate) = config.data, sound.recordings(config.data)
  front = features(config.features, rate)
  family = ctc.transcriber(network(parts.train.num_classes + 1, front))
  make = lambda part, seed: spoken_strings.Strings(part, rate, seed)
  train_data = spoken_strings.dataset(
    make(parts.train, config.seed), data.strings, config.train.batch_size, training=True, name="train"
  )
  sets = parts.map(  # of seed 0 always, so that runs can be compared
    lambda part: spoken_strings.dataset(
      make(part, 0), data.eval_strings, data.eval_batch_size, training=False, name=part.name
    )
  )
  pen = report_lib.Stenographer(family, front, parts.train.class_names, rate, config)
  like = sets.test.feed(0)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=sets.validation,
    test_data=sets.test,
    measure=pen.measure,
    report=lambda state: pen.report(state, sets.test),
    predict=lambda state, path: pen.predictions(state, *heard(path, rate)),
    as_file=as_files.sounds(rate),
    definitions=ctc.DEFINITIONS | report_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.log_probabilities(steps.variables_of(state), inputs),
      {name: like[name] for name in ("inputs", "length")},
      {"output": ["", *parts.train.class_names]},
    ),
  )


def heard(path: str, rate: int) -> tuple[list[np.ndarray], list[str]]:
  """The sounds of a `.wav` file, or of all in a folder, and their names.

  Raises:
    UserError: there is none, or it has another rate.
  """
  place = pathlib.Path(path)
  files = sorted(place.rglob("*.wav")) if place.is_dir() else [place] if place.is_file() else []
  if not path or not files:
    raise UserError("--input", path, "give a .wav file, or a folder of them.")
  sounds, own = wavs.read(files)
  if own != rate:
    raise UserError(f"{files[0]}: samples a second", own, f"the model has learned of {rate}: resample it.")
  return sounds, [str(file) for file in files]
