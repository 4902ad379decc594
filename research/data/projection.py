"""Inputs as vectors for models of densities: flattened, pixels 0 to 1, in fewer dimensions where that is wanted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class Projection:
  """A map from inputs to features, and back.

  Attributes:
    shape: of one input.
    mean: of the flattened inputs; None where nothing is projected.
    directions: orthonormal rows, of largest variance first; None where nothing is projected.
    dtype: of the inputs that it was fitted to.
  """

  shape: tuple[int, ...]
  mean: Float[np.ndarray, " value"] | None = None
  directions: Float[np.ndarray, "feature value"] | None = None
  dtype: np.dtype | None = None

  @property
  def num_features(self) -> int:
    return int(np.prod(self.shape)) if self.directions is None else len(self.directions)

  def forward(self, inputs: np.ndarray, dtype=np.float64) -> Float[np.ndarray, "example feature"]:
    """Features of inputs [example, *shape]; bytes count as pixels, 0 to 1.

    Raises:
      UserError: NaN or infinite inputs.
    """
    features = _flat(inputs)
    if not np.isfinite(features).all():
      bad = ~np.isfinite(features).all(1)
      remedy = f"remove or repair {bad.sum()} examples with NaN or infinite values; the first is this."
      raise UserError("inputs: example", int(bad.argmax()), remedy)
    if self.mean is not None and self.directions is not None:
      features = (features - self.mean) @ self.directions.T
    return features.astype(dtype)

  def traced(self, inputs: Array) -> Float[Array, "example feature"]:
    """`forward` within a compiled function, which checks nothing; in the type that it computes in."""
    scale = 255 if inputs.dtype == jnp.uint8 else 1
    features = inputs.reshape(len(inputs), -1) / jnp.asarray(scale, jax.dtypes.canonicalize_dtype(float))
    if self.mean is not None and self.directions is not None:
      features = (features - self.mean) @ self.directions.T
    return features

  def backward(self, features: np.ndarray) -> np.ndarray:
    """Inputs [example, *shape] of features; bytes come back as pixels, 0 to 1 or, of samples, about that."""
    flat = np.asarray(features, np.float64)
    if self.mean is not None and self.directions is not None:
      flat = flat @ self.directions + self.mean
    return flat.reshape(len(flat), *self.shape)


def _flat(inputs: np.ndarray) -> Float[np.ndarray, "example value"]:
  return inputs.reshape(len(inputs), -1) / np.float64(255 if inputs.dtype == np.uint8 else 1)


def fit(inputs: np.ndarray, components: int = 0, field: str = "components") -> Projection:
  """The projection onto the principal components of a training set (Pearson 1901; Hotelling 1933).

  Args:
    inputs: uint8, or floats [example, ...].
    components: how many; 0 leaves the inputs as they are.
    field: where that number comes from, for the message.

  Raises:
    UserError: more components than examples or values in an input.
  """
  shape = inputs.shape[1:]
  if not components:
    return Projection(shape, dtype=inputs.dtype)
  most = min(len(inputs), int(np.prod(shape)))
  if not 0 < components <= most:
    raise UserError(field, components, f"{len(inputs)} examples of {int(np.prod(shape))} values have {most} at most.")
  from sklearn.decomposition import PCA  # here: it takes a second to import

  # Of the matrix of covariances: for many examples several times as fast as of the examples.
  pca = PCA(components, svd_solver="covariance_eigh").fit(_flat(inputs))
  return Projection(shape, pca.mean_, pca.components_, inputs.dtype)
