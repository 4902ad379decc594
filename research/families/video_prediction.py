"""Prediction of a film's next frames from its first ones.

Fitted by the cross-entropy of pixels as shares (Shi et al. 2015, section 4.1), which, like the squared error, is least
where the prediction is the expected value; of every frame but the first, known or not, from those before it.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.evaluation.similarity import ssim
from research.metrics import Mean

DEFINITIONS = {
  "loss": "cross-entropy of a pixel, nats, mean over the frames that are predicted, the known ones among them",
  "mse": "squared error of a pixel, values 0 to 1, mean over the frames to come",
  "frame_mse": "squared error, values 0 to 1, summed over the pixels of a frame; mean over the frames to come",
  "ssim": "structural similarity (Wang et al. 2004), mean over the frames to come",
  "copy_mse": "mse of the last known frame in place of those to come",
  "copy_ssim": "ssim of the last known frame in place of those to come",
  "mse_over_copying": "mse / copy_mse",
}
Frames = Float[Array, "batch frame height width channel"]


class VideoPredictor(NamedTuple):
  """The functions of a predictor; a batch has `frames`, values 0 to 1, and `mask`.

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    predict: `predict(variables, known) -> frames`, the `horizon` next ones, values 0 to 1.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  predict: Callable


def video_predictor(network: nn.Module, known: int, horizon: int) -> VideoPredictor:
  """A predictor over any network `(known frames, horizon) -> logits` of all frames but the first.

  Args:
    network: a Flax module.
    known: frames that are given, the first ones of a film.
    horizon: frames that are predicted.
  """

  def logits(variables, frames) -> Frames:
    return jnp.asarray(network.apply(variables, frames[:, :known], horizon))

  def init(key, batch):
    return network.init(key, batch["frames"][:, :known], horizon)

  def cross_entropy(outputs, frames):
    return (jax.nn.softplus(outputs) - outputs * frames).mean((1, 2, 3, 4))

  def loss(variables, batch, key):
    del key
    frames = batch["frames"][:, : known + horizon]
    return Mean.of(cross_entropy(logits(variables, frames), frames[:, 1:]), batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    frames = batch["frames"][:, : known + horizon]
    outputs, coming = logits(variables, frames), frames[:, known:]
    copied = jnp.broadcast_to(frames[:, known - 1 : known], coming.shape)
    values = {"loss": cross_entropy(outputs, frames[:, 1:])}
    for prefix, guess in (("", jax.nn.sigmoid(outputs[:, known - 1 :])), ("copy_", copied)):
      values[f"{prefix}mse"] = jnp.square(guess - coming).mean((1, 2, 3, 4))
      channels_first = lambda x: jnp.moveaxis(x, -1, 2)
      values[f"{prefix}ssim"] = ssim(channels_first(guess), channels_first(coming)).mean((1, 2))
    return {name: Mean.of(value, batch["mask"]) for name, value in values.items()}

  def predict(variables, frames):
    return jax.nn.sigmoid(logits(variables, frames)[:, known - 1 :])

  return VideoPredictor(init, loss, evaluate, predict)


def derived(means: Mapping[str, float], pixels: int) -> dict[str, float]:
  """How much of the error of copying the last frame is left; the error of a frame of so many pixels."""
  return {"mse_over_copying": means["mse"] / means["copy_mse"], "frame_mse": pixels * means["mse"]}
