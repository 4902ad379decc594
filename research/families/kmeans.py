"""K-means: where mixtures start.  Arthur & Vassilvitskii 2007 (k-means++); Lloyd 1982."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

Points = Float[Array, "batch features"]
Mask = Float[Array, " batch"]
Centres = Float[Array, "components features"]


def plus_plus(key: Key[Array, ""], points: Points, mask: Mask, components: int) -> Centres:
  """Seeds chosen one after the other, each with probability proportional to its squared distance from those before.

  Arthur & Vassilvitskii 2007, section 2.2, in the greedy form of their section 5: of 2 + ⌊ln K⌋ candidates the one that
  leaves the smallest sum of squared distances is taken.  Where fewer distinct points than components are left, points
  are taken twice.

  Args:
    key: of the draws.
    points: the data.
    mask: 0 for points that are not to be chosen, else their weights; not all 0.
    components: number of seeds.
  """
  trials = 2 + int(math.log(components))

  def draw(key, weights, shape):
    weights = jnp.where((weights > 0).any(), weights, mask)
    return jax.random.categorical(key, jnp.log(weights), shape=shape)

  def squared_distances(centre):
    # Differences, not products: the distance of a point that is taken must be exactly 0.
    return jnp.square(points - centre).sum(-1)

  def step(closest, key):
    candidates = draw(key, closest, (trials,))
    after = jnp.minimum(closest, mask * jax.lax.map(squared_distances, points[candidates]))
    best = after.sum(-1).argmin()
    return after[best], candidates[best]

  first = draw(jax.random.fold_in(key, 0), jnp.zeros_like(mask), ())
  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(1, components))
  _, others = jax.lax.scan(step, mask * squared_distances(points[first]), keys)
  return points[jnp.concatenate([first[None], others])]


def assign(points: Points, centres: Centres, active: Bool[Array, " components"]) -> Int[Array, " batch"]:
  """The nearest active centre of every point."""
  distances = jnp.square(centres).sum(-1) - 2 * points @ centres.T
  return jnp.where(active, distances, jnp.inf).argmin(-1)


def lloyd(
  points: Points, mask: Mask, centres: Centres, active: Bool[Array, " components"], iterations: int
) -> tuple[Centres, Int[Array, " batch"]]:
  """Lloyd's algorithm until no point changes its centre, `iterations` times at most; an empty centre stays.

  Args:
    points, mask: as in `plus_plus`.
    centres: the seeds.
    active: which of the centres take part.
    iterations: at most.

  Returns:
    The centres, and the nearest one of every point.
  """
  count = centres.shape[0]

  def wanted(carry):
    i, _, _, changed = carry
    return (i < iterations) & changed

  def iterate(carry):
    i, centres, labels, _ = carry
    weights = jax.nn.one_hot(labels, count, dtype=points.dtype) * mask[:, None]
    sizes = weights.sum(0)[:, None]
    centres = jnp.where(sizes > 0, weights.T @ points / jnp.where(sizes > 0, sizes, 1), centres)
    new = assign(points, centres, active)
    return i + 1, centres, new, (new != labels).any()

  start = jnp.zeros((), jnp.int32), centres, assign(points, centres, active), jnp.asarray(True)
  _, centres, labels, _ = jax.lax.while_loop(wanted, iterate, start)
  return centres, labels
