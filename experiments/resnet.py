"""Residual networks: CIFAR's 20 to 110 layers, ImageNet's 18 to 152, wide ones, and a speed-run network.

  python -m experiments.resnet                                     digits, embedded: a minute
  python -m experiments.resnet --config=configs/resnet/cifar10.py --config.data.data_dir=...
  python -m experiments.resnet --config=configs/resnet/cifar10_fast.py
  python -m experiments.resnet --config=configs/resnet/imagenet.py --config.run.parallelism=pmap

He et al. 2015 (v1) and 2016 (v2, identity mappings); Zagoruyko & Komodakis 2016 (wide); Goyal et al. 2017 (zero-init of
the last scale, large batches); Jordan 2024 (fast).
"""

import functools

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import classification
from research.data import augmentation
from research.errors import UserError
from research.evaluation import figures
from research.networks import fast_resnet, resnet
from research.training.experiment import Experiment

DEFAULT = "configs/resnet/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A residual classifier."""
  return classification.experiment(
    config,
    _network(config.model),
    views=augmentation.test_views(config.data.test_views),
    prepare=_whitened if config.model.name == "fast" else None,
    first_layer=_filters,
  )


def _network(model: ml_collections.ConfigDict):
  """`network(num_classes=..., dtype=...)` of the kind and depth that the config names."""
  options = model[model.name].to_dict()
  depth = options.pop("depth")
  match model.name:
    case "fast":
      return functools.partial(fast_resnet.FastResNet, depth=depth, **options)
    case "wide" if depth % 6 == 4:
      return functools.partial(resnet.wide_resnet, depth, **options)
    case "cifar" if depth % 6 == 2 and depth > 2:
      return functools.partial(resnet.cifar_resnet, depth, option=options.pop("shortcut"), **options)
    case "imagenet" if depth in resnet.IMAGENET:
      return functools.partial(resnet.IMAGENET[depth], **options)
  depths = {
    "cifar": "20, 32, 44 (6n + 2)",
    "imagenet": sorted(resnet.IMAGENET),
    "wide": "16, 22, 28 (6n + 4)",
  }
  raise UserError(f"config.model.{model.name}.depth", depth, f"choose one of {depths[model.name]}.")


def _whitened(variables, batch):
  """The first layer whitens the patches of the first batch (Page 2018)."""
  return {**variables, "params": fast_resnet.with_whitening(variables["params"], batch["inputs"])}


def _filters(params, image_shape: tuple[int, ...]):
  name = "whitening_kernel"
  return figures.filters(np.asarray(params[name] if name in params else params["Conv_0"]["kernel"]))


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
