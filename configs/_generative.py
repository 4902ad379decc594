"""What the configs of the families that generate share: VAE, GAN, diffusion."""

import ml_collections

from configs import _images, common


def generative() -> ml_collections.ConfigDict:
  """`common.base`, with images and their figures."""
  config = common.base()
  config.data.update(_images.images())
  config.report = ml_collections.ConfigDict({"samples": 64})  # images in a figure
  return config


def measure() -> ml_collections.ConfigDict:
  """How samples are measured: by the features and labels of a classifier that this project trains."""
  return ml_collections.ConfigDict(
    {
      "samples": 10_000,  # whose classes are counted
      "classifier": "",  # folder of a finished run of experiments.cnn; empty: one is trained, once, and kept
      "config": "configs/cnn/mnist.py:judge",  # that one's config; its data are those that are generated
      "duration": "5 epochs",  # of its training
    }
  )


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, few samples are measured."""
  config = common.variant(config, name, also)
  if name == "smoke" and "measure" in config:
    config.measure.update({"samples": 16, "duration": "2 steps"})
  return config
