"""Examples that are drawn, not stored: each a function of (seed, place), made on the device inside the step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, UInt8

from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError


def dataset(
  title: str,
  resident: Mapping[str, np.ndarray],
  draw: Callable[[Any, Key[Array, ""]], dict[str, Any]],
  batch_size: int,
  *,
  stream: Key[Array, ""],
  count: int = 0,
) -> Dataset:
  """`count` examples in order, the last batch padded; 0 is one after another, no end.

  A batch has what is drawn with a leading axis, `index` and `mask`.

  Args:
    title: for messages.
    resident: what examples are drawn from, by every device held.
    draw: `draw(resident, key) -> fields` of one example.
    batch_size: rows of a batch.
    stream: the example at a place has the key of that place in it.
    count: for evaluation.
  """

  def feed(step: int) -> dict[str, np.ndarray]:
    if count:
      return pipeline.in_order(count, step * batch_size, batch_size)
    # Beyond 2^31 examples the count begins anew.
    return {"index": ((step * batch_size + np.arange(batch_size)) % 2**31).astype(np.int32)}

  def assemble(resident, fed):
    fields = jax.vmap(lambda key: draw(resident, key))(randomness.place_keys(stream, fed["index"]))
    return {**fields, "index": fed["index"], "mask": fed.get("mask", jnp.ones(fed["index"].shape, jnp.float32))}

  return Dataset(title, dict(resident), feed, assemble, batch_size, count)


def stream_of(seed: int, name: str) -> Key[Array, ""]:
  """Of a set: those of another seed or name draw others."""
  return randomness.stream_key(jax.random.key(seed), name)


def grey(examples: Examples, what: str) -> UInt8[np.ndarray, "example height width"]:
  """The pictures of a set of grey images of bytes, from which `what` is drawn.

  Raises:
    UserError: they are no such images.
  """
  images = examples.inputs
  if images.ndim != 4 or images.shape[-1] != 1 or images.dtype != np.uint8:
    raise UserError("config.data.name", examples.name, f"{what} are of grey images: name one of digits, mnist.")
  return np.asarray(images[..., 0])


def shades(resident: Mapping[str, Any]) -> Array:
  """The resident pictures, 0 to 1."""
  return resident["pictures"].astype(jnp.float32) / 255
