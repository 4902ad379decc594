"""Differentiable augmentation of what a discriminator is shown, real and made alike (Zhao et al. 2020, section 3.3).

Each transformation is `transform(keys, images) -> images` with one key an example, and has a gradient to the images, so
that the generator learns through it.  Images are in [-1, 1].
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research.errors import UserError

Images = Float[Array, "batch height width channel"]
Image = Float[Array, "height width channel"]


def brightness(key: Key[Array, ""], x: Image) -> Image:
  """Adds a number uniform in [-0.5, 0.5] to every pixel."""
  return x + jax.random.uniform(key, (), x.dtype, -0.5, 0.5)


def saturation(key: Key[Array, ""], x: Image) -> Image:
  """Scales the distance of every pixel's channels from their mean by a number uniform in [0, 2]."""
  grey = x.mean(-1, keepdims=True)
  return grey + (x - grey) * jax.random.uniform(key, (), x.dtype, 0.0, 2.0)


def contrast(key: Key[Array, ""], x: Image) -> Image:
  """Scales the distance of every pixel from the image's mean by a number uniform in [0.5, 1.5]."""
  mean = x.mean()
  return mean + (x - mean) * jax.random.uniform(key, (), x.dtype, 0.5, 1.5)


def translation(key: Key[Array, ""], x: Image, ratio: float = 0.125, fill: float = 0.0) -> Image:
  """Shifts the image by whole pixels, up to `ratio` of its sides, and fills what comes into view."""
  most = [int(side * ratio + 0.5) for side in x.shape[:2]]
  rows, columns = (
    jax.random.randint(jax.random.fold_in(key, axis), (), 0, 2 * limit + 1) for axis, limit in enumerate(most)
  )
  padded = jnp.pad(x, ((most[0],) * 2, (most[1],) * 2, (0, 0)), constant_values=fill)
  return jax.lax.dynamic_slice(padded, (rows, columns, 0), x.shape)


def cutout(key: Key[Array, ""], x: Image, ratio: float = 0.5, fill: float = 0.0) -> Image:
  """Fills a rectangle of `ratio` of the sides, whose centre may be anywhere in the image."""
  inside = []
  for axis, side in enumerate(x.shape[:2]):
    size = int(side * ratio + 0.5)
    centre = jax.random.randint(jax.random.fold_in(key, axis), (), 0, side + (1 - size % 2))
    distance = jnp.arange(side) - (centre - size // 2)
    inside.append((distance >= 0) & (distance < size))
  return jnp.where((inside[0][:, None] & inside[1])[..., None], jnp.asarray(fill, x.dtype), x)


_POLICIES = {"color": (brightness, saturation, contrast), "translation": (translation,), "cutout": (cutout,)}


def policy(names: Sequence[str]) -> Callable[[Key[Array, " batch"], Images], Images] | None:
  """The transformations of the policies named, one after the other, each with randomness of its own; None for none.

  Args:
    names: of `color` (brightness, saturation, contrast), `translation` and `cutout`.

  Raises:
    UserError: there is no such policy.
  """
  for name in names:
    if name not in _POLICIES:
      raise UserError("config.model.augment", name, f"choose from {', '.join(_POLICIES)}.")
  transforms = [transform for name in names for transform in _POLICIES[name]]
  if not transforms:
    return None

  def one(key, x):
    for i, transform in enumerate(transforms):
      x = transform(jax.random.fold_in(key, i), x)
    return x

  return jax.vmap(one)
