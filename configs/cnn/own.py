"""A strong small convolutional network on your own images: an .npz file, or a folder of images by class.

Paper: none.
Command: python -m experiments.cnn --config=configs/cnn/own.py --config.data.path=my_images
Hardware: any
Time: depends on the data; 2 CPU cores train on about 2,000 images of 28x28 a second
Expected: nothing; a fifth of the images is held out for testing where the folder has no `test`
"""

from configs import common
from configs.cnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base("small")
  config.data.name = "own"
  config.data.path = ""  # my_images/<class>/*.png, my_images/{train,test}/<class>/*.png, or my_images.npz
  config.data.image_size = 32
  config.data.channels = 3
  config.data.normalise = "train"
  config.data.validation = 0.1
  config.data.eval_batch_size = 200
  config.augment.translation = 2.0
  config.augment.rotation = 10.0
  config.augment.flip = True
  config.optimizer.name = "adamw"
  config.optimizer.learning_rate = 2e-3
  config.optimizer.weight_decay = 0.01
  config.optimizer.warmup = "5 %"
  config.train.duration = "30 epochs"
  config.train.ema_decay = 0.99
  return common.variant(config, variant)
