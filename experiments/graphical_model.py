"""Discrete graphical models: Bayesian networks from tables; digits denoised by a Markov field.

  python -m experiments.graphical_model                                             asia by EM, embedded: seconds
  python -m experiments.graphical_model --config=configs/graphical_model/asia.py:hidden
  python -m experiments.graphical_model --config=configs/graphical_model/digits_tree.py   structure, completion
  python -m experiments.graphical_model --config=configs/graphical_model/ising.py[:mean_field|:gibbs]
  python -m experiments.graphical_model --config.data.path=my.csv --config.data.network=x.bif
    --config.report.evidence=smoke=yes, or nothing behind evidence=
  python -m experiments.graphical_model --mode=predict --workdir=... --input=smoke=yes,xray=yes   or rows.csv: marginals

Lauritzen & Spiegelhalter 1988; Lauritzen 1995 (EM); Chow & Liu 1968; Friedman et al. 1997 (around a class).
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import denoising, fields, splits
from experiments.reports import graphical_model as report_lib
from research.data import bif, classic_networks, discrete, embedded, pipeline, remembered
from research.data.bayesian_network import BayesianNetwork, Variable
from research.data.discrete import DiscreteTable
from research.errors import UserError
from research.families.graphical_model import learning, structure
from research.training import precision, statistics
from research.training.experiment import Experiment, Program

DEFAULT = "configs/graphical_model/asia.py"


class Data(NamedTuple):
  """Rows to learn from and to test on.

  Attributes:
    parts: training, validation and test set.
    network: that they were drawn from or that a file states; None where nothing is known.
  """

  parts: splits.Splits[DiscreteTable]
  network: BayesianNetwork | None


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A Bayesian network of a table; or, of a config with noise, an Ising model of images."""
  if "noise" in config.data:
    return denoising.experiment(config)
  if precision.dtype(config.train.precision) == jnp.bfloat16:
    raise UserError("config.train.precision", "bfloat16", "counts need more digits: choose float32 or float64.")
  data = remembered.data("table", lambda: load(config))
  train, variables = data.parts.train, data.parts.train.variables
  cards = tuple(len(variable.states) for variable in variables)
  parents = remembered.value("structure", lambda: structure_of(config, data, cards))
  fixed = tables_of(config, data)
  family = learning.bayesian_network(
    cards, parents, prior=config.model.prior, complete=all(part.complete for part in data.parts if part), given=fixed
  )
  size = splits.batch_size(config, len(train))
  batches = pipeline.passes(train.arrays, size, seed=config.seed, name=train.name)
  combine = statistics.latest
  if batches.num_batches > 1:
    combine = statistics.stepwise(len(train), config.train.step_power, config.train.step_delay)
  learner = statistics.statistics_learner(
    init=family.init,
    expect=family.expect,
    maximise=family.maximise if fixed is None else lambda params, counts: params,
    evaluate=family.evaluate,
    combine=combine,
    accumulate=config.train.accumulate,
  )
  use = report_lib.Use(config, family, variables, parents, data.parts, data.network)
  use.asked()  # before anything is learnt
  measured = lambda part: pipeline.sequential(part.arrays, config.data.eval_batch_size, name=part.name)
  return Experiment(
    learner=learner,
    train_data=batches,
    eval_data=measured(data.parts.validation) if data.parts.validation else None,
    test_data=measured(data.parts.test),
    report=use.report,
    predict=use.predict,
    sample=use.sample,
    definitions=learning.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: use.given(state.params, inputs["known"]),
      {"known": np.zeros((1, len(variables)), np.int32)},
      {"variable": [variable._asdict() for variable in variables], "unknown": -1},
    ),
  )


def load(config: ml_collections.ConfigDict) -> Data:
  """The rows that `config.data` names, some cells of the training set hidden, whole columns in all sets."""
  data = config.data
  name = discrete.at(data.path) if data.path or data.name in ("bif", "table") else data.name
  columns = [name.strip() for name in data.hidden.split(",") if name.strip()]
  if name != "table" and data.network:
    raise UserError("config.data.network", data.network, "it is of a table of one's own: leave it out.")
  fields.refuse_unread(data, {"validation", "path"})
  network = None
  if name == "digits":
    parts = splits.of(digits("train", config.model.label), digits("test", config.model.label), data.validation)
  elif name == "table":
    network = bif.read(data.network) if data.network else None
    rows = discrete.read(data.path, network.variables if network else ()).split()
    parts = splits.of(rows["train"], rows["test"], data.validation)
  else:
    network = bif.read(data.path) if name == "bif" else classic_networks.load(name)
    if data.rows < 4:
      raise UserError("config.data.rows", data.rows, "give four at least.")
    draw = lambda part, count, seed: DiscreteTable(
      f"{network.name} {part}", network.sample(count, seed), network.variables
    )
    parts = splits.of(draw("train", data.rows, 0), draw("test", data.rows // 4, 1), data.validation)
  hide = functools.partial(DiscreteTable.without, columns=columns, seed=0)
  hidden = parts.map(lambda part: hide(part, share=0.0))
  return Data(hidden._replace(train=hide(parts.train, share=data.missing)), network)


def digits(split: str, label: str) -> DiscreteTable:
  """Scikit-learn's digits as 64 columns, on where a pixel is above its middle; with the column `digit` where asked."""
  examples = embedded.load("digits", split)
  pixels = (np.asarray(examples.inputs).reshape(len(examples), -1) > 127).astype(np.int32)
  variables = [Variable(f"pixel {i // 8},{i % 8}", ("off", "on")) for i in range(64)]
  if label:
    pixels = np.concatenate([pixels, examples.label[:, None].astype(np.int32)], 1)
    variables.append(Variable("digit", examples.class_names))
  return DiscreteTable(f"digits {split}", pixels, tuple(variables))


def structure_of(config: ml_collections.ConfigDict, data: Data, cards: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
  """Parents of every column: the network's, or those of the best tree."""
  model, train = config.model, data.parts.train
  match model.structure:
    case "given":
      if data.network is None:
        remedy = f"{train.name} comes without arrows: give config.data.network, or choose chow_liu or tan."
        raise UserError("config.model.structure", "given", remedy)
      return data.network.parents
    case "chow_liu":
      return structure.chow_liu(train.values, cards)
    case "tan":
      label = discrete.index_of(train.variables, model.label, "config.model.label")
      return structure.tree_augmented(train.values, cards, label)
  raise UserError("config.model.structure", model.structure, "choose given, chow_liu or tan.")


def tables_of(config: ml_collections.ConfigDict, data: Data) -> tuple[np.ndarray, ...] | None:
  """The network's own tables, where nothing is to be learnt."""
  if config.train.learning == "em":
    return None
  if config.train.learning != "none":
    raise UserError("config.train.learning", config.train.learning, "choose em or none.")
  if data.network is None or config.model.structure != "given":
    raise UserError("config.train.learning", "none", "there are no tables to keep: give a network and its structure.")
  return data.network.tables


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
