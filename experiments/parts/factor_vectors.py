"""Factors of vectors as an experiment: which model, on which rows, cross-validated where that is asked for."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float

from experiments.parts import splits
from experiments.parts.splits import Splits, batch_size
from research.data import pipeline
from research.data.examples import Examples
from research.errors import UserError
from research.families import linear_gaussian, nmf
from research.training import statistics
from research.training.experiment import Experiment, Program
from research.training.learner import cross_validation


class Model(NamedTuple):
  """A kind of factors.

  Attributes:
    family: what `statistics.statistics_learner` asks for.
    definitions: of what it evaluates.
    directions: `directions(params) -> [latent, feature]`, of what is to be looked at.
    transform: `transform(params, rows) -> latents, reconstruction`, [row, ...] each.
  """

  family: Any
  definitions: Mapping[str, str]
  directions: Callable[[Any], Any]
  transform: Callable[[Any, Any], tuple[Any, Any]]


def experiment(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """Factors of `config.data`.

  Args:
    config: of the family.
    report: `report(params, model, config, data) -> Report`, of the first fold where there are several.
    predict: `predict(params, model, config, data, path) -> arrays`.
  """
  data, model = load(config), model_of(config)
  arrays = data.map(lambda part: arrays_of(part, config))
  train = arrays.train
  if config.data.folds:
    train = arrays.test  # the whole set
  train = without_some(train, config)
  count = len(train["inputs"])
  train_data = pipeline.passes(train, batch_size(config, count), seed=config.seed, name=data.train.name)
  combine = statistics.latest
  if train_data.num_batches > 1:
    combine = statistics.stepwise(count, config.train.step_power, config.train.step_delay)
  learner = statistics.statistics_learner(**model.family._asdict(), combine=combine, accumulate=config.train.accumulate)
  if config.data.folds:
    learner = cross_validation(learner, config.data.folds)
  measured = lambda rows: pipeline.sequential(rows, config.data.eval_batch_size, name=data.test.name)
  params = lambda state: jax.tree.map(lambda x: x[0], state.members.params) if config.data.folds else state.params
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measured(arrays.validation) if arrays.validation is not None else None,
    test_data=measured(arrays.test),
    report=lambda state: report(params(state), model, config, data),
    predict=lambda state, path: predict(params(state), model, config, data, path),
    definitions=model.definitions,
    program=Program(
      lambda state, inputs, _: dict(
        zip(("latents", "reconstruction"), model.transform(params(state), inputs["inputs"]))
      ),
      {"inputs": arrays.test["inputs"]},
    ),
  )


def load(config: ml_collections.ConfigDict) -> Splits[Examples]:
  """The sets that `config.data` names, as they are.

  Raises:
    UserError: fields of it that contradict one another.
  """
  section = config.data
  if section.normalise != "none":
    raise UserError(
      "config.data.normalise", section.normalise, "the unit is that of config.data.levels: set it to none."
    )
  if section.folds and (section.test_split != "all" or section.validation):
    remedy = "a cross-validation is over everything: set test_split to all, and validation to 0."
    raise UserError("config.data.folds", section.folds, remedy)
  if not 0 <= section.missing < 1:
    raise UserError("config.data.missing", section.missing, "give a share, 0 to below 1.")
  data = splits.in_memory(section, labels=False, tables=True)
  features = int(np.prod(data.train.inputs.shape[1:]))
  if not 0 < config.model.latents < features:
    raise UserError(
      "config.model.latents", config.model.latents, f"give 1 to {features - 1}: there are {features} values."
    )
  return data


def rows_of(inputs: np.ndarray, config: ml_collections.ConfigDict) -> Float[np.ndarray, "row feature"]:
  """Rows in the unit that `config.data.levels` says, in the type of training."""
  rows = inputs.reshape(len(inputs), -1) / np.float64(255 if inputs.dtype == np.uint8 else 1)
  rows = np.round(rows * config.data.levels) if config.data.levels else rows
  return rows.astype(np.float64 if config.train.precision == "float64" else np.float32)


def arrays_of(part: Examples, config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
  """Rows; of a cross-validation with the fold that each is in, as scikit-learn's KFold has them; NaN is not observed.

  Raises:
    UserError: what is not observed where the model needs all.
  """
  rows = rows_of(part.inputs, config)
  arrays = {"inputs": np.nan_to_num(rows)}
  if _some_missing(config):
    arrays["observed"] = np.isfinite(rows).astype(rows.dtype)
  elif not np.isfinite(rows).all():
    bad = int((~np.isfinite(rows)).any(1).sum())
    remedy = "set config.model.ppca.solver=em, or config.model.name=fa, and config.data.missing above 0."
    raise UserError(part.name, f"{bad} rows with values that are no numbers", remedy)
  if config.data.folds:
    from sklearn.model_selection import KFold  # here: it takes a second to import

    if config.data.folds > len(rows):
      raise UserError("config.data.folds", config.data.folds, f"give {len(rows)}, the number of examples, or less.")
    fold = np.zeros(len(rows), np.int32)
    for i, (_, held) in enumerate(KFold(config.data.folds, shuffle=True, random_state=0).split(rows)):
      fold[held] = i
    arrays["fold"] = fold
  return arrays


def without_some(arrays: dict[str, np.ndarray], config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
  """With a share `config.data.missing` of the values taken away, the same ones for every seed."""
  if "observed" not in arrays:
    return arrays
  rng = np.random.Generator(np.random.Philox(key=0))
  observed = arrays["observed"] * (rng.random(arrays["inputs"].shape) >= config.data.missing)
  return {**arrays, "observed": observed, "inputs": arrays["inputs"] * observed}


def _some_missing(config: ml_collections.ConfigDict) -> bool:
  """Whether the model takes values that are not observed.

  Raises:
    UserError: some are to be taken away from one that does not.
  """
  by_em = config.model.name == "fa" or (config.model.name == "ppca" and config.model.ppca.solver == "em")
  if config.data.missing and not by_em:
    remedy = "with values missing, choose config.model.ppca.solver=em or config.model.name=fa."
    raise UserError("config.data.missing", config.data.missing, remedy)
  return config.data.missing > 0


def model_of(config: ml_collections.ConfigDict) -> Model:
  """The model that `config.model` names."""
  section, floor, missing = config.model, config.train.floor, _some_missing(config)
  if section.name == "nmf":
    loss, iterations = section.nmf.loss, section.nmf.iterations
    if loss not in (nmf.FROBENIUS, nmf.KULLBACK_LEIBLER):
      raise UserError("config.model.nmf.loss", loss, f"choose {nmf.FROBENIUS} or {nmf.KULLBACK_LEIBLER}.")
    shares = lambda parts, rows: nmf.codes(parts, rows, loss, iterations)
    both = lambda parts, rows: (shares(parts, rows), shares(parts, rows) @ parts)
    return Model(nmf.nmf(section.latents, loss, iterations), nmf.DEFINITIONS, lambda parts: parts, both)
  solver = "em" if section.name == "fa" else section.ppca.solver
  if section.name == "ppca" and solver != "closed" and section.ppca.components > 1:
    raise UserError("config.model.ppca.components", section.ppca.components, "a mixture needs solver=closed.")
  match solver:
    case "closed":
      family = linear_gaussian.ppca(section.latents, section.ppca.components, floor)
      one = lambda params: jax.tree.map(lambda x: x[params.weights.argmax()], params.components)
    case "em":
      family = linear_gaussian.factor_analysis(
        section.latents, shared=section.name == "ppca", missing=missing, floor=floor
      )
      one = lambda params: params.model
    case "subspace":
      family = linear_gaussian.subspace_iteration(section.latents, floor=floor)
      one = lambda params: params.model
    case _:
      raise UserError("config.model.ppca.solver", solver, "choose closed, em or subspace.")

  def transform(params, rows):
    if solver == "closed" and section.ppca.components > 1:
      return _of_mixture(params, rows)
    model = one(params)
    latents = linear_gaussian.infer(model, rows).mean
    return latents, latents @ model.loadings.T + model.mean

  return Model(family, linear_gaussian.DEFINITIONS, lambda params: one(params).loadings.T, transform)


def _of_mixture(params: linear_gaussian.Mixture, rows):
  """Latents and reconstruction by the most probable component of each row."""
  latents = jax.vmap(lambda model: linear_gaussian.infer(model, rows).mean)(params.components)
  again = jnp.einsum("mrk,mfk->mrf", latents, params.components.loadings) + params.components.mean[:, None]
  best = linear_gaussian.log_joint(params, rows).argmax(1)
  place = jnp.arange(len(rows))
  return latents[best, place], again[best, place]
