"""Structural similarity of images (Wang et al. 2004)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

SIGMA, RADIUS = 1.5, 5  # of the Gaussian window, 11 x 11
C1, C2 = 0.01**2, 0.03**2  # of values that range over 1


def ssim(x: Float[Array, "*batch height width"], y: Float[Array, "*batch height width"]) -> Float[Array, "*batch"]:
  """The mean over the places where the window fits of (2 m m' + C1)(2 s + C2) / ((m² + m'² + C1)(v + v' + C2)).

  Means m, variances v and covariance s under the window of the paper (section III.B); values range from 0 to 1.
  """
  offsets = np.arange(-RADIUS, RADIUS + 1)
  taps = np.exp(-0.5 * (offsets / SIGMA) ** 2)
  taps = (taps / taps.sum()).astype(np.float32)

  def blur(image):
    for axis in (-1, -2):
      length = image.shape[axis] - 2 * RADIUS
      cut = lambda start, image=image, axis=axis, length=length: image.take(jnp.arange(start, start + length), axis)
      image = sum(float(tap) * cut(start) for start, tap in enumerate(taps))
    return image

  mean_x, mean_y = blur(x), blur(y)
  variance_x, variance_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
  covariance = blur(x * y) - mean_x * mean_y
  top = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
  return (top / ((mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2))).mean((-1, -2))
