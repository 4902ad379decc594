"""Augmentation against SciPy and against its own invariances.

Measured on two cores, keys included: 128 images of 28x28x1: affine 0.6 ms, elastic 2.6, crop 0.3, flip 0.1, cutout
0.3, mixup 0.3; 512 of 32x32x3: crop and flip 1.0 ms, reflecting crop 2.3, affine 7.6, cutout 0.7, mixup 1.1.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

from research import axes, randomness
from research.data import augmentation
from research.errors import UserError

# Compiled: run operation by operation, every operation is a program to compile.
affine = jax.jit(augmentation.affine, static_argnums=4)
crop = jax.jit(augmentation.crop, static_argnums=(2, 3))


def make_images(count=8, size=9, channels=2):
  return np.random.default_rng(0).random((count, size, size + 2, channels), np.float32)


def make_batch(count=8):
  return {"inputs": make_images(count), "label": jnp.arange(count) % 3, "mask": jnp.ones(count)}


AUGMENTATIONS = {
  "crop": augmentation.random_crop(3),
  "reflect": augmentation.random_crop(3, fill=None),
  "flip": augmentation.random_flip(),
  "affine": augmentation.random_affine(20, 2, (0.8, 1.2)),
  "elastic": augmentation.random_affine(elastic=1.5),
  "cutout": augmentation.cutout(4),
  "mixup": augmentation.mixup(0.4, 3),
}
AUGMENTATIONS["compose"] = augmentation.compose(*(AUGMENTATIONS[name] for name in ("crop", "flip", "cutout")))


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
def test_same_however_the_batch_is_divided(augment):
  """Half batches over the named axis give the whole batch's result; another key gives another."""
  key, batch = jax.random.key(0), make_batch()
  run = jax.jit(lambda key, batch: augment(randomness.example_keys(key, len(batch["mask"])), batch))
  whole = run(key, batch)
  halves = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), batch)
  divided = lambda b: augment(randomness.example_keys(key, 4), b)
  mapped = jax.jit(jax.vmap(divided, axis_name=axes.AXIS))(halves)
  mapped = jax.tree.map(lambda x: x.reshape(8, *x.shape[2:]), mapped)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), whole, mapped)
  other = run(jax.random.key(1), batch)
  assert np.abs(whole["inputs"] - other["inputs"]).max() > 0.01
  assert whole["inputs"].shape == batch["inputs"].shape
  assert whole["inputs"].dtype == jnp.float32


def test_composed_parts_have_keys_of_their_own():
  twice = augmentation.compose(augmentation.random_flip(), augmentation.random_flip())
  images = make_images(64)
  changed = np.abs(twice(randomness.example_keys(jax.random.key(0), 64), {"inputs": images})["inputs"] - images)
  assert 16 < (changed.max((1, 2, 3)) > 0).sum() < 48  # with equal keys the flips would cancel


def test_identity():
  images = make_images()
  zero, one = np.zeros(8, np.float32), np.ones(8, np.float32)
  np.testing.assert_allclose(affine(images, zero, np.zeros((8, 2), np.float32), one), images, atol=1e-5)
  np.testing.assert_array_equal(crop(images, np.full((8, 2), 3), 3, 0.0), images)
  none = jax.jit(augmentation.random_crop(0))
  np.testing.assert_array_equal(none(jax.random.split(jax.random.key(0), 8), {"inputs": images})["inputs"], images)


@pytest.mark.parametrize("fill", [0.0, 0.5, (0.2, 0.9)])
@pytest.mark.parametrize(("angle", "shift", "scale"), [(0.4, (1.3, -0.7), 1.2), (-1.2, (0, 2.5), 0.7), (0, (40, 0), 1)])
def test_affine_is_scipys(angle, shift, scale, fill):
  images = make_images(2)
  full = lambda value: np.full(2, value, np.float32)
  ours = np.asarray(affine(images, full(angle), np.asarray([shift] * 2, np.float32), full(scale), fill))
  matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
  centre = (np.array(images.shape[1:3]) - 1) / 2
  offset = centre - matrix @ (centre + shift)
  for i in range(2):
    for channel, value in enumerate(np.broadcast_to(fill, 2)):
      image = np.asarray(images[i, ..., channel])
      theirs = scipy.ndimage.affine_transform(image, matrix, offset, order=1, mode="grid-constant", cval=value)
      np.testing.assert_allclose(ours[i, ..., channel], theirs, atol=2e-5)


def test_displacement_is_scipys_map():
  """Every pixel from another place: a displacement on top of a rotation and a shift."""
  images, rng = make_images(2), np.random.default_rng(1)
  displacement = rng.normal(0, 2, (2, 2, *images.shape[1:3])).astype(np.float32)
  full = lambda value: np.full(2, value, np.float32)
  ours = np.asarray(affine(images, full(0.4), np.zeros((2, 2), np.float32), full(1.0), 0.3, displacement))
  centre = (np.array(images.shape[1:3])[:, None, None] - 1) / 2
  matrix = np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
  places = np.einsum("ij,jhw->ihw", matrix, np.indices(images.shape[1:3]) - centre) + centre
  for i in range(2):
    for channel in range(2):
      image = np.asarray(images[i, ..., channel])
      theirs = scipy.ndimage.map_coordinates(image, places + displacement[i], order=1, mode="grid-constant", cval=0.3)
      np.testing.assert_allclose(ours[i, ..., channel], theirs, atol=2e-5)


def test_smooth_field_has_unit_variance_and_a_gaussian_correlation():
  """Noise under a Gaussian of width s is correlated as exp(-d^2 / 4 s^2) at distance d; everywhere, edges too."""
  field = np.asarray(augmentation.smooth_field(jax.random.split(jax.random.key(0), 8000), (12, 9), 3.0))
  np.testing.assert_allclose(field.mean(0), 0, atol=0.06)
  np.testing.assert_allclose(field.var(0), 1, atol=0.08)
  for distance in (1, 3, 6):
    found = (field[:, :, distance:] * field[:, :, :-distance]).mean(0)
    np.testing.assert_allclose(found, np.exp(-(distance**2) / 36), atol=0.08)
  np.testing.assert_allclose((field[:, 0] * field[:, 1]).mean(0), 0, atol=0.06)


def test_whole_translations_are_rolls_with_zeros():
  images = make_images(1)
  shifted = affine(images, np.zeros(1, np.float32), np.array([[2, -3]], np.float32), np.ones(1, np.float32))
  expected = np.roll(images, (2, -3), (1, 2))
  expected[:, :2], expected[:, :, -3:] = 0, 0
  np.testing.assert_allclose(shifted, expected, atol=1e-5)
  np.testing.assert_array_equal(
    crop(images, np.array([[1, 6]]), 3, 0.0), scipy.ndimage.shift(images, (0, 2, -3, 0), order=0)
  )


@pytest.mark.parametrize(("fill", "mode"), [(None, "mirror"), (0.3, "constant")])
def test_crop_is_scipys_shift(fill, mode):
  images, offsets = make_images(5), np.array([[0, 0], [6, 6], [1, 5], [3, 3], [4, 0]])
  ours = np.asarray(crop(images, offsets, 3, fill))
  for image, offset, result in zip(images, offsets, ours, strict=True):
    theirs = scipy.ndimage.shift(image, (*(3 - offset), 0), order=0, mode=mode, cval=fill or 0)
    np.testing.assert_allclose(result, theirs, atol=1e-6)


def test_crop_offsets_are_uniform():
  ramp = jnp.broadcast_to(jnp.arange(1.0, 10)[:, None, None], (2000, 9, 9, 1))
  keys = jax.random.split(jax.random.key(0), 2000)
  rows = augmentation.random_crop(2)(keys, {"inputs": ramp})["inputs"][:, 4, 4, 0]
  counts = np.bincount(np.asarray(rows, int), minlength=10)[3:8]
  assert counts.sum() == 2000
  assert ((counts - 400) ** 2 / 400).sum() < 4 + 6 * np.sqrt(8)


def test_flip_is_an_involution():
  images, flips = make_images(), jnp.arange(8) % 2 == 0
  once = augmentation.flip(images, flips)
  np.testing.assert_array_equal(once[0], images[0, :, ::-1])
  np.testing.assert_array_equal(once[1], images[1])
  np.testing.assert_array_equal(augmentation.flip(once, flips), images)


def test_alternating_flip():
  images = jnp.broadcast_to(jnp.arange(4.0)[:, None], (1000, 1, 4, 1))
  keys = jax.random.split(jax.random.key(0), 1000)
  augment = augmentation.alternating_flip()
  run = lambda epoch: augment(keys, {"inputs": images, "index": jnp.arange(1000), "epoch": jnp.full(1000, epoch)})
  first, second, third = (np.asarray(run(epoch)["inputs"][:, 0, 0, 0]) for epoch in range(3))
  np.testing.assert_array_equal(first + second, 3)  # every example both ways in two epochs
  np.testing.assert_array_equal(first, third)
  assert 450 < (first == 0).sum() < 550


@pytest.mark.parametrize("size", [1, 3, 4])
def test_cutout_area(size):
  ones = jnp.ones((3, 9, 11, 2))
  inside = augmentation.erase(ones, jnp.array([[4, 5], [0, 0], [8, 10]]), size)
  erased = (inside == 0).sum((1, 2, 3)) / 2
  before, after = size // 2, size - size // 2  # rows up to the centre, and from it
  np.testing.assert_array_equal(erased, [size**2, after**2, min(1 + before, size) ** 2])


def test_mixup():
  batch = make_batch()
  keys = randomness.example_keys(jax.random.key(0), 8)
  augment = jax.jit(augmentation.mixup(0.4, 3))
  mixed = augment(keys, batch)
  np.testing.assert_allclose(mixed["label"].sum(1), 1, atol=1e-6)
  x, y = mixed["inputs"], batch["inputs"]
  np.testing.assert_allclose(x[::2] + x[1::2], y[::2] + y[1::2], atol=1e-6)  # the partners' weights sum to 1
  weight = mixed["label"][0, 0]  # example 0 has class 0, its partner class 1
  np.testing.assert_allclose(x[0], weight * y[0] + (1 - weight) * y[1], atol=1e-6)
  again = augment(keys, {**batch, "label": jax.nn.one_hot(batch["label"], 3)})
  np.testing.assert_allclose(again["label"], mixed["label"])


def test_mixup_weights_are_beta():
  batch = {
    "inputs": jnp.tile(jnp.array([1.0, 0.0])[:, None, None, None], (2000, 1, 1, 1)),
    "label": jnp.zeros(4000, int),
  }
  weights = jax.jit(augmentation.mixup(0.5, 2))(jax.random.split(jax.random.key(0), 4000), batch)["inputs"][::2].ravel()
  assert scipy.stats.kstest(np.asarray(weights), scipy.stats.beta(0.5, 0.5).cdf).pvalue > 1e-3


def test_mixup_needs_pairs():
  with pytest.raises(UserError, match="even"):
    augmentation.mixup(0.4, 3)(randomness.example_keys(jax.random.key(0), 3), make_batch(3))


def test_views_are_the_image_and_its_neighbours():
  """A dot off the edges moves to its four neighbours; what leaves an edge is gone and the edge itself is repeated."""
  dot = np.zeros((1, 5, 6, 1), np.float32)
  dot[0, 2, 3, 0] = 1
  places = [tuple(map(int, np.argwhere(view[0, :, :, 0])[0])) for view in augmentation.test_views("shift")(dot)]
  assert places[0] == (2, 3)
  assert set(places[1:]) == {(1, 3), (3, 3), (2, 2), (2, 4)}
  image = np.arange(30, dtype=np.float32).reshape(1, 5, 6, 1)
  up = augmentation.test_views("shift")(image)[1]
  np.testing.assert_array_equal(up[0, :, :, 0], image[0, [1, 2, 3, 4, 4], :, 0])
  same, mirror = augmentation.test_views("mirror")(image)
  np.testing.assert_array_equal(same, image)
  np.testing.assert_array_equal(mirror[0, :, :, 0], np.fliplr(image[0, :, :, 0]))
  assert augmentation.test_views("") is None


def test_unknown_views_are_refused():
  with pytest.raises(UserError, match=r"test_views.*mirror, shift"):
    augmentation.test_views("rotate")
