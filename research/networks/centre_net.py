"""The network of a centre-based detector: a ResNet trunk, a neck that brings its last stage up again, and three heads.

Zhou, Wang & Krähenbühl 2019, with the top-down sums of Lin et al. 2017 (FPN) for a neck.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers
from research.networks.resnet import Block, conv
from research.networks.unet import doubled

Images = Float[Array, "batch height width channel"]
PRIOR = -2.19  # logit of 0.1: at 0.5 the empty cells' loss would drown all else at first (RetinaNet, sec. 3.3)


class Maps(NamedTuple):
  """What is told of each cell of a grid, `stride` pixels apart.

  Attributes:
    heat: logits that an object of the class has its centre in the cell.
    size: height and width of the object, cells.
    offset: of the centre, down and right of the cell's upper left corner, cells.
  """

  heat: Float[Array, "batch rows columns class"]
  size: Float[Array, "batch rows columns 2"]
  offset: Float[Array, "batch rows columns 2"]


class CentreNet(nn.Module):
  """Images, whose sides are multiples of 2^(stages + 1), to `Maps` of cells of 2^(level + 2) pixels.

  Attributes:
    widths: channels of the trunk's stages; the stem halves the image, and so does each stage.
    blocks: residual blocks a stage.
    level: stage to whose resolution the neck comes up.
    features: channels of the neck and of the heads.
    num_classes: of objects.
    dtype: compute type; parameters and maps are float32.
  """

  widths: Sequence[int]
  blocks: int
  level: int
  features: int
  num_classes: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Maps:
    norm = lambda y: nn.relu(layers.BatchNorm(dtype=self.dtype)(y, train))
    y, stages = norm(conv(self.widths[0], 3, 2, self.dtype)(x)), []
    for width in self.widths:
      for i in range(self.blocks):
        y = Block(width, stride=1 if i else 2, dtype=self.dtype)(y, train)
      stages.append(y)
    y = conv(self.features, 1, 1, self.dtype)(stages.pop())
    while len(stages) > self.level:
      below = conv(self.features, 1, 1, self.dtype)(stages.pop())
      y = below + doubled(y, below.shape)
    y = norm(conv(self.features, 3, 1, self.dtype)(nn.relu(y)))

    def head(outputs: int, bias: float):
      hidden = nn.relu(layers.Conv(self.features, dtype=self.dtype)(y))
      return layers.Conv(outputs, (1, 1), kernel_init=nn.initializers.normal(0.01))(hidden) + bias

    return Maps(head(self.num_classes, PRIOR), head(2, 0.0), head(2, 0.5))
