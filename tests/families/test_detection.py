"""Detection as points: targets, the focal loss, boxes decoded, non-maximum suppression, against plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.families import detection
from research.networks.centre_net import Maps

STRIDE = 4


def some_boxes(count, seed=0, side=40.0):
  rng = np.random.default_rng(seed)
  start = rng.uniform(0, side * 0.6, (count, 2))
  return np.concatenate([start, start + rng.uniform(4, side * 0.4, (count, 2))], -1).astype(np.float32)


def area(box):
  return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def iou(a, b):
  both = area((*np.maximum(a[:2], b[:2]), *np.minimum(a[2:], b[2:])))
  return both / (area(a) + area(b) - both)


def test_suppression_is_the_greedy_loop():
  suppress = jax.jit(detection.suppression, static_argnums=1)
  kept = []
  for seed in range(20):
    boxes, rng = some_boxes(30, seed, 20.0), np.random.default_rng(seed)
    label = rng.integers(0, 2, 30)
    score = -np.sort(-rng.random(30)).astype(np.float32)
    expected, left = np.zeros(30, bool), list(range(30))
    while left:
      best = left.pop(0)
      expected[best] = True
      left = [i for i in left if label[i] != label[best] or iou(boxes[i], boxes[best]) <= 0.3]
    np.testing.assert_array_equal(suppress(detection.Detections(boxes, label, score), 0.3), expected)
    kept.append(expected.mean())
  assert 0.1 < np.mean(kept) < 0.9


@pytest.mark.parametrize("size", [(3.0, 3.0), (2.0, 7.0), (11.0, 4.5)])
def test_corners_may_move_by_the_radius_and_no_further(size):
  radius = float(detection.radius(jnp.asarray(size)))
  box = np.asarray([0, 0, *size])
  moves = np.stack(np.meshgrid(*[(-1.0, -0.5, 0.0, 0.5, 1.0)] * 4), -1).reshape(-1, 4)
  least = lambda r: min(iou(box, box + r * move) for move in moves)
  assert least(radius) == pytest.approx(detection.OVERLAP, abs=1e-4)
  assert least(1.05 * radius) < detection.OVERLAP


def test_maps_that_are_the_targets_are_decoded_to_the_boxes():
  boxes = np.asarray([[2, 3, 17, 12], [20, 18, 38, 39], [1, 20, 13, 29], [0, 0, 0, 0]], np.float32)
  label, present = np.asarray([1, 0, 1, 2]), np.asarray([1, 1, 1, 1.0])
  target = jax.jit(detection.targets, static_argnums=(3, 4, 5))(boxes, label, present, (10, 10), 3, STRIDE)
  assert target.present.tolist() == [1, 1, 1, 0]  # the last has no extent
  assert (target.heat == 1).sum() == 3
  assert ((target.heat > 1e-3) & (target.heat < 1)).any()
  size, offset = np.zeros((2, 10, 10, 2), np.float32)
  for k in range(3):
    row, column = int(target.row[k]), int(target.column[k])
    assert target.heat[row, column, label[k]] == 1
    size[row, column], offset[row, column] = target.size[k], target.offset[k]
  logits = jnp.log(target.heat + 1e-6) - jnp.log1p(1e-6 - jnp.minimum(target.heat, 1 - 1e-3))
  found = jax.jit(detection.decoded, static_argnums=(3, 4))(logits, size, offset, 5, STRIDE)
  order = np.argsort(found.boxes[:3, 0])
  np.testing.assert_allclose(found.boxes[:3][order], boxes[[2, 0, 1]], atol=1e-4)
  np.testing.assert_array_equal(found.label[:3][order], [1, 1, 0])
  assert (found.score[:3] > 0.9).all()
  assert (found.score[3:] < 0.9).all()


def test_the_focal_loss_is_eq_1_and_least_where_the_map_is_right():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 5, 2)).astype(np.float32)
  heat = rng.random((4, 5, 2)).astype(np.float32)
  heat[1, 2, 0] = heat[3, 3, 1] = 1
  expected = 0.0
  for p, y in zip(1 / (1 + np.exp(-logits.astype(np.float64).ravel())), heat.ravel()):
    expected -= (1 - p) ** 2 * np.log(p) if y == 1 else (1 - y) ** 4 * p**2 * np.log(1 - p)
  np.testing.assert_allclose(detection.focal(logits, heat), expected, rtol=1e-5)
  right = np.where(heat == 1, 20.0, -20.0).astype(np.float32)
  assert detection.focal(right, heat) < 1e-6


def test_the_loss_is_a_mean_over_objects_whatever_is_padded():
  rng = np.random.default_rng(0)
  grid = lambda channels: jnp.asarray(rng.normal(size=(4, 10, 10, channels)), jnp.float32)
  maps = Maps(grid(3), grid(2), grid(2))
  batch = {
    "inputs": jnp.zeros((4, 40, 40, 3)),
    "boxes": jnp.stack([jnp.asarray(some_boxes(3, seed)) for seed in range(4)]),
    "label": jnp.asarray(rng.integers(0, 3, (4, 3))),
    "present": jnp.asarray([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1.0]]),
    "mask": jnp.asarray([1, 1, 1, 0.0]),
  }
  losses = jax.jit(lambda maps, batch: detection.losses(maps, batch, 3, 0.5))
  whole, parts = losses(maps, batch)
  assert whole.count == 3
  single = lambda i: losses(*jax.tree.map(lambda x: x[i : i + 1], (maps, batch)))[0].total
  np.testing.assert_allclose(whole.total, sum(map(single, range(3))), rtol=1e-5)
  size = 0.0
  for i, k in ((0, 0), (0, 1), (1, 0)):
    top, left, bottom, right = np.asarray(batch["boxes"][i, k])
    row, column = int((top + bottom) / 2 // STRIDE), int((left + right) / 2 // STRIDE)
    told = np.asarray(maps.size[i, row, column])
    size += abs(told[0] - (bottom - top) / STRIDE) + abs(told[1] - (right - left) / STRIDE)
  np.testing.assert_allclose(parts["size"].total, size, rtol=1e-5)


def test_iou_is_that_of_cells_counted():
  rng = np.random.default_rng(0)
  corners = np.sort(rng.integers(0, 12, (30, 2, 2)), axis=1).reshape(30, 4)

  def cells(box):
    canvas = np.zeros((12, 12), bool)
    canvas[box[0] : box[2], box[1] : box[3]] = True
    return canvas

  table = np.asarray(detection.iou(jnp.asarray(corners, jnp.float32), jnp.asarray(corners, jnp.float32)))
  for i, a in enumerate(corners):
    for j, b in enumerate(corners):
      union = (cells(a) | cells(b)).sum()
      assert table[i, j] == pytest.approx((cells(a) & cells(b)).sum() / max(union, 1), abs=1e-6)
