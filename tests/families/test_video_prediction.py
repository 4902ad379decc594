"""Prediction of frames: structural similarity against SciPy, a convolutional LSTM against loops, what is measured."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from skimage.metrics import structural_similarity

from research.evaluation.similarity import ssim
from research.families import video_prediction as family_lib
from research.networks import conv_lstm


def reference_ssim(x, y):
  """scikit-image's, as Wang et al. 2004 have it."""
  options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
  return structural_similarity(x.astype(np.float64), y.astype(np.float64), **options)


def test_ssim_is_scikit_images():
  rng = np.random.default_rng(0)
  x = rng.random((3, 20, 26)).astype(np.float32)
  y = np.clip(x + 0.3 * rng.normal(size=x.shape), 0, 1).astype(np.float32)
  values = jax.jit(ssim)(x, y)
  np.testing.assert_allclose(values, [reference_ssim(a, b) for a, b in zip(x, y)], rtol=1e-4)
  np.testing.assert_allclose(jax.jit(ssim)(x, x), 1, rtol=1e-5)


def test_a_neighbourhood_is_a_convolution():
  x = np.random.default_rng(0).normal(size=(1, 5, 6, 2)).astype(np.float32)
  module = conv_lstm.Neighbourhood(1)
  variables = module.init(jax.random.key(0), x)
  kernel = np.asarray(variables["params"]["Dense_0"]["kernel"]).reshape(3, 3, 2)
  expected = sum(scipy.signal.correlate2d(x[0, ..., c], kernel[..., c], "same") for c in range(2))
  np.testing.assert_allclose(module.apply(variables, x)[0, ..., 0], expected, rtol=1e-4, atol=1e-5)


def test_patches_are_put_together_as_they_were_taken_apart():
  x = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype(np.float32)
  grid = conv_lstm.as_patches(x, 4)
  np.testing.assert_array_equal(np.asarray(grid[1, 1, 2]).reshape(4, 4, 3), x[1, 4:8, 8:12])
  np.testing.assert_array_equal(conv_lstm.as_frame(grid, 4, 3), x)


def test_what_comes_is_predicted_from_predictions_and_nothing_else():
  network = conv_lstm.ConvLSTM((6, 5), patch=2)
  frames = jax.random.uniform(jax.random.key(1), (2, 6, 8, 8, 1))
  variables = network.init(jax.random.key(0), frames[:, :3], 2)
  apply = jax.jit(lambda frames, horizon: network.apply(variables, frames, horizon), static_argnums=1)
  outputs = apply(frames[:, :3], 3)
  assert outputs.shape == (2, 5, 8, 8, 1)
  # A prediction given as if it were known changes nothing; another frame in its place does.
  given = jnp.concatenate([frames[:, :3], jax.nn.sigmoid(outputs[:, 2:3])], 1)
  np.testing.assert_allclose(apply(given, 2), outputs, atol=1e-5)
  other = apply(frames[:, :4], 2)
  np.testing.assert_allclose(other[:, :3], outputs[:, :3], atol=1e-5)
  assert np.abs(other[:, 3:] - outputs[:, 3:]).max() > 1e-4


class Constant(nn.Module):
  """Which predicts one value."""

  @nn.compact
  def __call__(self, known, horizon):
    level = self.param("level", nn.initializers.zeros, ())
    return jnp.full((len(known), known.shape[1] + horizon - 1, *known.shape[2:]), level)


def test_measures_are_of_the_frames_to_come():
  family = family_lib.video_predictor(Constant(), known=2, horizon=3)
  frames = np.random.default_rng(0).random((4, 6, 12, 12, 1)).astype(np.float32)
  batch = {"frames": jnp.asarray(frames), "mask": jnp.asarray([1.0, 1.0, 1.0, 0.0])}
  variables = family.init(jax.random.key(0), batch)
  means = {name: float(mean.value()) for name, mean in jax.jit(family.evaluate)(variables, batch).items()}
  coming = frames[:3, 2:5].astype(np.float64)
  assert means["mse"] == pytest.approx(((coming - 0.5) ** 2).mean(), rel=1e-5)
  assert means["copy_mse"] == pytest.approx(((coming - frames[:3, 1:2]) ** 2).mean(), rel=1e-5)
  assert means["loss"] == pytest.approx(np.log(2), rel=1e-5)
  similar = [reference_ssim(frames[i, 1, ..., 0], frames[i, t, ..., 0]) for i in range(3) for t in (2, 3, 4)]
  assert means["copy_ssim"] == pytest.approx(np.mean(similar), rel=1e-3)
  assert family.predict(variables, frames[:, :2]).shape == (4, 3, 12, 12, 1)
