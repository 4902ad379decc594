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
  uniform = jax.random.uniform(key, (components, trials), points.dtype)

  def step(closest, uniform):
    first = jnp.isinf(closest[0])
    candidates = _drawn(uniform, jnp.where(first | ~(closest > 0).any(), mask, closest))
    # Differences, not products: the distance of a point that is taken must be exactly 0.
    distances = jax.lax.map(lambda centre: jnp.square(points - centre).sum(-1), points[candidates])
    after = jnp.minimum(closest, mask * distances)
    best = jnp.where(first, 0, after.sum(-1).argmin())
    return after[best], candidates[best]

  _, chosen = jax.lax.scan(step, jnp.full(len(points), jnp.inf, points.dtype), uniform)
  return points[chosen]


def _drawn(uniform: Float[Array, " trials"], weights: Mask) -> Int[Array, " trials"]:
  """Indices with probability proportional to their weights, by the inverse of their cumulative sum."""
  cumulative = jnp.cumsum(weights)
  last = jnp.searchsorted(cumulative, cumulative[-1])  # the last that has a weight: a draw may round up to the total
  return jnp.minimum(jnp.searchsorted(cumulative, uniform * cumulative[-1], side="right"), last)


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
