"""Semantic segmentation: a categorical distribution for every pixel, fitted by cross-entropy and the Dice loss.

Dice: Milletari, Navab & Ahmadi 2016, eq. of sec. 3, with the sums instead of the squares in the denominator
(Sudre et al. 2017), over the classes that an image has.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research import randomness
from research.data.masks import UNKNOWN
from research.metrics import Mean


class Segmenter(NamedTuple):
  """The functions of a segmenter; a batch has `inputs`, `classes` [batch, height, width] and `mask`."""

  init: Callable
  loss: Callable
  evaluate: Callable
  logits: Callable


def definitions(class_names: Sequence[str]) -> dict[str, str]:
  """What is measured, of classes by name."""
  union = "pixels that are or are taken for it that are both, over the whole set"
  return {
    "loss": "mean over images of a pixel's mean negative log-likelihood, nats, plus the weighted Dice loss",
    "pixel_accuracy": "mean over images of the share of pixels whose most probable class is theirs",
    "miou": "mean over classes of the intersection over union (iou_...), each over the whole set",
    **{f"iou_{name}": f"intersection over union of the class {name}: the share of {union}" for name in class_names},
  }


def segmenter(network: nn.Module, class_names: Sequence[str], *, dice: float) -> Segmenter:
  """A segmenter over any network `(inputs, level, label, train) -> logits`, called without level and label.

  Args:
    network: a Flax module; logits [batch, height, width, class].
    class_names: of the classes.
    dice: weight of the Dice loss beside the cross-entropy.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["inputs"], None, None, train=False)

  def loss(variables, batch, key):
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    logits = jnp.asarray(network.apply(variables, batch["inputs"], None, None, train=True, rngs=rngs))
    value, accuracy = losses(logits, batch["classes"], dice)
    return Mean.of(value, batch["mask"]), ({"pixel_accuracy": Mean.of(accuracy, batch["mask"])}, {})

  def logits_of(variables, inputs) -> Float[Array, "batch height width class"]:
    return jnp.asarray(network.apply(variables, inputs, None, None, train=False))

  def evaluate(variables, batch):
    logits = logits_of(variables, batch["inputs"])
    value, accuracy = losses(logits, batch["classes"], dice)
    both, either = overlaps(logits.argmax(-1), batch["classes"], len(class_names), batch["mask"])
    ious = {f"iou_{name}": Mean(both[k], either[k]) for k, name in enumerate(class_names)}
    return {"loss": Mean.of(value, batch["mask"]), "pixel_accuracy": Mean.of(accuracy, batch["mask"]), **ious}

  return Segmenter(init, loss, evaluate, logits_of)


def losses(
  logits: Float[Array, "batch height width class"], classes: Int[Array, "batch height width"], dice: float
) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
  """Loss and pixel accuracy of each image; unknown pixels are left out."""
  known = (classes != UNKNOWN).astype(jnp.float32)
  count = jnp.maximum(known.sum((1, 2)), 1)
  targets = jax.nn.one_hot(classes, logits.shape[-1]) * known[..., None]  # of unknown pixels zeros
  logs = jax.nn.log_softmax(logits)
  cross_entropy = -(targets * logs).sum((1, 2, 3)) / count
  correct = ((logits.argmax(-1) == classes) * known).sum((1, 2)) / count
  return cross_entropy + dice * dice_loss(jnp.exp(logs) * known[..., None], targets), correct


def dice_loss(
  probabilities: Float[Array, "batch height width class"], targets: Float[Array, "batch height width class"]
) -> Float[Array, " batch"]:
  """1 - 2 sum p t / (sum p + sum t), the mean over the classes that an image has; 0 where it has none."""
  both, sizes = (probabilities * targets).sum((1, 2)), targets.sum((1, 2))
  has = (sizes > 0).astype(jnp.float32)
  coefficient = 2 * both / jnp.maximum(probabilities.sum((1, 2)) + sizes, 1e-6)
  return ((1 - coefficient) * has).sum(-1) / jnp.maximum(has.sum(-1), 1)


def overlaps(
  predicted: Int[Array, "batch height width"],
  classes: Int[Array, "batch height width"],
  num_classes: int,
  mask: Float[Array, " batch"],
) -> tuple[Float[Array, " class"], Float[Array, " class"]]:
  """Pixels of each class that are both predicted and true, and either; of known pixels of unmasked images."""
  counts = ((classes != UNKNOWN) * (mask[:, None, None] > 0)).astype(jnp.float32)[..., None]
  of = lambda values: jax.nn.one_hot(values, num_classes) * counts
  guess, true = of(predicted), of(classes)
  both = (guess * true).sum((0, 1, 2))
  return both, (guess + true).sum((0, 1, 2)) - both


def miou(means: Mapping[str, np.ndarray]) -> dict[str, float]:
  """The mean of the classes' intersections over unions; classes that are neither there nor predicted are left out."""
  ious = np.asarray([value for name, value in means.items() if name.startswith("iou_")], np.float64)
  return {"miou": float(ious[np.isfinite(ious)].mean())} if np.isfinite(ious).any() else {}
