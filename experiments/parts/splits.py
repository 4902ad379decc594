"""Which examples are learnt from, chosen by and measured on: one type for all experiments, one way to hold some out."""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import ml_collections

from experiments.parts import fields
from research.data import binarized_mnist, own, pipeline, raw, remembered, sources
from research.data import validation as validation_lib
from research.data.dataset import Dataset
from research.data.examples import Examples, Stream, label_notes
from research.errors import UserError

Part = TypeVar("Part")


class Splits(NamedTuple, Generic[Part]):
  """The parts of a data set: `Examples`, a `Stream`, `Sequences`, a `Dataset` or whatever an experiment makes of these.

  Attributes:
    train: learnt from.
    validation: measured during training, to choose by; None where nothing is.
    test: measured once, at the end.
  """

  train: Part
  validation: Part | None
  test: Part

  def map(self, function: Callable[[Part], Any]) -> "Splits[Any]":
    """`function` of every part that there is."""
    validation = None if self.validation is None else function(self.validation)
    return Splits(function(self.train), validation, function(self.test))


def of(train: validation_lib.Selectable, test: validation_lib.Selectable, validation: float) -> Splits[Any]:
  """With the share `validation`, `config.data.validation`, of the training set held out of it (`validation.apart`)."""
  return Splits(*validation_lib.apart(train, validation), test)


def with_own_validation(load: Callable[[str], Part], data: ml_collections.ConfigDict) -> Splits[Part]:
  """`load` of train, valid and test of a set that comes with all three.

  Raises:
    UserError: the config asks for a share of the training set all the same.
  """
  if data.validation:
    raise UserError("config.data.validation", data.validation, f"{data.name} has a part to choose by: set it to 0.")
  return Splits(load("train"), load("valid"), load("test"))


def load(
  data: ml_collections.ConfigDict, *, labels: bool = True, tables: bool = False, images: bool = True
) -> Splits[Examples | Stream]:
  """The sets that a config's `data` names (`configs._images.images`), or the user's own (`own.load`).

  Args:
    data: the section.
    labels, tables, images: of the user's own, whether there must be labels, and what is read (`own.Reading`).

  Raises:
    UserError: as `sources.load` and `of`, and for fields that the source does not read.
  """
  reading = own.Reading(labels, tables, images, data.target, data.impute)
  fields.refuse_unread(data, fields.read_of_labelled(data), data.path)

  def read(split: str) -> Examples | Stream:
    return sources.load(
      data.name,
      split,
      data_dir=data.data_dir or None,
      path=data.path or None,
      reading=reading,
      image_size=data.image_size or None,
      channels=data.channels or None,
      streamed=data.streamed or None,
    )

  return remembered.data("examples", lambda: of(read("train"), read(data.test_split), data.validation))


def in_memory(data: ml_collections.ConfigDict, **reading: bool) -> Splits[Examples]:
  """`load`, with its arguments, of sets that models need whole; static binarized MNIST, without labels, is one too.

  Raises:
    UserError: as there; or the set is too large for memory.
  """
  if data.name == binarized_mnist.NAME and not raw.is_own(data.name, data.path, binarized_mnist.FILE):
    fields.refuse_unread(data, {"path", "validation"})
    read = lambda: with_own_validation(lambda split: binarized_mnist.load(split, data.path or None), data)
    return remembered.data("examples", read)

  def whole(part: Examples | Stream) -> Examples:
    if isinstance(part, Stream):
      remedy = "only sets in memory can be modelled: give a smaller one, or a smaller config.data.image_size."
      raise UserError("config.data.name", data.name, remedy)
    return part

  return load(data, **reading).map(whole)


def notes(train: Examples | Stream) -> tuple[str, ...]:
  """What is odd about labels to be told apart (`examples.label_notes`), where they are in memory."""
  return label_notes(train.label, train.class_names) if isinstance(train, Examples) else ()


def datasets(
  parts: Splits[Any], config: ml_collections.ConfigDict, assemble: pipeline.Assemble = pipeline.rows
) -> Splits[Dataset]:
  """Batches of parts with `arrays` and a `name`: shuffled anew in each epoch to learn from, in order to measure."""
  size = config.data.eval_batch_size
  measured = lambda part: pipeline.sequential(part.arrays, size, name=part.name, assemble=assemble)
  train = pipeline.shuffled(
    parts.train.arrays, config.train.batch_size, seed=config.seed, name=parts.train.name, assemble=assemble
  )
  validation = None if parts.validation is None else measured(parts.validation)
  return Splits(train, validation, measured(parts.test))


def procedural(
  parts: Splits[Examples], config: ml_collections.ConfigDict, count: int, make: Callable[..., Dataset]
) -> Splits[Dataset]:
  """Sets that are drawn from parts: without end to learn from, `count` examples to choose by and to measure on.

  Args:
    parts: none of whose examples is in two.
    config: of the run.
    count: of validation and test, which are of the same seed in every run, so that what is measured can be compared.
    make: `make(part, batch_size, seed=, count=, name=)`.
  """
  measured = lambda part, name: make(part, config.data.eval_batch_size, seed=0, count=count, name=name)
  train = make(parts.train, config.train.batch_size, seed=config.seed, count=0, name="train")
  validation = None if parts.validation is None else measured(parts.validation, "validation")
  return Splits(train, validation, measured(parts.test, "test"))


def batch_size(config: ml_collections.ConfigDict, count: int) -> int:
  """`config.train.batch_size`; where it is 0 all `count` examples, padded so that the run's devices divide them."""
  parts = (config.run.num_devices or jax.device_count()) * config.train.accumulate
  return config.train.batch_size or -(-count // parts) * parts
