"""Convolutional networks on small images: the textbook network, LeNet-5, and a strong modern one.

  python -m experiments.cnn                                        digits, embedded: a minute
  python -m experiments.cnn --config=configs/cnn/mnist.py --config.data.data_dir=...
  python -m experiments.cnn --config=configs/cnn/own.py --config.data.path=folder_of_images_by_class
  python -m experiments.cnn --mode=predict --workdir=... --input=folder_of_images

LeCun, Bottou, Bengio & Haffner 1998; the textbook network is that of the MNIST examples of Keras, PyTorch and Flax.
"""

import ml_collections

from experiments.command import cli
from experiments.parts import convolutional
from research.training.experiment import Experiment

DEFAULT = "configs/cnn/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A convolutional classifier."""
  return convolutional.classifier(config)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
