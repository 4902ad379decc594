"""Metrics as exact (total, count) pairs: summed over batches and devices, divided once, at the end."""

from collections.abc import Mapping

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float


@struct.dataclass
class Mean:
  """A weighted mean in the making: `total / count`.  `total` may be of any shape, `count` is a scalar."""

  total: Float[Array, "..."]
  count: Float[Array, ""]

  @classmethod
  def of(cls, values: Float[Array, "batch ..."], mask: Float[Array, " batch"] | None = None) -> "Mean":
    """The mean over the leading axis, of those examples whose mask is 1 (all by default)."""
    if mask is None:
      return cls(values.sum(0), jnp.asarray(values.shape[0], jnp.float32))
    weights = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
    # where, not a product: 0 * inf of a padded example would be NaN.
    return cls(jnp.where(weights > 0, values * weights, 0).sum(0), mask.sum())

  @classmethod
  def constant(cls, value) -> "Mean":
    """A quantity that is already a mean, or a sum over devices, such as a norm or a learning rate."""
    return cls(jnp.asarray(value, jnp.float32), jnp.ones(()))

  @classmethod
  def where(cls, counted, value) -> "Mean":
    """`constant` where there was anything to count, else an empty mean, which no value of it can spoil."""
    return cls(jnp.where(counted, value, 0).astype(jnp.float32), jnp.asarray(counted, jnp.float32))

  def __add__(self, other: "Mean") -> "Mean":
    return Mean(self.total + other.total, self.count + other.count)

  def value(self):
    """The mean; NaN where nothing was counted."""
    return self.total / self.count


Metrics = Mapping[str, Mean]
