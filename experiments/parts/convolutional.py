"""A convolutional classifier: of `experiments.cnn`, and the one whose features measure what other families generate."""

import functools

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import classification
from experiments.parts.splits import Splits
from research.data import augmentation
from research.data.examples import Examples
from research.evaluation import figures
from research.networks import cnn
from research.training.experiment import Experiment


def classifier(config: ml_collections.ConfigDict, parts: Splits[Examples] | None = None) -> Experiment:
  """The classifier of a config of `configs/cnn`: of what its `data` names, or of `parts`."""
  views = augmentation.test_views(config.data.test_views)
  of_config = functools.partial(network, config.model)
  return classification.experiment(config, of_config, views=views, first_layer=_filters, parts=parts)


def network(model: ml_collections.ConfigDict, num_classes: int, dtype) -> nn.Module:
  """The network that a config's `model` names, with the fields of its section."""
  networks = {"textbook": cnn.CNN, "lenet5": cnn.LeNet5, "small": cnn.SmallCNN}
  return networks[model.name](num_classes, dtype=dtype, **model[model.name])


def _filters(params, image_shape: tuple[int, ...]):
  return figures.filters(np.asarray(params["Conv_0"]["kernel"]))
