"""Convolutional networks on small images: the textbook network, LeNet-5, and a strong modern one.

  python -m experiments.cnn                                        digits, embedded: a minute
  python -m experiments.cnn --config=configs/cnn/mnist.py --config.data.data_dir=...
  python -m experiments.cnn --config=configs/cnn/own.py --config.data.path=folder_of_images_by_class
  python -m experiments.cnn --mode=predict --workdir=... --input=folder_of_images

LeCun, Bottou, Bengio & Haffner 1998; the textbook network is that of the MNIST examples of Keras, PyTorch and Flax.
"""

import functools

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import classification
from research.data import augmentation
from research.evaluation import figures
from research.networks import cnn
from research.training.experiment import Experiment

DEFAULT = "configs/cnn/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A convolutional classifier."""
  views = augmentation.test_views(config.data.test_views)
  return classification.experiment(config, functools.partial(network, config.model), views=views, first_layer=_filters)


def network(model: ml_collections.ConfigDict, num_classes: int, dtype) -> nn.Module:
  """The network that a config's `model` names, with the fields of its section."""
  networks = {"textbook": cnn.CNN, "lenet5": cnn.LeNet5, "small": cnn.SmallCNN}
  return networks[model.name](num_classes, dtype=dtype, **model[model.name])


def _filters(params, image_shape: tuple[int, ...]):
  return figures.filters(np.asarray(params["Conv_0"]["kernel"]))


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
