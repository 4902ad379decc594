"""Normalizing flows: exact densities of points, tables and images, and samples of them in one pass.

  python -m experiments.flow                                               digits, embedded: two minutes
  python -m experiments.flow --config=configs/flow/points.py:spirals       beside the true density
  python -m experiments.flow --config=configs/flow/two_moons.py            a posterior, learnt from a simulator alone
  python -m experiments.flow --config=configs/flow/table.py --config.data.path=my.csv
  python -m experiments.flow --mode=predict --workdir=... [--input=rows.csv]
                                       samples; or log-likelihoods and anomaly scores of rows, or of images

Dinh et al. 2017; Papamakarios et al. 2017; Kingma & Dhariwal 2018; Ho et al. 2019; Durkan et al. 2019;
Grathwohl et al. 2019 (continuous); Papamakarios & Murray 2016, Greenberg et al. 2019 (posteriors of simulators).
"""

import ml_collections

from experiments.command import cli
from experiments.parts import fields, generative, learning, splits
from experiments.parts.flows import flow_of
from experiments.reports import flow as report_lib
from research.data import mixtures, own, pipeline, remembered, simulators, table
from research.data.examples import Examples
from research.errors import UserError
from research.families.flows import model as family_lib
from research.training.experiment import Experiment, Program

DEFAULT = "configs/flow/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A flow of the config's points, table or images."""
  data = load(config.data, config.model.conditional)
  model, train, shape = config.model, data.parts.train, data.parts.train.inputs.shape[1:]
  if (model.name == "image") != (data.kind == "images"):
    raise UserError("config.model.name", model.name, "image is for images of bytes, coupling and maf for the others.")
  classes = train.num_classes if model.conditional else 0
  if model.conditional and not classes:
    raise UserError("config.model.conditional", True, f"{config.data.name} has no classes: leave it out.")
  family = flow_of(model, shape, classes, observed=data.kind == "posterior")
  sets = splits.datasets(data.parts, config, pipeline.normalised(data.mean, data.std))
  measured = sets.map(generative.identified)
  use = report_lib.Use(config, family, data, measured.test)
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=measured.validation,
    test_data=measured.test,
    report=use.report,
    predict=use.predict,
    sample=lambda state: use.predict(state, ""),
    definitions=family_lib.DEFINITIONS,
    program=Program.of_batches(use.log_likelihood, measured.test),
  )


def load(data: ml_collections.ConfigDict, conditional: bool = False) -> report_lib.Data:
  """Points of a known density; a simulator's parameters, given what came out; a table; or images of bytes.

  Raises:
    UserError: no such set.
  """
  if own.is_table(data.path):
    return of_table(*own_rows(data))
  if data.name in mixtures.MIXTURES:
    fields.refuse_unread(data, {"validation"})
    read = lambda split, count: mixtures.load(data.name, split, count)
    parts = splits.of(read("train", data.points), read("test", 10_000), data.validation)
    return report_lib.Data("points", parts)
  if data.name in simulators.SIMULATORS:
    fields.refuse_unread(data, {"validation"})
    read = lambda split, count: simulators.load(data.name, split, count)
    return report_lib.Data("posterior", splits.of(read("train", data.points), read("test", 1_000), data.validation))
  if data.name in table.EMBEDDED and not data.path:
    fields.refuse_unread(data, {"validation"})
    return of_table(*remembered.data("rows", lambda: rows_of(data)))
  return report_lib.Data("images", generative.load_pixels(data, conditional))


def of_table(parts: splits.Splits[Examples], columns: tuple[str, ...]) -> report_lib.Data:
  """Rows, to be standardised by those to learn from."""
  constants = remembered.value("standardisation", lambda: pipeline.statistics(parts.train.inputs))
  return report_lib.Data("table", parts, *constants, columns)


def own_rows(data: ml_collections.ConfigDict) -> tuple[splits.Splits[Examples], tuple[str, ...]]:
  """A table of one's own, and its columns.

  Raises:
    UserError: as `splits.in_memory`; or a column is of words, which have no density.
  """
  parts = splits.in_memory(data, labels=False, tables=True)
  assert parts.train.columns is not None
  for column in parts.train.columns.inputs:
    if column.words:
      raise UserError(
        f"{data.path}: column {column.name}", column.words[0], "words have no density: remove the column."
      )
  return parts, parts.train.columns.features


def rows_of(data: ml_collections.ConfigDict) -> tuple[splits.Splits[Examples], tuple[str, ...]]:
  """The rows of the table that `config.data` names, divided, and its columns."""
  rows = table.embedded(data.name)
  read = lambda split: table.load(rows, data.name, split)
  return splits.of(read("train"), read("test"), data.validation), rows.columns


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
