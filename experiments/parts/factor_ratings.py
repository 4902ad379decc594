"""Factors of ratings as an experiment: which model, and which fold is held out."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import learning
from experiments.parts.splits import batch_size
from research.data import pipeline, ratings
from research.data import validation as validation_lib
from research.data.dataset import Dataset
from research.data.ratings import Interactions
from research.errors import UserError
from research.families import matrix_factorisation as family_lib
from research.families.matrix_factorisation import Scale
from research.training import sparse, transitions
from research.training.experiment import Experiment, Program
from research.training.learner import Learner


class Held(NamedTuple):
  """Indices of the ratings that are learnt from, chosen by and measured on, and the scale of the first."""

  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray
  scale: Scale


def experiment(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """Factors of `config.data`, learnt from all folds but one.

  Args:
    config: of the family.
    report: `report(vectors, config, data, held) -> Report`; vectors as `family_lib.Moving.vectors` has them.
    predict: `predict(vectors, config, data, held, path) -> arrays`.
  """
  if config.model.factors < 1:
    raise UserError("config.model.factors", config.model.factors, "give one or more.")
  data = ratings.load(config.data.name, config.data.path or None)
  held = divided(data, config)
  learner, train_data, vectors = learner_of(data, held, config)
  measured = lambda index, name: pipeline.sequential(
    rows_of(data, index), config.data.eval_batch_size, name=f"{data.name} {name}"
  )
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measured(held.validation, "validation") if len(held.validation) else None,
    test_data=measured(held.test, "test"),
    derive=root,
    report=lambda state: report(vectors(state), config, data, held),
    predict=lambda state, path: predict(vectors(state), config, data, held, path),
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: scores_of(vectors(state), inputs["user"]) + shift_of(config, held),
      {"user": np.zeros(1, np.int32)},
      {"user": data.user_names, "item": data.item_names},
    ),
  )


def shift_of(config: ml_collections.ConfigDict, held: Held) -> float:
  """What is added to an affinity for a rating; those of implicit feedback are about 0 and 1, and no ratings."""
  return 0.0 if config.model.name == "implicit" else held.scale.mean


def root(means) -> dict[str, float]:
  """The RMSE of the mean squared error."""
  return {"rmse": float(np.sqrt(means["squared_error"]))} if "squared_error" in means else {}


def divided(data: Interactions, config: ml_collections.ConfigDict) -> Held:
  """One fold to test, a share of the others to choose by, the rest to learn from."""
  count, fold = config.data.folds, config.data.fold
  if not -1 <= fold < count:
    raise UserError("config.data.fold", fold, f"give 0 to {count - 1}, or -1 for the seed's.")
  part = ratings.folds(data, count)
  order = np.random.Generator(np.random.Philox(key=1)).permutation(len(part))
  chosen = config.seed % count if fold < 0 else fold
  rest = order[part[order] != chosen]
  kept = len(rest) - validation_lib.count(config.data.validation, len(rest))
  values = data.rating[rest[:kept]]
  scale = Scale(
    len(data.user_names), len(data.item_names), float(values.mean()), float(values.min()), float(values.max())
  )
  return Held(rest[:kept], rest[kept:], np.flatnonzero(part == chosen), scale)


def rows_of(data: Interactions, index: np.ndarray) -> dict[str, np.ndarray]:
  """The ratings at `index` as fields."""
  return {"user": data.user[index], "item": data.item[index], "rating": data.rating[index]}


def learner_of(data: Interactions, held: Held, config: ml_collections.ConfigDict) -> tuple[Learner, Dataset, Any]:
  """What learns, from which batches, and `vectors(state)` of what it has learnt."""
  model, scale, rows = config.model, held.scale, rows_of(data, held.train)
  name = f"{data.name} train"
  if model.name == "sgd":
    size = config.train.batch_size
    if size < 1:
      raise UserError(
        "config.train.batch_size", size, "sgd learns from few ratings at a time: give 1000, for instance."
      )
    train_data = pipeline.shuffled(rows, size, seed=config.seed, name=name)
    known = [
      np.bincount(rows[side], minlength=count) > 0 for side, count in (("user", scale.users), ("item", scale.items))
    ]
    family = family_lib.by_gradient(scale, model.factors, model.sgd.penalty, (known[0], known[1]))
    total = learning.duration(config, train_data)
    # Of the mean over a batch: so many times the rate of one rating.
    schedule = lambda step: size * model.sgd.learning_rate * (1 - step / total)
    learner = sparse.sparse_learner(**family._asdict(), optimizer=sparse.sgd(schedule), schedule=schedule)
    return learner, train_data, lambda state: (state.tables["users"][None], state.tables["items"][None], 1)
  if config.train.batch_size:
    raise UserError(
      "config.train.batch_size", config.train.batch_size, "this model needs all ratings at once: set it to 0."
    )
  family = moving(config, scale)
  arrays = family_lib.both_ways(rows["user"], rows["item"], rows["rating"])
  count = len(arrays["user_target"])
  train_data = pipeline.passes(arrays, batch_size(config, count), seed=config.seed, name=name)
  learner = transitions.transition_learner(init=family.init, move=family.move, evaluate=family.evaluate)
  return learner, train_data, lambda state: family.vectors(state.params)


def moving(config: ml_collections.ConfigDict, scale: Scale) -> family_lib.Moving:
  """The model that moves by sweeps over all ratings."""
  model = config.model
  match model.name:
    case "als":
      return family_lib.alternating(scale, model.factors, model.als.penalty, by_count=model.als.by_count)
    case "implicit":
      if model.implicit.confidence <= 0:
        raise UserError("config.model.implicit.confidence", model.implicit.confidence, "give a number above 0.")
      options = model.implicit
      # Affinities are about 0 and 1, no ratings: what is measured of them is their order.
      return family_lib.alternating(scale, model.factors, options.penalty, confidence=options.confidence)
    case "bayesian":
      options = model.bayesian
      if min(options.samples, options.thin) < 1 or options.burn_in < 0:
        given = (options.samples, options.burn_in, options.thin)
        raise UserError("config.model.bayesian", given, "give samples and thin of one at least, burn_in of none.")
      return family_lib.bayesian(scale, model.factors, family_lib.Sampling(**options))
  raise UserError("config.model.name", model.name, "choose sgd, als, implicit or bayesian.")


def scores_of(vectors, users: np.ndarray):
  """Affinities of all items to some users, [user, item]."""
  of_users, of_items, count = vectors
  one = lambda total, pair: (
    total + pair[0][users, :-1] @ pair[1][:, :-1].T + pair[0][users, -1:] + pair[1][:, -1],
    None,
  )
  start = jnp.zeros((len(users), of_items.shape[1]))
  return jax.lax.scan(one, start, (of_users, of_items))[0] / count
