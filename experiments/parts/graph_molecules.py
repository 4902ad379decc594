"""Properties of molecules as an experiment: SMILES, a split by scaffold, packs, and a network of atoms and bonds."""

import dataclasses
import pathlib
from typing import Any

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import learning
from experiments.parts.splits import Splits
from research.data import graph_packs, remembered
from research.data import molecules as molecules_lib
from research.data.dataset import Dataset
from research.data.molecules import Molecules
from research.errors import UserError
from research.families.graph_predictor import DEFINITIONS, graph_predictor
from research.networks import molecules as networks
from research.training.experiment import Experiment
from research.training.learner import ensemble

DERIVED = {"regression": lambda means: {"rmse": np.sqrt(means["loss"])}, "classification": None}


def network_of(model: ml_collections.ConfigDict, num_outputs: int) -> nn.Module:
  """The network that `config.model` names."""
  network = {"mpnn": networks.MPNN, "gin": networks.GINE}[model.name]
  sizes = molecules_lib.ATOM_SIZES, molecules_lib.BOND_SIZES
  return network(*sizes, num_outputs=num_outputs, **model[model.name])


def load(data: ml_collections.ConfigDict) -> Splits[Molecules]:
  """The molecules that `config.data` names, divided; of training only `limit`, where it is not 0."""
  whole = molecules_lib.load(data.name, data.path or None, smiles=data.smiles, targets=tuple(data.targets))
  if data.kind == "classification" and not np.isin(whole.targets[np.isfinite(whole.targets)], (0, 1)).all():
    raise UserError("config.data.kind", data.kind, "its targets must be 0 or 1: choose regression.")
  train, validation, test = molecules_lib.split(whole, data.split)
  for name, part in (("train", train), ("validate", validation), ("test", test)):
    if not np.isfinite(whole.targets[part]).any():
      remedy = f"none of which a target is known is left to {name} by config.data.split={data.split}: give more."
      raise UserError(f"{whole.name}: molecules", len(whole), remedy)
  if data.limit:
    train = np.sort(np.random.default_rng(0).permutation(train)[: data.limit])
  return Splits(*(whole.select(part) for part in (train, validation, test)))


def packed(data: ml_collections.ConfigDict, part: Molecules, batch_size: int, seed: int | None) -> Dataset:
  """Rows of molecules within the budgets of `config.data`."""
  budgets = (data.nodes, data.edges, data.graphs)
  return graph_packs.packed(part, budgets, batch_size, seed=seed, name=part.name)


def experiment(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """Molecules of `config.data`, a network and its optimizer.

  Args:
    config: of the family.
    report: `report(state, family, config, test_data, test) -> Report`.
    predict: `predict(state, family, config, path, test) -> arrays`.
  """
  data = remembered.data("molecules", lambda: load(config.data))
  mean, std = remembered.value("standardisation", lambda: standardisation(config.data.kind, data.train.targets))
  family = graph_predictor(network_of(config.model, len(data.train.tasks)), config.data.kind, mean=mean, std=std)
  train_data = packed(config.data, data.train, config.train.batch_size, config.seed)
  learner = learning.gradient_learner(config, family, train_data)
  if config.train.members > 1:
    learner = ensemble(learner, config.train.members, in_turn=True)
  measured = data.map(lambda part: packed(config.data, part, config.data.eval_batch_size, None))
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measured.validation,
    test_data=measured.test,
    report=lambda state: report(state, family, config, measured.test, data.test),
    predict=lambda state, path: predict(state, family, config, path, data.test),
    derive=DERIVED[config.data.kind],
    definitions=DEFINITIONS[config.data.kind],
  )


def standardisation(kind: str, targets: np.ndarray) -> tuple[Any, Any]:
  """Mean and deviation of each target of a regression, which the network predicts at unit scale; 0 and 1 of others."""
  if kind != "regression":
    return 0.0, 1.0
  mean, std = (np.float32(statistic(targets, axis=0)) for statistic in (np.nanmean, np.nanstd))
  return mean, np.where(std > 0, std, np.float32(1))


def own(path: str, like: Molecules, smiles: str) -> Molecules:
  """Molecules of the user's CSV at `path`, targets unknown.

  Raises:
    UserError: it cannot be read, or has a SMILES that is none.
  """
  texts, _, _ = molecules_lib.read(pathlib.Path(path).expanduser(), smiles, None)
  unknown = np.full((len(texts), len(like.tasks)), np.nan, np.float32)
  arrays = molecules_lib.featurised(texts, path)
  return dataclasses.replace(like, name=path, smiles=tuple(texts), **arrays, targets=unknown)
