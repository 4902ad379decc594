"""Residual networks: He et al. (2015, 2016) for CIFAR and ImageNet, the wide ones of Zagoruyko and Komodakis (2016).

`ResNet` is configured by stage sizes; `resnet20(...)`, `resnet50(...)`, `wide_resnet(28, 10)` are the published ones.
"""

import functools
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers

Images = Float[Array, "batch height width channel"]
Logits = Float[Array, "batch class"]


class Block(nn.Module):
  """One residual block: x + F(x), with F two 3x3 convolutions or a bottleneck of 1x1, 3x3 and 1x1.

  Attributes:
    width: channels inside; a bottleneck puts out four times as many.
    stride: of the (first) 3x3 convolution, as in most published weights ("v1.5" for bottlenecks).
    bottleneck: which F.
    version: 1 normalises after each convolution and ends in ReLU (He et al., 2015); 2 normalises and activates
      before each convolution and leaves the sum as it is (He et al., 2016, figure 1b).
    option: shortcut where the shape changes: 'A' subsamples and pads channels with zeros, 'B' projects.
    zero_init: version 1: the last batch norm's scale starts at zero, so the block starts as the identity.
    dropout: rate between the two convolutions (wide ResNets).
    dtype: compute type.
  """

  width: int
  stride: int = 1
  bottleneck: bool = False
  version: int = 1
  option: str = "B"
  zero_init: bool = False
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Images:
    plan = [(3, self.width, self.stride), (3, self.width, 1)]
    if self.bottleneck:
      plan = [(1, self.width, 1), (3, self.width, self.stride), (1, 4 * self.width, 1)]
    if self.version == 1:
      y = x
      for i, (size, width, stride) in enumerate(plan):
        last = i == len(plan) - 1
        y = self._norm(self._conv(width, size, stride)(y), train, zero=last and self.zero_init)
        y = y if last else layers.Dropout(self.dropout)(nn.relu(y), train)
      return layers.relu_of_sum(y, self._shortcut(x, plan[-1][1], train))
    y = nn.relu(self._norm(x, train))
    # A projection sees the normalised activations; an identity passes the sum on untouched.
    shortcut = self._shortcut(y, plan[-1][1], train) if self._reshapes(x, plan[-1][1]) else x
    for i, (size, width, stride) in enumerate(plan):
      y = layers.Dropout(self.dropout)(nn.relu(self._norm(y, train)), train) if i else y
      y = self._conv(width, size, stride)(y)
    return y + shortcut

  def _conv(self, width: int, size: int, stride: int) -> layers.Conv:
    return conv(width, size, stride, dtype=self.dtype)

  def _norm(self, x: Images, train: bool, zero: bool = False) -> Images:
    scale_init = nn.initializers.zeros if zero else nn.initializers.ones
    return layers.BatchNorm(scale_init=scale_init, dtype=self.dtype)(x, train)

  def _reshapes(self, x: Images, width: int) -> bool:
    return self.stride > 1 or x.shape[-1] != width

  def _shortcut(self, x: Images, width: int, train: bool) -> Images:
    if not self._reshapes(x, width):
      return x
    if self.option == "A":
      x = x[:, :: self.stride, :: self.stride]
      return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, width - x.shape[-1])))
    x = self._conv(width, 1, self.stride)(x)
    return self._norm(x, train) if self.version == 1 else x


def conv(width: int, size: int, stride: int, dtype) -> layers.Conv:
  """A convolution without bias, padded alike on both sides, in He's initialisation."""
  return layers.Conv(width, (size, size), stride, size // 2, False, layers.he_fan_out, dtype)


class ResNet(nn.Module):
  """A residual network.

  Attributes:
    stage_sizes: blocks in each stage; every stage but the first halves the image.
    widths: channels of each stage.
    num_classes: number of logits.
    bottleneck, version, option, zero_init, dropout: as in `Block`.
    stem_width: channels of the first convolution.
    imagenet_stem: 7x7 of stride 2 and 3x3 max-pooling of stride 2, else 3x3.
    dtype: compute type; parameters and logits are float32.
  """

  stage_sizes: Sequence[int]
  widths: Sequence[int]
  num_classes: int
  bottleneck: bool = False
  version: int = 1
  option: str = "B"
  zero_init: bool = False
  dropout: float = 0.0
  stem_width: int = 16
  imagenet_stem: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Logits:
    x = conv(self.stem_width, 7, 2, self.dtype)(x) if self.imagenet_stem else conv(self.stem_width, 3, 1, self.dtype)(x)
    if self.version == 1:
      x = nn.relu(layers.BatchNorm(dtype=self.dtype)(x, train))
    if self.imagenet_stem:
      x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    options = dict(bottleneck=self.bottleneck, version=self.version, option=self.option, dtype=self.dtype)
    block = functools.partial(Block, zero_init=self.zero_init, dropout=self.dropout, **options)
    for stage, (size, width) in enumerate(zip(self.stage_sizes, self.widths, strict=True)):
      for i in range(size):
        x = block(width, stride=2 if stage and not i else 1)(x, train)
    if self.version == 2:
      x = nn.relu(layers.BatchNorm(dtype=self.dtype)(x, train))
    return layers.logits_layer(self.num_classes)(x.mean((1, 2)))


def cifar_resnet(depth: int, num_classes: int = 10, option: str = "A", **options) -> ResNet:
  """He et al. (2015), section 4.2: 6n + 2 layers of 16, 32 and 64 channels on 32x32 images."""
  if (depth - 2) % 6 or depth < 8:
    raise ValueError(f"A CIFAR ResNet has 6n + 2 layers; {depth} is none of 8, 14, 20, 32, 44, 56, 110, ...")
  return ResNet(((depth - 2) // 6,) * 3, (16, 32, 64), num_classes, option=option, **options)


def _imagenet(stage_sizes: Sequence[int], bottleneck: bool, num_classes: int = 1000, **options) -> ResNet:
  """He et al. (2015), table 1."""
  options |= {"bottleneck": bottleneck, "stem_width": 64, "imagenet_stem": True}
  return ResNet(stage_sizes, (64, 128, 256, 512), num_classes, **options)


resnet20 = functools.partial(cifar_resnet, 20)
resnet32 = functools.partial(cifar_resnet, 32)
resnet44 = functools.partial(cifar_resnet, 44)
resnet56 = functools.partial(cifar_resnet, 56)
resnet110 = functools.partial(cifar_resnet, 110)
resnet10 = functools.partial(_imagenet, (1, 1, 1, 1), False)  # Simon, Rodner and Denzler, 2016
resnet18 = functools.partial(_imagenet, (2, 2, 2, 2), False)
resnet34 = functools.partial(_imagenet, (3, 4, 6, 3), False)
resnet50 = functools.partial(_imagenet, (3, 4, 6, 3), True)
resnet101 = functools.partial(_imagenet, (3, 4, 23, 3), True)
resnet152 = functools.partial(_imagenet, (3, 8, 36, 3), True)

# The published depths by the number that names them.
IMAGENET = {10: resnet10, 18: resnet18, 34: resnet34, 50: resnet50, 101: resnet101, 152: resnet152}


def wide_resnet(depth: int, factor: int, num_classes: int = 10, dropout: float = 0.0, **options) -> ResNet:
  """WRN-depth-factor (Zagoruyko and Komodakis, 2016, table 1): pre-activation, 16, 32 and 64 channels times factor."""
  if (depth - 4) % 6:
    raise ValueError(f"A wide ResNet has 6n + 4 layers; {depth} is none of 10, 16, 22, 28, 34, 40, ...")
  widths = tuple(factor * width for width in (16, 32, 64))
  return ResNet(((depth - 4) // 6,) * 3, widths, num_classes, version=2, dropout=dropout, **options)
