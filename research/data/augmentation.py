"""Augmentation in JAX, inside the step.

An augmentation is a pure function `(keys, batch) -> batch` with one key for each example.  With keys from
`research.randomness.example_keys` the result is the same however the batch is divided over devices.  Images are
`inputs`, float32 [batch, height, width, channel]; forms are chosen for speed on CPU (times: two cores, in
`tests/data/test_augmentation.py`'s head).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research.data.dataset import Batch
from research.errors import UserError

Augmentation = Callable[[Key[Array, " batch"], Batch], Batch]
Images = Float[Array, "batch height width channel"]


def compose(*augmentations: Augmentation) -> Augmentation:
  """The augmentations one after the other, each with keys of its own."""

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    for position, augmentation in enumerate(augmentations):
      batch = augmentation(_fold(keys, position), batch)
    return batch

  return augment


def random_crop(padding: int, fill: float | tuple | None = 0.0) -> Augmentation:
  """A window of the image's own size, anywhere in the image padded by `padding` pixels on every side (He et al. 2015).

  Args:
    padding: pixels; shifts are uniform over the integers from -padding to padding, on each axis.
    fill: value of the padding, a number or one a channel, in the units of `inputs`; None reflects the image.
  """

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    offsets = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, 2 * padding + 1))(keys)
    return {**batch, "inputs": crop(batch["inputs"], offsets, padding, fill)}

  return augment


def random_flip() -> Augmentation:
  """Left and right exchanged with probability 1/2."""

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    flips = jax.vmap(jax.random.bernoulli)(keys)
    return {**batch, "inputs": flip(batch["inputs"], flips)}

  return augment


def alternating_flip() -> Augmentation:
  """Left and right exchanged in every other epoch: in even ones for half of the examples, in odd ones for the rest.

  So any two epochs in a row show each example both ways, which converges faster than chance (Jordan 2024).  The batch
  needs `index` and `epoch`: `identify=True` where the data set is built.
  """

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    # Fibonacci hashing: a fixed half of the examples, whatever order they are stored in.
    half = (batch["index"].astype(jnp.uint32) * jnp.uint32(2654435769)) >> 31
    return {**batch, "inputs": flip(batch["inputs"], (half + batch["epoch"].astype(jnp.uint32)) % 2 == 1)}

  return augment


def random_affine(
  rotation: float = 0.0,
  translation: float = 0.0,
  scale: tuple[float, float] = (1.0, 1.0),
  fill: float | tuple = 0.0,
  elastic: float = 0.0,
) -> Augmentation:
  """Rotation, scaling about the centre of the image, then translation, each uniform in its range; bilinear.

  Args:
    rotation: the largest angle, in degrees, either way.
    translation: the largest shift along each axis, in pixels (fractions too), either way.
    scale: the least and the largest magnification.
    fill: value outside the image, a number or one a channel, in the units of `inputs`.
    elastic: standard deviation, in pixels, of a smooth displacement of every pixel along each axis (Simard, Steinkraus
      & Platt 2003), sampled together with the rest.
  """
  low = np.array([-np.deg2rad(rotation), -translation, -translation, scale[0]], np.float32)
  high = np.array([np.deg2rad(rotation), translation, translation, scale[1]], np.float32)

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    images = batch["inputs"]
    draws = jax.vmap(lambda key: jax.random.uniform(key, (4,)))(keys) * (high - low) + low
    displacement = elastic * smooth_field(_fold(keys, 1), images.shape[1:3]) if elastic else None
    return {**batch, "inputs": affine(images, draws[:, 0], draws[:, 1:3], draws[:, 3], fill, displacement)}

  return augment


def cutout(size: int, fill: float | tuple = 0.0) -> Augmentation:
  """A square of `size` pixels overwritten with `fill`, about any pixel, so partly outside at times (DeVries 2017)."""

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    height, width = batch["inputs"].shape[1:3]
    centres = jax.vmap(lambda key: jax.random.randint(key, (2,), 0, np.array([height, width])))(keys)
    return {**batch, "inputs": erase(batch["inputs"], centres, size, fill)}

  return augment


def mixup(alpha: float, num_classes: int) -> Augmentation:
  """Convex combinations of two examples and of their labels, with weight ~ Beta(alpha, alpha) (Zhang et al. 2018).

  Partners are neighbours in the batch, examples 2i and 2i + 1, which a shuffled batch pairs at random: no example is
  moved between devices.  `label`, int [batch] or probabilities [batch, class], becomes probabilities [batch, class].

  Raises:
    UserError: an odd number of rows (on each device).
  """

  def augment(keys: Key[Array, " batch"], batch: Batch) -> Batch:
    count = len(batch["inputs"])
    if count % 2:
      raise UserError("rows of a batch on each device", count, "mixup pairs neighbours: give an even number.")
    weights = jax.vmap(lambda key: jax.random.beta(key, alpha, alpha))(keys[::2])
    label = batch["label"]
    label = jax.nn.one_hot(label, num_classes) if label.ndim == 1 else label
    return {**batch, "inputs": mix(batch["inputs"], weights), "label": mix(label, weights)}

  return augment


def crop(images: Images, offsets: Int[Array, "batch 2"], padding: int, fill: float | tuple | None = 0.0) -> Images:
  """The windows at `offsets` (0 to 2 * padding; `padding` is the image itself) of the padded images."""
  padded = _pad(images, (padding, padding), fill)
  size = images.shape[1:]
  return jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), size))(padded, offsets)


def flip(images: Images, flips: Array) -> Images:
  """Left and right exchanged where `flips` [batch] is true."""
  return jnp.where(flips[:, None, None, None], images[:, :, ::-1], images)


def affine(
  images: Images,
  angle: Float[Array, " batch"],
  shift: Float[Array, "batch 2"],
  scale: Float[Array, " batch"],
  fill: float | tuple = 0.0,
  displacement: Float[Array, "batch 2 height width"] | None = None,
) -> Images:
  """Rotated by `angle` (radians, from the row to the column axis), magnified, shifted by (rows, columns); bilinear.

  `displacement`, (rows, columns) in pixels of the image as it was, is added to where each new pixel comes from.
  Beyond its edge the image is `fill`, and pixels on the edge blend into it (SciPy's mode 'grid-constant', order 1).
  """
  height, width = images.shape[1:3]
  rows, columns = (jnp.arange(n, dtype=jnp.float32) - (n - 1) / 2 for n in (height, width))
  rows = rows[:, None] - shift[:, 0, None, None]
  columns = columns[None, :] - shift[:, 1, None, None]
  cos, sin = (f(angle)[:, None, None] / scale[:, None, None] for f in (jnp.cos, jnp.sin))
  # Where the value of every pixel comes from: the inverse map, in pixels of the image padded by 1 before and 2 after.
  down, right = (0.0, 0.0) if displacement is None else (displacement[:, 0], displacement[:, 1])
  y = jnp.clip(cos * rows + sin * columns + down + (height + 1) / 2, 0, height + 1)
  x = jnp.clip(cos * columns - sin * rows + right + (width + 1) / 2, 0, width + 1)
  top, left = y.astype(jnp.int32), x.astype(jnp.int32)
  y, x = (y - top)[..., None], (x - left)[..., None]
  padded, example = _pad(images, (1, 2), fill), jnp.arange(len(images))[:, None, None]

  def at(down: int, right: int) -> Images:
    return padded.at[example, top + down, left + right].get(mode="promise_in_bounds")

  return (1 - y) * ((1 - x) * at(0, 0) + x * at(0, 1)) + y * ((1 - x) * at(1, 0) + x * at(1, 1))


def smooth_field(
  keys: Key[Array, " batch"], shape: tuple[int, int], smoothness: float = 4.0
) -> Float[Array, "batch 2 height width"]:
  """White noise under a Gaussian of standard deviation `smoothness` pixels: two fields an image, variance 1 everywhere.

  The noise is drawn `smoothness` pixels apart: so wide a Gaussian shows nothing finer.
  """

  def weights(size: int) -> Float[np.ndarray, "pixel node"]:
    nodes = np.arange(-2, np.ceil(size / smoothness) + 3) * smoothness
    kernel = np.exp(-0.5 * np.square((np.arange(size)[:, None] - nodes) / smoothness))
    return np.asarray(kernel / np.linalg.norm(kernel, axis=1, keepdims=True), np.float32)

  rows, columns = weights(shape[0]), weights(shape[1])
  draw = lambda key: jax.random.normal(key, (2, rows.shape[1], columns.shape[1]))
  return jnp.einsum("ia,bcad,jd->bcij", rows, jax.vmap(draw)(keys), columns)


def erase(images: Images, centres: Int[Array, "batch 2"], size: int, fill: float | tuple = 0.0) -> Images:
  """Squares of `size` pixels about `centres` overwritten; an even square reaches one pixel further up and left."""
  first = centres - size // 2

  def within(axis: int) -> Array:
    distance = jnp.arange(images.shape[axis + 1]) - first[:, axis, None]
    return (distance >= 0) & (distance < size)

  inside = within(0)[:, :, None, None] & within(1)[:, None, :, None]
  return jnp.where(inside, jnp.asarray(fill, images.dtype), images)


def mix(values: Float[Array, "batch ..."], weights: Float[Array, " pair"]) -> Float[Array, "batch ..."]:
  """`w a + (1 - w) b` and `w b + (1 - w) a` for each pair of neighbours (a, b)."""
  pairs = values.reshape(-1, 2, *values.shape[1:])
  weights = weights.reshape(-1, *[1] * values.ndim)
  return (weights * pairs + (1 - weights) * pairs[:, ::-1]).reshape(values.shape)


def _fold(keys: Key[Array, " batch"], data: int) -> Key[Array, " batch"]:
  return jax.vmap(lambda key: jax.random.fold_in(key, data))(keys)


def _pad(images: Images, amounts: tuple[int, int], fill: float | tuple | None) -> Images:
  """Both spatial axes padded by `amounts` (before, after) with `fill`, or reflected where it is None."""
  widths = ((0, 0), amounts, amounts, (0, 0))
  if fill is None:
    return jnp.pad(images, widths, mode="reflect")
  if np.ndim(fill) == 0:
    return jnp.pad(images, widths, constant_values=fill)
  background = jnp.asarray(fill, images.dtype)  # one a channel: without it, the image has a background of zero
  return jnp.pad(images - background, widths) + background


def mirrored(images: Images) -> list[Images]:
  """The images, and left and right exchanged."""
  return [images, images[:, :, ::-1]]


def shifted(images: Images) -> list[Images]:
  """The images, and moved one pixel up, down, left and right, with their edges repeated."""
  _, height, width, _ = images.shape
  wide = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
  corners = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
  return [wide[:, top : top + height, left : left + width] for top, left in corners]


VIEWS = {"mirror": mirrored, "shift": shifted}


def test_views(name: str) -> Callable[[Images], list[Images]] | None:
  """What a classifier looks at beside the image itself when it is used; None for nothing, with an empty name.

  Raises:
    UserError: no such views.
  """
  if name and name not in VIEWS:
    raise UserError("config.data.test_views", name, f"choose one of {', '.join(VIEWS)}, or nothing.")
  return VIEWS.get(name)
