"""Multilayer perceptrons: fully connected networks on vectors, or on images whose geometry is thrown away.

  python -m experiments.mlp                                        digits, embedded: a minute
  python -m experiments.mlp --config=configs/mlp/mnist.py --config.data.data_dir=...
  python -m experiments.mlp --mode=predict --workdir=... --input=images.npz

Rumelhart, Hinton & Williams 1986; dropout and max-norm: Srivastava et al. 2014; batch norm: Ioffe & Szegedy 2015.
"""

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import classification
from research.errors import UserError
from research.evaluation import figures
from research.networks.mlp import MLP
from research.training.experiment import Experiment

DEFAULT = "configs/mlp/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """An MLP classifier; what augments images has no place here, since the protocols are permutation-invariant."""
  model = config.model
  if model.batch_norm and config.data.folds:
    remedy = "held-out examples share batches with the others and would enter their statistics: set it to False."
    raise UserError("config.model.batch_norm", True, f"in a cross-validation, {remedy}")

  def network(num_classes, dtype):
    return MLP(
      features=tuple(model.features),
      num_outputs=num_classes,
      dropout=model.dropout,
      input_dropout=model.input_dropout,
      input_noise=model.input_noise,
      noise=model.noise,
      batch_norm=model.batch_norm,
      kernel_init=model.kernel_init,
      dtype=dtype,
    )

  return classification.experiment(config, network, first_layer=_filters, images=False)


def _filters(params, image_shape: tuple[int, ...]):
  """The first layer's weights as images: one for each of the strongest hidden units."""
  return figures.filters(np.asarray(params["Dense_0"]["kernel"]), image_shape)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
