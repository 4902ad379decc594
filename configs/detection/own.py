"""A centre-based detector on your own images: a folder with annotations.json, as COCO has it, and images/.

Paper: none.
Command: python -m experiments.detection --config=configs/detection/own.py --config.data.path=my_images
Hardware: any
Time: depends on the data
Expected: nothing; a fifth of the images is held out for testing
"""

from configs.detection import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "own"
  config.data.path = ""  # my_images/annotations.json, my_images/images/*.png (or .jpg, ...)
  config.data.eval_batch_size = 64
  config.scene.size = 128  # larger images are reduced to it
  config.model.update({"widths": (32, 64, 128, 256), "blocks": 2})
  config.detect.candidates = 100
  config.train.batch_size = 16
  config.train.duration = "50 epochs"
  config.optimizer.learning_rate = 1e-3
  config.optimizer.warmup = "5 %"
  return _base.variant(config, variant)
