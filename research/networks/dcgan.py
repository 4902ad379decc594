"""Generators and discriminators: DCGAN's, the textbook's fully connected pair, and one for points of the plane.

Generators are `(z, label, train) -> examples`, discriminators `(x, label, train) -> logits [batch]`.  The label may be
None where nothing is conditioned on it (`num_classes` 0).
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from research.errors import UserError
from research.networks import layers

Latent = Float[Array, "batch latent"]
Images = Float[Array, "batch height width channel"]
Labels = Int[Array, " batch"] | None
Logits = Float[Array, " batch"]
OUTPUTS = {"tanh": nn.tanh, "sigmoid": nn.sigmoid, "linear": lambda x: x}
NORMS = ("batch", "spectral", "none")
_normal = nn.initializers.normal(0.02)  # Radford et al. 2016, section 4


class Generator(nn.Module):
  """DCGAN's generator (Radford et al. 2016, figure 1): project to a small image, then double it again and again.

  Each doubling is a transposed convolution, 4x4 with stride 2, with batch normalisation and ReLU; the last one has
  neither, and tanh.

  Attributes:
    image_shape: (height, width, channel) of what is made; `len(widths)` halvings of the sides must come out whole.
    widths: channels of the projected image and behind each doubling but the last.
    num_classes: of the label that z is joined with as a one-hot vector; 0 for none.
    dtype: compute type.
  """

  image_shape: tuple[int, int, int]
  widths: Sequence[int] = (128, 64)
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z: Latent, label: Labels, train: bool) -> Images:
    height, width, channels = self.image_shape
    factor = 2 ** len(self.widths)
    if height % factor or width % factor:
      remedy = f"sides of {height}x{width} must be multiples of {factor}, two to the number of widths."
      raise UserError("config.model.generator_widths", tuple(self.widths), remedy)
    small = (height // factor, width // factor, self.widths[0])
    z = joined(z, label, self.num_classes).astype(self.dtype)
    x = nn.Dense(small[0] * small[1] * small[2], use_bias=False, kernel_init=_normal, dtype=self.dtype)(z)
    x = nn.relu(layers.BatchNorm(dtype=self.dtype)(x.reshape(-1, *small), train))
    for features in self.widths[1:]:
      x = layers.ConvTranspose(features, use_bias=False, kernel_init=_normal, dtype=self.dtype)(x)
      x = nn.relu(layers.BatchNorm(dtype=self.dtype)(x, train))
    x = layers.ConvTranspose(channels, kernel_init=_normal, dtype=self.dtype)(x)
    return nn.tanh(x.astype(jnp.float32))


class Discriminator(nn.Module):
  """DCGAN's discriminator: convolutions, 4x4 with stride 2, with LeakyReLU(0.2), then one linear unit.

  Attributes:
    widths: channels of the convolutions.
    norm: `batch` (all but the first convolution, Radford et al. 2016), `spectral` (every layer, Miyato et al. 2018), or
      `none`.
    num_classes: of the label, whose embedding's product with the features is added to the logit (Miyato & Koyama 2018,
      equation 3); 0 for none.
    dtype: compute type; the logits are float32.
  """

  widths: Sequence[int] = (64, 128)
  norm: str = "batch"
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, label: Labels, train: bool) -> Logits:
    _check_norm(self.norm)
    x = x.astype(self.dtype)
    for i, features in enumerate(self.widths):
      bare = self.norm == "batch" and i > 0
      conv = layers.Conv(features, (4, 4), 2, 1, use_bias=not bare, kernel_init=_normal, dtype=self.dtype)
      x = normalised(conv, self.norm, train)(x)
      if bare:
        x = layers.BatchNorm(dtype=self.dtype)(x, train)
      x = nn.leaky_relu(x, 0.2)
    return judged(layers.flatten(x), label, self.num_classes, self.norm, train)


class MLPGenerator(nn.Module):
  """Fully connected: z, hidden layers, the example.  The textbook's is 100-128-784 with ReLU and a sigmoid.

  Attributes:
    shape: of an example.
    features: widths of the hidden layers.
    output: `tanh`, `sigmoid` or `linear`.
    batch_norm: whether hidden layers are normalised.
    num_classes: as in `Generator`.
    dtype: compute type.
  """

  shape: tuple[int, ...]
  features: Sequence[int] = (128,)
  output: str = "sigmoid"
  batch_norm: bool = False
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, z: Latent, label: Labels, train: bool) -> Float[Array, "batch ..."]:
    if self.output not in OUTPUTS:
      raise UserError("config.model.output", self.output, f"choose one of {', '.join(OUTPUTS)}.")
    x = joined(z, label, self.num_classes).astype(self.dtype)
    for width in self.features:
      x = nn.Dense(width, use_bias=not self.batch_norm, kernel_init=layers.initializer("glorot"), dtype=self.dtype)(x)
      x = nn.relu(layers.BatchNorm(dtype=self.dtype)(x, train) if self.batch_norm else x)
    x = layers.logits_layer(math.prod(self.shape), kernel_init=layers.initializer("glorot"))(x)
    return OUTPUTS[self.output](x).reshape(-1, *self.shape)


class MLPDiscriminator(nn.Module):
  """Fully connected, LeakyReLU(0.2); the textbook's is 784-128-1.

  Attributes:
    features: widths of the hidden layers.
    norm: `spectral` or `none`.
    num_classes: as in `Discriminator`.
    dtype: compute type; the logits are float32.
  """

  features: Sequence[int] = (128,)
  norm: str = "none"
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch ..."], label: Labels, train: bool) -> Logits:
    _check_norm(self.norm)
    x = layers.flatten(x).astype(self.dtype)
    for width in self.features:
      dense = nn.Dense(width, kernel_init=layers.initializer("glorot"), dtype=self.dtype)
      x = nn.leaky_relu(normalised(dense, self.norm, train)(x), 0.2)
    return judged(x, label, self.num_classes, self.norm, train)


def joined(z: Latent, label: Labels, num_classes: int) -> Float[Array, "batch input"]:
  """z, beside the one-hot label where there are classes."""
  return jnp.concatenate([z, nn.one_hot(label, num_classes, dtype=z.dtype)], -1) if num_classes else z


def judged(x: Float[Array, "batch feature"], label: Labels, num_classes: int, norm: str, train: bool) -> Logits:
  """A linear unit's logit, plus the features' product with the label's embedding where there are classes."""
  logits = normalised(layers.logits_layer(1, kernel_init=_normal), norm, train)(x)[:, 0]
  if num_classes:
    embedded = normalised(nn.Embed(num_classes, x.shape[-1], embedding_init=_normal), norm, train)(label)
    logits += (embedded * x).sum(-1)
  return logits


def normalised(layer: nn.Module, norm: str, train: bool) -> Callable:
  """The layer, its kernel divided by its largest singular value if `norm` is `spectral` (Miyato et al. 2018, eq. 8).

  One power iteration a pass, from where the last one ended; the vectors are in the collection `spectral`.
  """
  if norm != "spectral":
    return layer
  wrapped = nn.SpectralNorm(layer, collection_name="spectral")
  return lambda x: wrapped(x, update_stats=train)


def _check_norm(norm: str) -> None:
  if norm not in NORMS:
    raise UserError("config.model.critic_norm", norm, f"choose one of {', '.join(NORMS)}.")
