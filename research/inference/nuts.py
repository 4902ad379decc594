"""The No-U-Turn sampler as one flat loop over leapfrog steps, so that chains side by side wait for each other least.

Hoffman & Gelman 2014; multinomial choice and the criterion on sums of momenta: Betancourt 2017, appendix A; a tree
without recursion: Phan, Pradhan & Jankowiak 2019, appendix A (arXiv 1912.11554).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from research.inference import kernels
from research.inference.kernels import Chain, Info, Kernel, Phase, Scalar, Tuning, Vector, choose
from research.inference.model import Target


class Tree(NamedTuple):
  """A trajectory that doubles, and the half being built beside it.

  Attributes:
    left, right: its ends.
    chosen, weight, total: the point chosen of it, the log of its summed weights, its summed momenta.
    depth: doublings that are complete.
    turning, divergent: why it stops.
    rightwards, leaf: which way the new half grows, and how many points it has.
    new, new_weight, new_total: of the new half, as of the whole.
    momenta, totals: at the points that open the sub-trees which the new half has yet to close [depth, size].
    acceptance, leaves: summed acceptance probabilities, and points that were computed.
  """

  left: Phase
  right: Phase
  chosen: Chain
  weight: Scalar
  total: Vector
  depth: Int[Array, ""]
  turning: Bool[Array, ""]
  divergent: Bool[Array, ""]
  rightwards: Bool[Array, ""]
  leaf: Int[Array, ""]
  new: Chain
  new_weight: Scalar
  new_total: Vector
  momenta: Float[Array, "depth size"]
  totals: Float[Array, "depth size"]
  acceptance: Scalar
  leaves: Int[Array, ""]


def is_turning(tuning: Tuning, first: Vector, last: Vector, total: Vector) -> Bool[Array, ""]:
  """Whether a trajectory's ends, of momenta `first` and `last`, close in on one another; ends count half in the sum."""
  path = kernels.times(tuning.inverse_mass, total - 0.5 * (first + last))
  return (jnp.vdot(first, path) <= 0) | (jnp.vdot(last, path) <= 0)


def nuts(target: Target, max_depth: int = 10, acceptance: float = 0.8) -> Kernel:
  """The No-U-Turn sampler.

  Args:
    target: the density.
    max_depth: doublings of a trajectory at most.
    acceptance: to adapt to.
  """

  def step(key, chain, tuning):
    momentum = kernels.fresh_momentum(jax.random.fold_in(key, 0), chain.position, tuning)
    energy = kernels.kinetic(tuning, momentum) - chain.log_density
    noise = jax.random.fold_in(key, 1)

    def grow(tree):
      draws = jax.random.uniform(jax.random.fold_in(noise, tree.leaves), (3,), momentum.dtype)
      tree = _leaf(target, tuning, energy, tree, draws)
      return _join(tuning, tree, draws[2])

    def growing(tree):
      return ~(tree.turning | tree.divergent) & (tree.depth < max_depth)

    tree = jax.lax.while_loop(growing, grow, _seed(chain, momentum, max_depth))
    return tree.chosen, Info(tree.acceptance / tree.leaves, tree.leaves, tree.divergent, energy)

  return Kernel(kernels.starter(target), step, acceptance)


def _seed(chain: Chain, momentum: Vector, max_depth: int) -> Tree:
  """A trajectory of one point, of weight 1."""
  end = Phase(chain.position, momentum, chain.gradient)
  zero, never, count = jnp.zeros((), momentum.dtype), jnp.asarray(False), jnp.int32(0)
  open_ = jnp.zeros((max_depth, momentum.size), momentum.dtype)
  return Tree(
    left=end,
    right=end,
    chosen=chain,
    weight=zero,
    total=momentum,
    depth=count,
    turning=never,
    divergent=never,
    rightwards=never,
    leaf=count,
    new=chain,
    new_weight=zero - jnp.inf,
    new_total=jnp.zeros_like(momentum),
    momenta=open_,
    totals=open_,
    acceptance=zero,
    leaves=count,
  )


def _leaf(target: Target, tuning: Tuning, energy: Scalar, tree: Tree, draws: Float[Array, " 3"]) -> Tree:
  """One point more in the new half; it stops where a sub-tree that the point closes has turned, or energy is lost."""
  rightwards = jnp.where(tree.leaf == 0, draws[0] < 0.5, tree.rightwards)
  step = jnp.where(rightwards, tuning.step_size, -tuning.step_size)
  end, log_density = kernels.leapfrog(target, tuning, step, choose(rightwards, tree.right, tree.left))
  gain = energy + log_density - kernels.kinetic(tuning, end.momentum)
  gain = jnp.where(jnp.isnan(gain), -jnp.inf, gain)
  weight = jnp.logaddexp(tree.new_weight, gain)
  chosen = jnp.log(draws[1]) < gain - weight
  total = tree.new_total + end.momentum
  momenta, totals, turning = _close(tuning, tree, end.momentum, total)
  return tree._replace(
    left=choose(rightwards, tree.left, end),
    right=choose(rightwards, end, tree.right),
    rightwards=rightwards,
    new=choose(chosen, Chain(end.position, log_density, end.gradient), tree.new),
    new_weight=weight,
    new_total=total,
    momenta=momenta,
    totals=totals,
    turning=turning,
    divergent=-gain > kernels.DIVERGENCE,
    leaf=tree.leaf + 1,
    leaves=tree.leaves + 1,
    acceptance=tree.acceptance + jnp.exp(jnp.minimum(gain, 0)),
  )


def _close(tuning: Tuning, tree: Tree, momentum: Vector, total: Vector):
  """Notes a point of even number, which opens sub-trees; at one of odd number looks whether those it closes turn.

  Point n opens sub-trees at the place of the ones in n / 2, and closes as many as it has ones at its end.
  """
  leaf = tree.leaf
  place = jax.lax.population_count(leaf >> 1)
  ends = jax.lax.population_count(leaf & ~(leaf + 1))  # ones at the end of the binary number
  slots = jnp.arange(len(tree.momenta))
  noted = ((slots == place) & (leaf % 2 == 0))[:, None]
  momenta, totals = jnp.where(noted, momentum, tree.momenta), jnp.where(noted, total, tree.totals)
  closed = (slots <= place) & (slots > place - ends)
  between = total - totals + momenta
  turned = jax.vmap(lambda first, total: is_turning(tuning, first, momentum, total))(momenta, between)
  return momenta, totals, (turned & closed).any()


def _join(tuning: Tuning, tree: Tree, draw: Scalar) -> Tree:
  """Takes the new half in, where it is complete: its point with probability min(1, its weight over the old one's)."""
  complete = (tree.leaf == 1 << tree.depth) & ~tree.turning & ~tree.divergent
  chosen = complete & (jnp.log(draw) < tree.new_weight - tree.weight)
  total = tree.total + tree.new_total
  joined = tree._replace(
    chosen=choose(chosen, tree.new, tree.chosen),
    weight=jnp.logaddexp(tree.weight, tree.new_weight),
    total=total,
    depth=tree.depth + 1,
    turning=is_turning(tuning, tree.left.momentum, tree.right.momentum, total),
    leaf=jnp.zeros_like(tree.leaf),
    new_weight=jnp.full_like(tree.weight, -jnp.inf),
    new_total=jnp.zeros_like(total),
  )
  return choose(complete, joined, tree)
