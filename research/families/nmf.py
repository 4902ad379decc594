"""Non-negative matrix factorisation, X ≈ W H (Lee & Seung 1999, 2001): parts that add up.

The rows of W are of the examples and are inferred for each; H, the parts, is what is learnt, from sums over examples,
so that examples may come in batches and from several devices (Mairal et al. 2010).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float

from research.metrics import Mean

FROBENIUS, KULLBACK_LEIBLER = "frobenius", "kullback_leibler"
DEFINITIONS = {
  "divergence": "of an example from its reconstruction: half the squared distance (frobenius), or Σ x log(x/y) - x + y",
  "relative_error": "squared distance of examples from their reconstructions over the examples' squares",
}
_TINY = 1e-12
Rows = Float[Array, "row feature"]


@struct.dataclass
class Sums:
  """Over examples: of Frobenius Wᵀ W and Wᵀ X; of Kullback-Leibler Σ w, as a diagonal, and H ∘ Wᵀ (X / W H)."""

  inner: Float[Array, "part part"]
  cross: Float[Array, "part feature"]


def non_negative_least_squares(inner: Float[Array, "part part"], cross: Float[Array, "row part"], start, steps: int):
  """argmin over W ≥ 0 of ½ tr(W A Wᵀ) - tr(W Bᵀ), [row, part], by accelerated projections (Beck & Teboulle 2009).

  Momentum is dropped where it leads uphill (O'Donoghue & Candès 2015).
  """
  rate = 1 / (jnp.linalg.eigvalsh(inner)[-1] + _TINY)

  def step(_, carry):
    iterate, ahead, pace = carry
    new = jnp.maximum(ahead - rate * (ahead @ inner - cross), 0)
    uphill = ((ahead - new) * (new - iterate)).sum() > 0
    after = jnp.where(uphill, 1.0, 0.5 * (1 + jnp.sqrt(1 + 4 * pace**2)))
    return new, new + jnp.where(uphill, 0.0, (pace - 1) / after) * (new - iterate), after

  return jax.lax.fori_loop(0, steps, step, (start, start, jnp.ones((), start.dtype)))[0]


def codes(parts: Float[Array, "part feature"], rows: Rows, loss: str = FROBENIUS, steps: int = 100):
  """W of given examples, from an equal share of all parts. [row, part]"""
  size = jnp.sqrt(jnp.square(rows).sum(-1, keepdims=True) / (jnp.square(parts.sum(0)).sum() + _TINY))
  start = jnp.broadcast_to(size, (len(rows), len(parts))).astype(rows.dtype)
  if loss == FROBENIUS:
    return non_negative_least_squares(parts @ parts.T, rows @ parts.T, start, steps)
  total = parts.sum(1) + _TINY
  step = lambda _, code: code * ((rows / (code @ parts + _TINY)) @ parts.T) / total
  return jax.lax.fori_loop(0, steps, step, start)


def divergence(rows: Rows, again: Rows, loss: str = FROBENIUS) -> Float[Array, " row"]:
  """Of each example from its reconstruction."""
  if loss == FROBENIUS:
    return 0.5 * jnp.square(rows - again).sum(-1)
  return (jax.scipy.special.xlogy(rows, rows / (again + _TINY)) - rows + again).sum(-1)


class NMF(NamedTuple):
  """What `statistics.statistics_learner` asks of a family."""

  init: Any
  expect: Any
  maximise: Any
  evaluate: Any


def nmf(parts: int, loss: str = FROBENIUS, steps: int = 100) -> NMF:
  """The family; a batch has `inputs`, not negative, and `mask`.

  Args:
    parts: of the factorisation.
    loss: frobenius or kullback_leibler.
    steps: of the inference of an example, and of least squares for the parts.
  """

  def init(key, batch):
    rows, mask = batch["inputs"], batch["mask"][:, None]
    level = jnp.sqrt((mask * rows).sum() / mask.sum() / rows.shape[1] / parts)
    return level * jnp.abs(jax.random.normal(key, (parts, rows.shape[1]), rows.dtype))

  def expect(components, batch, key):
    del key
    rows, mask = batch["inputs"], batch["mask"][:, None]
    shares = codes(components, rows, loss, steps) * mask
    again = shares @ components
    metrics = {"divergence": Mean.of(divergence(rows, again, loss), batch["mask"])}
    if loss == FROBENIUS:
      return Sums(shares.T @ shares, shares.T @ (mask * rows)), metrics
    return Sums(jnp.diag(shares.sum(0)), components * (shares.T @ (mask * rows / (again + _TINY)))), metrics

  def maximise(components, sums: Sums):
    if loss == KULLBACK_LEIBLER:
      return sums.cross / (jnp.diag(sums.inner)[:, None] + _TINY)
    return non_negative_least_squares(sums.inner, sums.cross.T, components.T, steps).T

  def evaluate(components, batch):
    rows, mask = batch["inputs"], batch["mask"]
    again = codes(components, rows, loss, steps) @ components
    error = (mask * jnp.square(rows - again).sum(-1)).sum()
    return {
      "divergence": Mean.of(divergence(rows, again, loss), mask),
      "relative_error": Mean(error, (mask * jnp.square(rows).sum(-1)).sum()),
    }

  return NMF(init, expect, maximise, evaluate)
