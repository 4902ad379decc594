"""Ratings as products of vectors of users and items: r ≈ μ + b_u + b_i + p_u · q_i (Koren, Bell & Volinsky 2009).

By gradient descent; by alternating least squares, of ratings (Zhou et al. 2008) or of who has had what, with a
confidence for each (Hu, Koren & Volinsky 2008); or by Gibbs sampling of the posterior (Salakhutdinov & Mnih 2008).

The last number of a vector is its bias.  Who or what no rating tells of is predicted by the other's bias and μ: its own
vector is zero, or, of Gibbs sampling, drawn from the prior that the others tell of.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from research import axes
from research.metrics import Mean

DEFINITIONS = {
  "squared_error": "mean squared difference of predictions, within the scale of the ratings, and ratings",
  "rmse": "root of the mean squared difference of predictions, within the scale of the ratings, and ratings",
}
Vectors = Float[Array, "node number"]


class Scale(NamedTuple):
  """What is known of the ratings before learning.

  Attributes:
    users, items: how many.
    mean: of the ratings learnt from.
    low, high: of the scale that predictions are kept within.
  """

  users: int
  items: int
  mean: float
  low: float
  high: float


def affinity(users: Vectors, items: Vectors) -> Float[Array, " row"]:
  """b_u + b_i + p_u · q_i of rows of vectors."""
  return (users[..., :-1] * items[..., :-1]).sum(-1) + users[..., -1] + items[..., -1]


def errors(scale: Scale, deviation: Float[Array, " row"], batch) -> dict[str, Mean]:
  """Of predictions, kept within the scale."""
  kept = jnp.clip(scale.mean + deviation, scale.low, scale.high)
  return {"squared_error": Mean.of(jnp.square(kept - batch["rating"]), batch["mask"])}


class Sparse(NamedTuple):
  """What `sparse.sparse_learner` asks of a family."""

  init: Callable
  ids: Callable
  loss: Callable
  evaluate: Callable


def by_gradient(scale: Scale, factors: int, penalty: float, known: tuple[np.ndarray, np.ndarray]) -> Sparse:
  """Gradient descent on the squared error and λ times the squares of what a rating touches (Koren et al., equation 5).

  Args:
    scale: of the ratings.
    factors: of a vector.
    penalty: λ.
    known: bool [user] and [item], which have ratings to learn from: the others' vectors are zero.
  """

  def init(key, batch):
    del batch
    table = lambda i, mask: (
      jnp.asarray(mask, jnp.float32)[:, None]
      * jnp.pad(0.1 * jax.random.normal(jax.random.fold_in(key, i), (len(mask), factors)), ((0, 0), (0, 1)))
    )
    return {"users": table(0, known[0]), "items": table(1, known[1])}

  def loss(rows, batch, key):
    del key
    prediction = scale.mean + affinity(rows["users"], rows["items"])
    squares = jnp.square(rows["users"]).sum(-1) + jnp.square(rows["items"]).sum(-1)
    error = jnp.square(prediction - batch["rating"])
    # Halves, so that the rate is that of the literature.
    return Mean.of(0.5 * (error + penalty * squares), batch["mask"]), {"squared_error": Mean.of(error, batch["mask"])}

  def evaluate(tables, batch):
    return errors(scale, affinity(tables["users"][batch["user"]], tables["items"][batch["item"]]), batch)

  return Sparse(init, lambda batch, key: {"users": batch["user"], "items": batch["item"]}, loss, evaluate)


class Blocks(NamedTuple):
  """Ratings of one target after the other, cut into rows of one length: what least squares sum over.

  Attributes:
    target: whose ratings these are, [row].
    other: the items of a user, or the users of an item, [row, place].
    value: ratings [row, place].
    present: 0 where the place is padding.
  """

  target: np.ndarray
  other: np.ndarray
  value: np.ndarray
  present: np.ndarray


def blocks(target: Int[np.ndarray, " n"], other: Int[np.ndarray, " n"], value: np.ndarray, length: int) -> Blocks:
  """Rows of at most `length` ratings of one target."""
  order = np.argsort(target, kind="stable")
  nodes, counts = np.unique(target, return_counts=True)
  rows_of = -(-counts // length)
  within = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
  row = np.repeat(np.cumsum(rows_of) - rows_of, counts) + within // length
  place = row, within % length
  shape = (int(rows_of.sum()), length)
  padded = Blocks(
    np.repeat(nodes, rows_of).astype(np.int32),
    np.zeros(shape, np.int32),
    np.zeros(shape, np.float32),
    np.zeros(shape, np.float32),
  )
  padded.other[place], padded.value[place], padded.present[place] = other[order], value[order], 1
  return padded


def both_ways(user, item, value, length: int = 32) -> dict[str, np.ndarray]:
  """The ratings by user and by item, as fields of equal length `user_target`, ..., `item_present`."""
  sides = {"user": blocks(user, item, value, length), "item": blocks(item, user, value, length)}
  rows = max(len(side.target) for side in sides.values())
  grown = lambda x: np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)])
  return {f"{name}_{field}": grown(x) for name, side in sides.items() for field, x in side._asdict().items()}


def normal_equations(
  batch, side: str, count: int, other: Vectors, aim: Callable, weight: Callable
) -> tuple[Float[Array, "target number number"], Float[Array, "target number"], Float[Array, " target"]]:
  """Σ w f fᵀ, Σ w y f and the number of ratings of each target, over all devices; f is the other's vector and a 1.

  Args:
    batch: fields as `both_ways` makes them, and `mask`.
    side: user or item: whose equations these are.
    count: of them.
    other: vectors of the other side.
    aim: `aim(value, bias of the other) -> y`.
    weight: `weight(value) -> w`.
  """
  target, present = batch[f"{side}_target"], batch[f"{side}_present"] * batch["mask"][:, None]
  rows, value = other[batch[f"{side}_other"]], batch[f"{side}_value"]
  features = jnp.concatenate([rows[..., :-1], jnp.ones_like(rows[..., :1])], -1)
  weighted = features * (present * weight(value))[..., None]
  inner = jnp.einsum("rpk,rpl->rkl", weighted, features)
  cross = jnp.einsum("rpk,rp->rk", weighted, aim(value, rows[..., -1]))
  total = lambda x: jax.ops.segment_sum(x, target, count)
  return axes.psum((total(inner), total(cross), total(present.sum(-1))))


class Moving(NamedTuple):
  """What `transitions.transition_learner` asks of a family.

  `vectors(params) -> users, items, count`: [sample, node, number] each; a prediction is the sum of their affinities
  over `count`, and the mean rating.
  """

  init: Callable
  move: Callable
  evaluate: Callable
  vectors: Callable


@struct.dataclass
class Pair:
  """Vectors of users and of items."""

  users: Float[Array, "user number"]
  items: Float[Array, "item number"]


def _begin(key, scale: Scale, factors: int) -> Pair:
  table = lambda i, count: jnp.pad(
    0.1 * jax.random.normal(jax.random.fold_in(key, i), (count, factors)), ((0, 0), (0, 1))
  )
  return Pair(table(0, scale.users), table(1, scale.items))


def alternating(
  scale: Scale, factors: int, penalty: float, *, by_count: bool = True, confidence: float = 0.0
) -> Moving:
  """Alternating least squares: a move solves for all users, then for all items.

  Args:
    scale: of the ratings.
    factors: of a vector.
    penalty: λ.
    by_count: λ times a node's number of ratings (Zhou et al. 2008), rather than λ alone.
    confidence: α of Hu, Koren & Volinsky 2008: who has had what, 1 or 0, with weight 1 + α r, biases none; 0: ratings.
  """
  implicit = confidence > 0

  def half(batch, side, count, other):
    aim = (lambda value, bias: jnp.ones_like(value)) if implicit else lambda value, bias: value - scale.mean - bias
    if implicit:
      # Equation 4: Σ over all others of f fᵀ, and what confidence adds of those that were had; Σ c p f.
      inner, cross, number = normal_equations(batch, side, count, other, aim, lambda value: confidence * value)
      _, own, _ = normal_equations(batch, side, count, other, aim, jnp.ones_like)
      whole = other.at[:, -1].set(0)
      inner, cross = inner.at[:, -1].set(0).at[:, :, -1].set(0) + whole.T @ whole, (cross + own).at[:, -1].set(0)
    else:
      inner, cross, number = normal_equations(batch, side, count, other, aim, jnp.ones_like)
    scaled = penalty * jnp.where(by_count and not implicit, jnp.maximum(number, 1), 1.0)
    ridge = scaled[:, None, None] * jnp.eye(factors + 1)
    return jnp.linalg.solve(inner + ridge, cross[..., None])[..., 0]

  def move(params: Pair, batch, key):
    del key
    users = half(batch, "user", scale.users, params.items)
    items = half(batch, "item", scale.items, users)
    new = Pair(users, items)
    moved = jnp.square(users - params.users).mean() + jnp.square(items - params.items).mean()
    return new, {"moved": Mean.constant(jnp.sqrt(moved)), **_fit(scale, new, batch)}

  def evaluate(params: Pair, batch):
    return errors(scale, affinity(params.users[batch["user"]], params.items[batch["item"]]), batch)

  init = lambda key, batch: _begin(key, scale, factors)
  return Moving(init, move, evaluate, lambda params: (params.users[None], params.items[None], 1))


def _fit(scale: Scale, pair: Pair, batch) -> dict[str, Mean]:
  """The squared error of the ratings learnt from, unclipped."""
  present = batch["user_present"] * batch["mask"][:, None]
  users, items = pair.users[batch["user_target"]][:, None], pair.items[batch["user_other"]]
  error = jnp.square(scale.mean + affinity(users, items) - batch["user_value"])
  return {"squared_error": Mean((present * error).sum(), present.sum())}


@struct.dataclass
class Chain:
  """A Gibbs sampler: where it is, and the samples that it has kept, the latest over the oldest.

  Attributes:
    pair: vectors.
    precision: α of the ratings.
    kept: samples of vectors.
    moves, count: done, and how many samples have been kept.
  """

  pair: Pair
  precision: Float[Array, ""]
  kept: Pair
  moves: Int[Array, ""]
  count: Int[Array, ""]


class Sampling(NamedTuple):
  """Which samples are kept: every `thin`-th after `burn_in` moves, the last `samples` of them."""

  samples: int = 100
  burn_in: int = 20
  thin: int = 1


def bayesian(scale: Scale, factors: int, sampling: Sampling) -> Moving:
  """Bayesian probabilistic matrix factorisation, biases among the numbers of a vector: a move is a sweep.

  Priors as in Salakhutdinov & Mnih 2008, section 3.1: Λ ~ Wishart(1, d), μ | Λ ~ N(0, (2 Λ)⁻¹); and α, which they fix
  to 2, ~ Gamma(1, 1).  Predictions are the mean over the samples that are kept.
  """

  def init(key, batch):
    del batch
    pair = _begin(key, scale, factors)
    kept = jax.tree.map(lambda x: jnp.zeros((sampling.samples, *x.shape)), pair)
    return Chain(pair, jnp.asarray(2.0), kept, jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

  def half(batch, side, own: Vectors, other: Vectors, precision, key):
    mean, inverse = hyper_parameters(jax.random.fold_in(key, 0), own)
    aim = lambda value, bias: value - scale.mean - bias
    inner, cross, _ = normal_equations(batch, side, len(own), other, aim, jnp.ones_like)
    return gaussian_rows(jax.random.fold_in(key, 1), inverse + precision * inner, inverse @ mean + precision * cross)

  def move(params: Chain, batch, key):
    users = half(batch, "user", params.pair.users, params.pair.items, params.precision, jax.random.fold_in(key, 0))
    items = half(batch, "item", params.pair.items, users, params.precision, jax.random.fold_in(key, 1))
    pair = Pair(users, items)
    error = _fit(scale, pair, batch)["squared_error"]
    whole = axes.psum(error)
    shape = 1 + 0.5 * whole.count
    precision = jax.random.gamma(jax.random.fold_in(key, 2), shape) / (1 + 0.5 * whole.total)
    keep = (params.moves >= sampling.burn_in) & ((params.moves - sampling.burn_in) % sampling.thin == 0)
    place = jnp.where(keep, params.count % sampling.samples, sampling.samples)  # beyond the end: nowhere
    kept = jax.tree.map(lambda all, one: all.at[place].set(one, mode="drop"), params.kept, pair)
    new = Chain(pair, precision, kept, params.moves + 1, params.count + keep)
    return new, {"squared_error": error, "precision": Mean.constant(precision)}

  def vectors(params: Chain):
    # Before anything is kept: where the chain is.  Places that nothing has been kept at are zero.
    begun = params.count > 0
    all_of = jax.tree.map(lambda kept, one: jnp.where(begun, kept, one), params.kept, params.pair)
    return all_of.users, all_of.items, jnp.where(begun, jnp.minimum(params.count, sampling.samples), sampling.samples)

  def evaluate(params: Chain, batch):
    users, items, count = vectors(params)
    one = lambda i, total: total + affinity(users[i][batch["user"]], items[i][batch["item"]])
    total = jax.lax.fori_loop(0, sampling.samples, one, jnp.zeros(len(batch["mask"])))
    return errors(scale, total / count, batch)

  return Moving(init, move, evaluate, vectors)


def hyper_parameters(key: Key[Array, ""], rows: Vectors):
  """A draw of (mean, precision) of the rows' normal distribution, given the rows (equation 14)."""
  count, size = rows.shape
  average = rows.mean(0)
  away = rows - average
  strength = 2.0
  scatter = jnp.eye(size) + away.T @ away + strength * count / (strength + count) * jnp.outer(average, average)
  precision = wishart(jax.random.fold_in(key, 0), jnp.linalg.inv((scatter + scatter.T) / 2), float(size + count))
  mean = count * average / (strength + count)
  return gaussian_rows(
    jax.random.fold_in(key, 1), (strength + count) * precision[None], (strength + count) * (precision @ mean)[None]
  )[0], precision


def wishart(key: Key[Array, ""], scale: Float[Array, "n n"], degrees: float) -> Float[Array, "n n"]:
  """A draw of mean `degrees * scale`, by Bartlett's decomposition."""
  size = len(scale)
  chi = 2 * jax.random.gamma(jax.random.fold_in(key, 0), (degrees - jnp.arange(size)) / 2)
  lower = jnp.tril(jax.random.normal(jax.random.fold_in(key, 1), (size, size)), -1) + jnp.diag(jnp.sqrt(chi))
  root = jnp.linalg.cholesky(scale) @ lower
  return root @ root.T


def gaussian_rows(key: Key[Array, ""], precision: Float[Array, "row n n"], linear: Float[Array, "row n"]):
  """A draw of N(Λ⁻¹ b, Λ⁻¹) for each row. [row, n]"""
  factor = jnp.linalg.cholesky(precision)
  noise = jax.random.normal(key, linear.shape)
  solve = lambda matrix, b, trans: jax.scipy.linalg.solve_triangular(matrix, b, lower=True, trans=trans)
  return jax.vmap(lambda matrix, b, e: solve(matrix, solve(matrix, b, 0) + e, 1))(factor, linear, noise)
