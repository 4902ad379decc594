"""A U-Net on your own images: a folder with images/ and, of the same names, masks/, whose values are classes.

Paper: none.
Command: python -m experiments.segmentation --config=configs/segmentation/own.py --config.data.path=my_images
Hardware: any
Time: depends on the data
Expected: nothing; a fifth of the images is held out for testing
"""

from configs.segmentation import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "own"
  config.data.path = ""  # my_images/images/*.png (or .jpg, ...), my_images/masks/*.png; 255 in a mask is unknown
  config.data.eval_batch_size = 64
  config.scene.size = 64
  config.train.batch_size = 16
  config.train.duration = "30 epochs"
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup = "5 %"
  config.run.best_metric = "miou"
  return _base.variant(config, variant)
