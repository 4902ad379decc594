"""ResNet-50 on ImageNet: large batches, linear scaling with warm-up, zero-init of each block's last scale.

Paper: He et al. 2015; Goyal et al. 2017: 76.3 % top-1; the Flax example reports 76.54 % on a TPU v3-32.
Command: python -m experiments.resnet --config=configs/resnet/imagenet.py --config.data.data_dir=...
Hardware: 8 GPUs or a TPU slice
Time: not measured here (the Flax example: 2.1 hours on a TPU v3-32)
Expected: 76.5 % top-1; not run here, where the data are not at hand; tested on mock data
"""

from configs import common
from configs.resnet import _base


def get_config(variant: str = ""):
  """The config; `smoke` is a small stand-in: ResNet-10 on 32x32 images."""
  config = _base.base("imagenet")
  config.data.name = "imagenet2012"
  config.data.normalise = "imagenet"
  config.data.test_split = "validation"
  config.data.image_size = 224
  config.data.channels = 3
  config.data.streamed = True
  config.data.random_area = (0.08, 1.0)
  config.data.centre = 0.875
  config.data.eval_batch_size = 1024
  config.model.imagenet.depth = 50
  config.model.imagenet.zero_init = True
  config.augment.flip = True
  config.optimizer.learning_rate = 0.4
  config.optimizer.warmup = "5 epochs"
  config.optimizer.nesterov = True
  config.train.batch_size = 1024
  config.train.duration = "90 epochs"
  config.train.label_smoothing = 0.1
  config.train.precision = "bfloat16"
  config.published.test_accuracy = {"value": 0.7654, "source": "Flax ImageNet example, README, TPU v3-32"}
  if variant == "smoke":
    config.model.imagenet.depth = 10
    config.data.image_size = 32
    config.train.precision = "float32"
    config.optimizer.warmup = "2 steps"
  return common.variant(config, variant)
