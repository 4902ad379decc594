"""Randomness derived from one stored key: `fold_in(fold_in(key, stream), step)`, then the example's place in the batch.

What a function takes as `key` may be an array of keys where it says so: one an example.

Nothing is split and nothing is carried, so there is no key to thread and none to lose.  What is random per example
(dropout, augmentation, latent noise) is keyed by the example's position in the *global* batch, not by the device: the
same seed gives the same run, to rounding, on 1 device and on 1,000.
"""

import zlib
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research import axes


def stream_key(key: Key[Array, "*batch"], stream: str, step=None) -> Key[Array, "*batch"]:
  """The key, or each example's, of a named stream (`'dropout'`, `'augment'`, ...), at a step where one is given."""
  key = fold_in(key, zlib.crc32(stream.encode()) & 0x7FFFFFFF)
  return key if step is None else fold_in(key, step)


def fold_in(key: Key[Array, "*batch"], data) -> Key[Array, "*batch"]:
  """`jax.random.fold_in` of one key, or of each of several."""
  return jax.vmap(fold_in, in_axes=(0, None))(key, data) if key.ndim else jax.random.fold_in(key, data)


def normal(key: Key[Array, "*batch"], shape: Sequence[int], dtype=jnp.float32) -> Float[Array, "batch ..."]:
  """Standard normal numbers [batch, ...]: of one key, or each example's of a key of its own, whatever the batch."""
  if not key.ndim:
    return jax.random.normal(key, shape, dtype)
  return jax.vmap(lambda key: jax.random.normal(key, shape[1:], dtype))(key)


def place_keys(key: Key[Array, ""], places: Int[Array, " batch"] | Int[np.ndarray, " batch"]) -> Key[Array, " batch"]:
  """One key for each example by its place in a set: what is drawn depends on no batch and on no device."""
  return jax.vmap(lambda place: jax.random.fold_in(key, place))(jnp.asarray(places))


def evaluation_keys(places: Int[Array, " batch"], stream: str = "evaluation") -> Key[Array, " batch"]:
  """`place_keys` of a key that is the same in every run, so that what is measured can be compared."""
  return place_keys(stream_key(jax.random.key(0), stream), places)


def example_keys(key: Key[Array, ""], count: int) -> Key[Array, " batch"]:
  """One key for each of this device's `count` examples, by position in the global batch."""
  positions = axes.index() * count + jnp.arange(count)
  return jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)
