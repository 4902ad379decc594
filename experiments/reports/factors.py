"""What is told and drawn of factors: their directions as images, reconstructions; recommendations and their quality."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import factor_ratings, factor_vectors, generative
from experiments.parts.factor_ratings import Held
from experiments.parts.factor_vectors import Model
from experiments.parts.splits import Splits
from research.data import files
from research.data import ratings as ratings_lib
from research.data.examples import Examples
from research.data.ratings import Interactions
from research.errors import UserError
from research.evaluation import figures, latents, ranking
from research.training.experiment import Report

if TYPE_CHECKING:
  from matplotlib.figure import Figure

USERS = 200  # whose items are ranked at once
POINTS = 2000


def vectors(params, model: Model, config: ml_collections.ConfigDict, data: Splits[Examples]) -> Report:
  """Directions, or parts, as images; test rows reconstructed; where they lie in the plane of the first two latents."""
  rows = factor_vectors.rows_of(data.test.inputs, config)
  count = min(config.report.samples // 2, len(rows))
  codes, again = jax.device_get(jax.jit(model.transform)(params, np.nan_to_num(rows[:POINTS])))
  pictures = {}
  directions, shape = np.asarray(model.directions(params)), data.test.inputs.shape[1:]
  if len(shape) == 3:
    pictures["directions"] = figures.filters(directions.T, shape, title="directions of the latents")
    unit = max(config.data.levels, 1)
    pairs = np.clip(np.stack([rows[:count], again[:count]], 1).reshape(-1, *shape) / unit, 0, 1)
    pictures["reconstructions"] = figures.image_grid(
      pairs, columns=8, title="test images, each before its reconstruction"
    )
  if codes.shape[1] > 1:
    order = np.argsort(-codes.var(0), kind="stable")[:2]
    names = (f"latent {order[0]}", f"latent {order[1]}")
    labels = data.test.label[:POINTS]
    pictures["latent_map"] = latents.scatter(codes[:, order], labels, data.test.class_names, names, "test set")
  return Report({}, pictures, {})


def predict_vectors(
  params, model: Model, config: ml_collections.ConfigDict, data: Splits[Examples], path: str
) -> dict[str, Any]:
  """Latents and reconstructions of the inputs at `path`; without one, of the test set."""
  inputs, names = data.test.inputs, None
  if path:
    shape, dtype, columns = data.test.inputs.shape[1:], data.test.inputs.dtype, data.test.columns
    inputs, names = files.unlabelled(path, shape, dtype=dtype, columns=columns)
  rows = np.nan_to_num(factor_vectors.rows_of(inputs, config))
  transform = jax.jit(model.transform)
  codes, again = generative.batched(lambda x: transform(params, x), config.data.eval_batch_size, rows)
  outputs = {"latents": codes, "reconstructions": again.reshape(-1, *data.test.inputs.shape[1:])}
  return outputs if names is None else {**outputs, "input": np.asarray(names)}


def definitions(config: ml_collections.ConfigDict) -> dict[str, str]:
  """Of the measures of a ranking."""
  first, liked = config.report.first, config.report.liked
  of = f"among a user's first {first} of the films not rated in training; mean over users who have any in the test set"
  hit = f"test items rated {liked:g} or higher"
  return {
    f"ndcg_at_{first}": f"discounted gain of {hit}, over the most there can be, {of}",
    f"recall_at_{first}": f"share of {hit} that are {of}",
    f"map_at_{first}": f"mean average precision of {hit}, {of}",
  }


def ratings(tables, config: ml_collections.ConfigDict, data: Interactions, held: Held) -> Report:
  """How well the first items hit what users like; the most rated items in the plane of their vectors."""
  first = config.report.first
  liked = held.test[data.rating[held.test] >= config.report.liked]
  users = np.unique(data.user[liked])
  if not len(users):
    remedy = f"no rating of the test set is as high: the highest is {data.rating[held.test].max():g}."
    raise UserError("config.report.liked", config.report.liked, remedy)
  seen, relevant = (_table(data, index) for index in (np.concatenate([held.train, held.validation]), liked))
  measure = jax.jit(
    lambda vectors, users: ranking.top_measures(
      factor_ratings.scores_of(vectors, users), jnp.asarray(relevant)[users], jnp.asarray(seen)[users], first
    )
  )
  each = generative.batched(lambda users: measure(tables, users), USERS, users)
  values = {name: float(x.mean()) for name, x in each.items()}
  metrics = {
    f"{name}_at_{first}": values[key]
    for name, key in (("ndcg", "ndcg"), ("recall", "recall"), ("map", "average_precision"))
  }
  return Report(metrics, {"items": _items(tables, data)}, definitions(config))


def _table(data: Interactions, index: np.ndarray) -> np.ndarray:
  rated = np.zeros((len(data.user_names), len(data.item_names)), bool)
  rated[data.user[index], data.item[index]] = True
  return rated


def _items(tables, data: Interactions, most: int = 40) -> "Figure":
  """The items that most have rated, by the two directions in which their vectors, of the last sample, differ most."""
  from matplotlib.figure import Figure

  often = np.argsort(-np.bincount(data.item, minlength=len(data.item_names)), kind="stable")[:most]
  items = np.asarray(tables[1][0])[often, :-1]
  places = latents.principal_components(np.pad(items, ((0, 0), (0, max(0, 2 - items.shape[1])))))[0]
  figure = Figure(figsize=(10, 7), layout="constrained")
  axes = figure.add_subplot()
  axes.scatter(*places.T, s=8, color="#2f6db5")
  for item, place in zip(often, places):
    axes.annotate(data.item_names[item], place, fontsize=7, xytext=(3, 2), textcoords="offset points")
  axes.set(title="the most rated items, by two principal components of their vectors", xticks=[], yticks=[])
  axes.spines[["top", "right"]].set_visible(False)
  return figure


def predict_ratings(
  tables, config: ml_collections.ConfigDict, data: Interactions, held: Held, path: str
) -> dict[str, Any]:
  """The first items for every user, of those that the user has not rated; or ratings of the pairs of a CSV at `path`.

  A user or an item that no training rating tells of has no vector: `fallback` says what the prediction is then, `item`
  (the item's mean, as its bias has it), `user`, or `mean` (of all ratings).
  """
  if not path:
    seen = _table(data, np.arange(len(data.user)))
    best = jax.jit(
      lambda users: jax.lax.top_k(
        jnp.where(jnp.asarray(seen)[users], -jnp.inf, factor_ratings.scores_of(tables, users)), config.report.first
      )
    )
    scores, items = generative.batched(best, USERS, np.arange(len(data.user_names)))
    shift = factor_ratings.shift_of(config, held)
    return {"user": np.array(data.user_names), "items": np.array(data.item_names)[items], "scores": scores + shift}
  pairs = ratings_lib.own(path)
  known = [{name: i for i, name in enumerate(names)} for names in (data.user_names, data.item_names)]
  told = [
    np.bincount(x[held.train], minlength=n) > 0
    for x, n in ((data.user, held.scale.users), (data.item, held.scale.items))
  ]
  place = [
    np.array([at.get(names[i], -1) for i in index])
    for at, names, index in zip(known, (pairs.user_names, pairs.item_names), (pairs.user, pairs.item))
  ]
  warm = [(at >= 0) & each[at] for at, each in zip(place, told)]
  users, items, count = (np.asarray(x) for x in tables)
  rows = [np.where(is_warm[None, :, None], table[:, at], 0) for is_warm, table, at in zip(warm, (users, items), place)]
  affinity = (rows[0][..., :-1] * rows[1][..., :-1]).sum(-1) + rows[0][..., -1] + rows[1][..., -1]
  scale = held.scale
  kind = np.where(warm[0] & warm[1], "", np.where(warm[1], "item", np.where(warm[0], "user", "mean")))
  predicted = affinity.sum(0) / count
  if config.model.name != "implicit":
    predicted = np.clip(scale.mean + predicted, scale.low, scale.high)
  names = np.array(pairs.user_names)[pairs.user], np.array(pairs.item_names)[pairs.item]
  return {"user": names[0], "item": names[1], "prediction": predicted, "fallback": kind}
