"""CycleGAN on your own images, a folder with the folders A and B; variant `pairs`: pix2pix on images of the same names.

Paper: Zhu et al. 2017; Isola et al. 2017.
Command: python -m experiments.style --config=configs/style/own.py --config.data.path=my_styles
Hardware: any; of photographs, one GPU
Time: depends on the data
Expected: nothing; a fifth of the images of each domain is held out for testing
"""

from configs.style import _base


def get_config(variant: str = ""):
  """The config; `pairs` learns of pairs, `smoke` is the default in seconds."""
  config = _base.base("pix2pix" if variant == "pairs" else "cyclegan")
  config.data.name = "own"
  config.data.path = ""  # my_styles/A/*.png (or .jpg, ...), my_styles/B/*.png; of a pair, of the same name
  config.data.channels = 3
  config.data.eval_batch_size = 64
  config.domains.size = 64
  config.model.critic_widths = (64, 128, 256)
  config.model.defaults(
    cyclegan={"widths": (32, 64, 128), "blocks": 6, "identity": 0.5}, pix2pix={"widths": (64, 128, 256, 256)}
  )
  config.train.update({"duration": "100 epochs", "ema_decay": 0.999})
  return _base.variant(config, variant, also=("pairs",))
