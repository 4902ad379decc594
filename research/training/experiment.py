"""What an experiment file builds and the loop runs."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from research.data.dataset import Dataset
from research.training.learner import Learner


@dataclasses.dataclass(frozen=True)
class Report:
  """What is no mean over a batch, and what a person would rather look at than read.

  Attributes:
    metrics: final numbers by name; they join the test metrics in `result.json`.
    figures: matplotlib figures by name, saved as `figures/<name>.png`.
    definitions: what each metric of `metrics` is, a sentence.
    files: what else is to be kept, such as music and text, by file name: the contents of `samples/<name>`.
  """

  metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
  figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  definitions: Mapping[str, str] = dataclasses.field(default_factory=dict)
  files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


class Program(NamedTuple):
  """What a family computes of new examples, as a pure function: `--mode=export` compiles it.

  Attributes:
    call: `call(state, inputs, index) -> tree` of arrays, a row an example; no row depends on another but by its place
      in all of them, `index` int [row].
    inputs: by name, an array of which the first axis is that of the examples; only its type and other axes count.
    names: what the numbers of inputs and outputs stand for, as JSON has it: classes, words, a tokenizer.
  """

  call: Callable[[Any, Mapping[str, Any], Any], Any]
  inputs: Mapping[str, Any]
  names: Mapping[str, Any] = {}

  @classmethod
  def of_batches(
    cls, function: Callable[[Any, Any], Any], data: Dataset, names: Mapping[str, Any] | None = None
  ) -> "Program":
    """`function(state, batch)` of examples as a set in memory holds them, before `assemble`."""

    def call(state, inputs, index):
      rows = jnp.arange(index.shape[0])
      batch = data.assemble(inputs, {"index": rows, "mask": jnp.ones(rows.shape, jnp.float32)})
      return function(state, {**batch, "index": index})

    return cls(call, dict(data.resident), names or {})


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A family, its network, its optimizer and its data, put together.

  Attributes:
    learner: init, update, evaluate.
    train_data: what `update` sees.
    eval_data: what is measured during training (validation; never the test set); None measures nothing.
    test_data: what is measured once, when training has ended, and by `--mode=evaluate`; None measures nothing.
    derive: `derive(means) -> metrics`: functions of the exact means of an evaluation (perplexity, RMSE, bits per
      dimension), which join them wherever they are taken.
    measure: `measure(state, data) -> metrics`: what is no mean (BLEU, R-hat, returns of greedy episodes, distances of
      samples), computed on the host from the state, whole on one device, and `eval_data` every `run.measure_every`,
      `test_data` at the end.  A batch asked of `data.feed` polls for preemption.
    report: `report(state) -> Report`, run with the test set's evaluation, from the state alone.
    predict: `predict(state, path) -> {name: array}` for `--mode=predict`: predictions for the examples at `path`, or
      samples where the family generates.  A value that is bytes is the file of that name, kept as those of a report.
    sample: `sample(state) -> {name: array}` for `--mode=sample`: new examples, `config.report.samples` of them where
      there is such a field, drawn by the state's key; None where the family generates nothing.
    definitions: what each metric of `learner.evaluate`, `derive` and `measure` is, a sentence.
    program: what the family computes of new examples, for export; None where it is no function of single examples.
    as_file: `as_file(inputs, folder) -> path`: what `predict` is given in Python as a file that it reads; None where
      that is an `.npz` archive of `inputs`.
    notes: what is odd about the data and no error, a line each, told before training.
  """

  learner: Learner
  train_data: Dataset
  test_data: Dataset | None
  eval_data: Dataset | None = None
  report: Callable[[Any], Report] = lambda state: Report()
  predict: Callable[[Any, str], Mapping[str, Any]] | None = None
  sample: Callable[[Any], Mapping[str, Any]] | None = None
  derive: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
  measure: Callable[[Any, Dataset], Mapping[str, Any]] | None = None
  definitions: Mapping[str, str] = dataclasses.field(default_factory=dict)
  program: Program | None = None
  as_file: Callable[[Any, pathlib.Path], pathlib.Path] | None = None
  notes: tuple[str, ...] = ()
