"""Randomness derived from one stored key: `fold_in(fold_in(key, stream), step)`, then the example's place in the batch.

Nothing is split and nothing is carried, so there is no key to thread and none to lose.  What is random per example
(dropout, augmentation, latent noise) is keyed by the example's position in the *global* batch, not by the device: the
same seed gives the same run, to rounding, on 1 device and on 1,000.
"""

import zlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from research import axes


def stream_key(key: Key[Array, ""], stream: str, step=None) -> Key[Array, ""]:
  """The key of a named stream (`'dropout'`, `'augment'`, ...), at a step where one is given."""
  key = jax.random.fold_in(key, zlib.crc32(stream.encode()) & 0x7FFFFFFF)
  return key if step is None else jax.random.fold_in(key, step)


def example_keys(key: Key[Array, ""], count: int) -> Key[Array, " batch"]:
  """One key for each of this device's `count` examples, by position in the global batch."""
  positions = axes.index() * count + jnp.arange(count)
  return jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)
