"""Segmentation: IoU against scikit-learn, the Dice loss against its definition, images of any size by tiles."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn import metrics

from research.evaluation import segments
from research.families import segmentation
from research.metrics import Mean


def test_miou_is_scikit_learns_jaccard_over_the_whole_set():
  rng = np.random.default_rng(0)
  true, guess = rng.integers(0, 4, (2, 6, 5, 7))
  true[0, 0] = segmentation.UNKNOWN
  mask = np.asarray([1, 1, 1, 1, 1, 0], np.float32)
  count = jax.jit(lambda *arrays: segmentation.overlaps(*arrays[:2], 4, arrays[2]))
  parts = [count(guess[rows], true[rows], mask[rows]) for rows in (slice(0, 3), slice(3, 6))]
  sums = [Mean(sum(part[0][k] for part in parts), sum(part[1][k] for part in parts)) for k in range(4)]
  known = (true != segmentation.UNKNOWN) & (mask[:, None, None] > 0)
  expected = metrics.jaccard_score(true[known], guess[known], average=None, labels=range(4))
  ious = {f"iou_{k}": np.asarray(mean.value()) for k, mean in enumerate(sums)}
  np.testing.assert_allclose(list(ious.values()), expected, rtol=1e-6)
  np.testing.assert_allclose(segmentation.miou({**ious, "loss": 9.0, "iou_none": np.nan})["miou"], expected.mean())


def test_losses_leave_unknown_pixels_out_and_dice_is_scikit_learns_f1_of_hard_guesses():
  rng = np.random.default_rng(1)
  classes, guess = rng.integers(0, 3, (2, 1, 4, 5))
  classes[0, 0] = segmentation.UNKNOWN
  logits = 50 * np.eye(3, dtype=np.float32)[guess]
  value, accuracy = jax.jit(segmentation.losses, static_argnums=2)(logits, classes, 0.0)
  known = classes != segmentation.UNKNOWN
  logs = np.log(np.exp(logits[known]) / np.exp(logits[known]).sum(-1, keepdims=True) + 1e-30)
  expected = -np.take_along_axis(logs, classes[known][:, None], -1).mean()
  np.testing.assert_allclose(value, [expected], rtol=1e-5)
  np.testing.assert_allclose(accuracy, [(guess == classes)[known].mean()], rtol=1e-6)
  with_dice, _ = jax.jit(segmentation.losses, static_argnums=2)(logits, classes, 1.0)
  f1 = metrics.f1_score(classes[known], guess[known], average=None, labels=np.unique(classes[known]))
  np.testing.assert_allclose(with_dice - value, [1 - f1.mean()], rtol=1e-4)
  assert jnp.isfinite(segmentation.losses(logits, np.full_like(classes, 255), 1.0)[0]).all()


def test_an_image_of_any_size_is_what_the_function_makes_of_each_pixel():
  def pointwise(tiles):
    assert tiles.ndim == 3 or tiles.shape == (4, 16, 16, 3)
    return np.concatenate([tiles, 1 - tiles], -1)

  for shape in ((61, 47), (5, 9), (16, 16), (17, 16)):
    image = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    values = segments.stitched(pointwise, image, 16, 4)
    np.testing.assert_allclose(values, pointwise(image), atol=1e-6)


def test_overlays_paint_classes_and_leave_ground_and_unknown_grey():
  image = np.full((1, 4, 3), 0.5, np.float32)
  painted = segments.overlay(image, np.asarray([[0, 1, 2, 255]]), 3)
  assert (np.ptp(painted[0], axis=-1) > 0.3).tolist() == [False, True, True, False]
  assert np.abs(painted[0, 1] - painted[0, 2]).max() > 0.3
