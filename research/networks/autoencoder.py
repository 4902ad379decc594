"""Encoders and decoders of latent-variable models: fully connected or convolutional, with one level of latents or more.

All networks here have the same three methods, of which the first two are one pass over an image:

  encode(inputs, label, train) -> evidence              what the image says about each level of latents
  infer(evidence, noise, label, train) -> outputs, levels   from the top level down, `noise` standard normal
  generate(noise, label, train) -> outputs              the same with latents from the prior

`levels` has a triple (latent, posterior, prior) for each level, top first, and a distribution is a pair (mean, log
standard deviation) of the latent's shape.  `outputs` [batch, height, width, channel, parameter] are the parameters of
the distribution of every pixel.  With several levels it is the ladder VAE (Sønderby et al. 2016): the prior of a level
depends on the levels above, and its posterior is that prior times the evidence.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.errors import UserError
from research.networks import layers

Inputs = Float[Array, "batch height width channel"]
Outputs = Float[Array, "batch height width channel parameter"]
Labels = Int[Array, " batch"]
Normal = tuple[Float[Array, "batch ..."], Float[Array, "batch ..."]]
Level = tuple[Float[Array, "batch ..."], Normal, Normal]

_ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh, "leaky_relu": nn.leaky_relu, "elu": nn.elu, "gelu": nn.gelu}


def activation(name: str) -> Callable:
  """The non-linearity of that name: 'relu', 'tanh', 'leaky_relu', 'elu', 'gelu' or 'gated'.

  Gated (Dauphin et al. 2016) halves the last axis: of [a, b], a sigmoid(b).
  """
  if name == "gated":
    return nn.glu
  if name not in _ACTIVATIONS:
    raise UserError("activation", name, f"choose one of {', '.join((*_ACTIVATIONS, 'gated'))}.")
  return _ACTIVATIONS[name]


def product(one: Normal, other: Normal) -> Normal:
  """The normal distribution proportional to the product of two (Sønderby et al. 2016, equations 17 to 19)."""
  (mean, log_std), (other_mean, other_log_std) = one, other
  precision, other_precision = jnp.exp(-2 * log_std), jnp.exp(-2 * other_log_std)
  total = precision + other_precision
  return (mean * precision + other_mean * other_precision) / total, -0.5 * jnp.log(total)


def _normal(statistics: Float[Array, "batch ..."]) -> Normal:
  """(mean, log standard deviation) from the two halves of the last axis, in float32.

  The bounds are out of the way of any useful posterior; they keep one bad step from overflowing an exponential.
  """
  mean, log_std = jnp.split(statistics.astype(jnp.promote_types(statistics.dtype, jnp.float32)), 2, axis=-1)
  return mean, jnp.clip(log_std, -8.0, 8.0)


def _standard(noise: Float[Array, "batch ..."]) -> Normal:
  return jnp.zeros_like(noise), jnp.zeros_like(noise)


def _draw(normal: Normal, noise: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
  mean, log_std = normal
  return mean + jnp.exp(log_std) * noise


class Hidden(nn.Module):
  """Dense layers, each with its activation and dropout.

  Attributes:
    widths: of the layers.
    activation: as `activation`.
    dropout: rate behind every layer.
    dtype: compute type.
  """

  widths: Sequence[int]
  activation: str = "relu"
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch in"], train: bool) -> Float[Array, "batch out"]:
    for width in self.widths:
      x = nn.Dense(2 * width if self.activation == "gated" else width, dtype=self.dtype)(x)
      x = layers.Dropout(self.dropout)(activation(self.activation)(x), train)
    return x


class MLPAutoencoder(nn.Module):
  """Fully connected, on images whose geometry is thrown away; Kingma & Welling 2014, appendix C, with one level.

  Attributes:
    image_shape: (height, width, channel).
    parameters: of the distribution of a pixel.
    latents: sizes of the levels, top first.
    hidden: widths of the layers between two levels, and between the lowest and the image, from the image up.
    activation: of these layers.
    dropout: rate behind the encoder's hidden layers.
    num_classes: encoder and decoder see the label, one of so many; 0: they do not.
    dtype: compute type; latents and outputs are float32.
  """

  image_shape: tuple[int, int, int]
  parameters: int = 1
  latents: Sequence[int] = (50,)
  hidden: Sequence[int] = (200, 200)
  activation: str = "tanh"
  dropout: float = 0.0
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @property
  def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
    """Of each level, top first."""
    return tuple((size,) for size in self.latents)

  def setup(self):
    up, down = tuple(self.hidden), tuple(self.hidden)[::-1]
    self.ups = [Hidden(up, self.activation, self.dropout, self.dtype) for _ in self.latents]
    self.downs = [Hidden(down, self.activation, dtype=self.dtype) for _ in self.latents]
    self.evidence = [layers.logits_layer(2 * size) for size in self.latents]
    self.priors = [layers.logits_layer(2 * size) for size in self.latents[1:]]
    self.output = layers.logits_layer(int(np.prod(self.image_shape)) * self.parameters)

  def encode(self, inputs: Inputs, label: Labels, train: bool) -> tuple[Normal, ...]:
    """The evidence for each level, top first."""
    x, gaussians = self._with_label(layers.flatten(inputs), label), []
    for up, evidence in zip(self.ups[::-1], self.evidence[::-1]):
      x = up(x, train)
      gaussians.append(_normal(evidence(x)))
    return tuple(gaussians[::-1])

  def infer(self, evidence: Sequence[Normal], noise: Sequence[Array], label: Labels, train: bool):
    """(outputs, levels) with latents from the posterior."""
    return self._top_down(evidence, noise, label, train)

  def generate(self, noise: Sequence[Array], label: Labels, train: bool = False) -> Outputs:
    """Outputs with latents from the prior."""
    return self._top_down(None, noise, label, train)[0]

  def _top_down(self, evidence, noise, label, train) -> tuple[Outputs, tuple[Level, ...]]:
    levels, x = [], jnp.zeros((len(noise[0]), 0), self.dtype)
    for i, down in enumerate(self.downs):
      prior = _standard(noise[i]) if i == 0 else _normal(self.priors[i - 1](x))
      posterior = prior if evidence is None else evidence[i] if i == 0 else product(evidence[i], prior)
      latent = _draw(posterior, noise[i])
      levels.append((latent, posterior, prior))
      x = jnp.concatenate([x, latent.astype(x.dtype)], -1)
      x = down(self._with_label(x, label), train)
    return self.output(x).reshape(-1, *self.image_shape, self.parameters), tuple(levels)

  def _with_label(self, x, label):
    if not self.num_classes:
      return x.astype(self.dtype)
    return jnp.concatenate([x, jax.nn.one_hot(label, self.num_classes)], -1).astype(self.dtype)


class Residual(nn.Module):
  """A pre-activation block of two 3x3 convolutions that starts as the identity.

  Attributes:
    dtype: compute type.
  """

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch height width channel"]) -> Float[Array, "batch height width channel"]:
    width = x.shape[-1]
    y = layers.Conv(width, kernel_init=layers.initializer("he"), dtype=self.dtype)(nn.elu(x))
    return x + layers.Conv(width, kernel_init=nn.initializers.zeros, dtype=self.dtype)(nn.elu(y))


class ConvEncoder(nn.Module):
  """Stages that halve the image by a 4x4 convolution of stride 2, with residual blocks at every size.

  Attributes:
    widths: channels of the stages.
    blocks: residual blocks a stage.
    dtype: compute type.
  """

  widths: Sequence[int] = (32, 64)
  blocks: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Inputs) -> tuple[Float[Array, "batch height width channel"], ...]:
    """The features behind each stage, largest first."""
    features, x = [], x.astype(self.dtype)
    for width in self.widths:
      x = layers.Conv(width, (4, 4), 2, kernel_init=layers.initializer("he"), dtype=self.dtype)(x)
      for _ in range(self.blocks):
        x = Residual(self.dtype)(x)
      features.append(x)
    return tuple(features)


def halved(image_shape: Sequence[int], times: int) -> tuple[int, int]:
  """Height and width of an image that is halved so often, each time to the ceiling."""
  height, width = (-(-side // 2**times) for side in image_shape[:2])
  return height, width


class Upscale(nn.Module):
  """Residual blocks, then twice the size: a 3x3 convolution to four times the channels, laid out in space.

  Shi et al. 2016, sub-pixel convolution: the arithmetic of a transposed one, done where the image is small.  The result
  is cut to `size`: an odd side was halved to its ceiling.

  Attributes:
    features: channels of the result.
    blocks: residual blocks before.
    dtype: compute type.
  """

  features: int
  blocks: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "batch height width in"], size: tuple[int, int]
  ) -> Float[Array, "batch height2 width2 out"]:
    for _ in range(self.blocks):
      x = Residual(self.dtype)(x)
    x = layers.Conv(4 * self.features, kernel_init=layers.initializer("he"), dtype=self.dtype)(nn.elu(x))
    batch, height, width, _ = x.shape
    x = x.reshape(batch, height, width, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, 2 * height, 2 * width, self.features)[:, : size[0], : size[1]]


class ConvAutoencoder(nn.Module):
  """Convolutional: a vector of latents on top and, where `maps` says so, a map of latents below it at every size.

  Attributes:
    image_shape: (height, width, channel); odd sides are halved to their ceiling, and cut on the way back.
    parameters: of the distribution of a pixel.
    vector: size of the top level.
    maps: channels of the map of latents at each stage, largest first; 0: none there.
    widths, blocks: as `ConvEncoder`.
    num_classes: encoder and decoder see the label, one of so many; 0: they do not.
    dtype: compute type; latents and outputs are float32.
  """

  image_shape: tuple[int, int, int]
  parameters: int = 1
  vector: int = 32
  maps: Sequence[int] = ()
  widths: Sequence[int] = (32, 64)
  blocks: int = 1
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @property
  def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
    """Of each level, top first."""
    sides = [halved(self.image_shape, i) for i in range(1, len(self.widths) + 1)]
    below = [(*side, channels) for side, channels in zip(sides, self._maps) if channels]
    return ((self.vector,), *below[::-1])

  @property
  def _maps(self) -> tuple[int, ...]:
    """Channels of latents, a number for each stage."""
    if len(self.maps) not in (0, len(self.widths)):
      remedy = "give one number for each of config.model.widths, 0 where there are no latents."
      raise UserError("config.model.maps", tuple(self.maps), remedy)
    return tuple(self.maps) or (0,) * len(self.widths)

  @property
  def _mapped(self) -> list[int]:
    """The stages that have latents."""
    return [stage for stage, channels in enumerate(self._maps) if channels]

  def setup(self):
    conv = lambda features: layers.Conv(features, dtype=self.dtype)
    self.encoder = ConvEncoder(tuple(self.widths), self.blocks, self.dtype)
    self.evidence = [conv(2 * self._maps[stage]) for stage in self._mapped]
    self.priors = [conv(2 * self._maps[stage]) for stage in self._mapped]
    self.merge = [conv(self.widths[stage]) for stage in self._mapped]
    self.top_evidence = layers.logits_layer(2 * self.vector)
    smallest = halved(self.image_shape, len(self.widths))
    self.start = nn.Dense(int(np.prod(smallest)) * self.widths[-1], dtype=self.dtype)
    self.ups = [Upscale(width, self.blocks, self.dtype) for width in (self.widths[0], *self.widths[:-1])]
    self.output = layers.Conv(self.image_shape[-1] * self.parameters)

  def encode(self, inputs: Inputs, label: Labels, train: bool) -> tuple[Normal, ...]:
    """The evidence for each level, top first."""
    del train  # nothing in it differs between training and use
    x = inputs
    if self.num_classes:
      planes = jax.nn.one_hot(label, self.num_classes)[:, None, None]
      x = jnp.concatenate([x, jnp.broadcast_to(planes, (*x.shape[:3], self.num_classes))], -1)
    features = self.encoder(x)
    gaussians = [_normal(self.top_evidence(layers.flatten(nn.elu(features[-1]))))]
    pairs = zip(self.evidence[::-1], self._mapped[::-1])
    return (*gaussians, *(_normal(layer(nn.elu(features[stage]))) for layer, stage in pairs))

  def infer(self, evidence: Sequence[Normal], noise: Sequence[Array], label: Labels, train: bool):
    """(outputs, levels) with latents from the posterior."""
    del train
    return self._top_down(evidence, noise, label)

  def generate(self, noise: Sequence[Array], label: Labels, train: bool = False) -> Outputs:
    """Outputs with latents from the prior."""
    del train
    return self._top_down(None, noise, label)[0]

  def _top_down(self, evidence, noise, label) -> tuple[Outputs, tuple[Level, ...]]:
    prior = _standard(noise[0])
    posterior = prior if evidence is None else evidence[0]
    latent = _draw(posterior, noise[0])
    levels, x = [(latent, posterior, prior)], latent
    if self.num_classes:
      x = jnp.concatenate([x, jax.nn.one_hot(label, self.num_classes)], -1)
    smallest = halved(self.image_shape, len(self.widths))
    x = self.start(x.astype(self.dtype)).reshape(-1, *smallest, self.widths[-1])
    for stage in reversed(range(len(self.widths))):
      if stage in self._mapped:
        i, place = len(levels), self._mapped.index(stage)
        prior = _normal(self.priors[place](nn.elu(x)))
        posterior = prior if evidence is None else product(evidence[i], prior)
        latent = _draw(posterior, noise[i])
        levels.append((latent, posterior, prior))
        x = x + self.merge[place](latent.astype(self.dtype))
      x = self.ups[stage](x, halved(self.image_shape, stage))
    outputs = self.output(nn.elu(x).astype(jnp.float32))
    return outputs.reshape(-1, *self.image_shape, self.parameters), tuple(levels)


class VQAutoencoder(nn.Module):
  """The convolutional pair around a codebook (van den Oord et al. 2017, section 4.1, smaller).

  Attributes:
    image_shape: (height, width, channel); odd sides are halved to their ceiling, and cut on the way back.
    parameters: of the distribution of a pixel.
    code_size: length of a code vector.
    widths, blocks: as `ConvEncoder`.
    dtype: compute type; codes and outputs are float32.
  """

  image_shape: tuple[int, int, int]
  parameters: int = 1
  code_size: int = 16
  widths: Sequence[int] = (32, 64)
  blocks: int = 1
  dtype: jnp.dtype = jnp.float32

  def setup(self):
    self.encoder = ConvEncoder(tuple(self.widths), self.blocks, self.dtype)
    self.to_code = layers.Conv(self.code_size, (1, 1))
    self.from_code = layers.Conv(self.widths[-1], dtype=self.dtype)
    self.ups = [Upscale(width, self.blocks, self.dtype) for width in (self.widths[0], *self.widths[:-1])]
    self.output = layers.Conv(self.image_shape[-1] * self.parameters)

  def encode(self, inputs: Inputs) -> Float[Array, "batch rows columns code"]:
    """A vector for each place of the smallest map, not yet quantised."""
    return self.to_code(nn.elu(self.encoder(inputs)[-1]).astype(jnp.float32))

  def decode(self, codes: Float[Array, "batch rows columns code"]) -> Outputs:
    """The parameters of every pixel's distribution."""
    x = self.from_code(codes.astype(self.dtype))
    for stage in reversed(range(len(self.widths))):
      x = self.ups[stage](x, halved(self.image_shape, stage))
    outputs = self.output(nn.elu(x).astype(jnp.float32))
    return outputs.reshape(-1, *self.image_shape, self.parameters)
