"""Differentiable augmentation: the transformations by hand, their gradients, and one distribution for real and made."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.families import diffaugment

KEYS = jax.random.split(jax.random.key(0), 400)
IMAGE = jnp.asarray(np.random.default_rng(0).uniform(-1, 1, (8, 8, 3)), jnp.float32)


def many(transform, image=IMAGE):
  return np.asarray(jax.jit(jax.vmap(lambda key: transform(key, image)))(KEYS))


def test_brightness_adds_one_number_an_image():
  added = many(diffaugment.brightness) - np.asarray(IMAGE)
  np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], added.shape), atol=1e-6)
  np.testing.assert_allclose([added.min(), added.max()], [-0.5, 0.5], atol=0.02)


def test_saturation_and_contrast_keep_their_means():
  np.testing.assert_allclose(
    many(diffaugment.saturation).mean(-1), np.asarray(IMAGE).mean(-1)[None].repeat(400, 0), atol=1e-6
  )
  contrasted = many(diffaugment.contrast)
  np.testing.assert_allclose(contrasted.mean((1, 2, 3)), float(IMAGE.mean()), atol=1e-6)
  spread = contrasted.std((1, 2, 3)) / float(IMAGE.std())
  np.testing.assert_allclose([spread.min(), spread.max()], [0.5, 1.5], atol=0.02)


def test_translation_shifts_by_up_to_an_eighth_and_fills():
  image = np.arange(64, dtype=np.float32).reshape(8, 8, 1) + 1
  found = {shifted.tobytes() for shifted in many(diffaugment.translation, jnp.asarray(image))}
  padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
  expected = {padded[i : i + 8, j : j + 8].tobytes() for i in range(3) for j in range(3)}
  assert found == expected


def test_cutout_fills_half_by_half_wherever_its_centre_falls():
  kept = many(functools.partial(diffaugment.cutout, fill=7.0), jnp.zeros((8, 8, 1)))[..., 0] == 7
  rows, columns = kept.any(2), kept.any(1)
  np.testing.assert_array_equal(kept, rows[:, :, None] & columns[:, None, :])
  assert rows.sum(1).max() == columns.sum(1).max() == 4
  assert rows.sum(1).min() == 2, "at the border half of it is outside"
  assert (kept.mean(0) > 0).all(), "no pixel is spared for good"


@pytest.mark.parametrize("name", ["color", "translation", "cutout"])
def test_there_is_a_gradient_to_the_image(name):
  """That of a linear map, by differences: the transformations are linear in the image, up to a constant."""
  augment = diffaugment.policy((name,))
  x, direction = jnp.stack([IMAGE] * 4), jax.random.normal(jax.random.key(2), (4, 8, 8, 3))
  weights = jax.random.normal(jax.random.key(3), x.shape)
  f = jax.jit(lambda x: (weights * augment(KEYS[:4], x)).sum())
  slope = float((jax.jit(jax.grad(f))(x) * direction).sum())
  assert slope == pytest.approx(float(f(x + direction) - f(x)), rel=1e-3)
  assert abs(slope) > 1e-3


def test_real_and_made_are_transformed_by_the_same_law():
  """With other keys, other transformations; over many, the same mean and deviation of every pixel."""
  augment = jax.jit(diffaugment.policy(("color", "translation", "cutout")))
  batch = np.stack([IMAGE] * 3000)
  first, second = (np.asarray(augment(jax.random.split(jax.random.key(s), 3000), batch)) for s in (1, 2))
  assert (first[0] != second[0]).any()
  np.testing.assert_allclose(first.mean(0), second.mean(0), atol=0.1)
  np.testing.assert_allclose(first.std(0), second.std(0), atol=0.1)


def test_each_transformation_of_a_policy_has_randomness_of_its_own():
  images = np.stack([IMAGE] * 400)
  ours, once = (jax.jit(diffaugment.policy(("translation",) * times))(KEYS, images) for times in (2, 1))
  again = jax.jit(jax.vmap(lambda key, x: diffaugment.translation(jax.random.fold_in(key, 0), x)))
  assert (np.asarray(ours) != again(KEYS, once)).any()


def test_unknown_policies_are_refused():
  assert diffaugment.policy(()) is None
  with pytest.raises(UserError, match="cutout"):
    diffaugment.policy(("colour",))
