"""The fields of generative adversarial networks."""

import ml_collections

from configs import _generative
from configs._choice import Choice

NETWORKS = {
  "dcgan": {
    "generator_widths": (128, 64),  # channels from the smallest image on
    "critic_widths": (64, 128),  # the same of the discriminator
  },
  "mlp": {  # images as vectors, and points
    "generator_widths": (128, 64),  # of the hidden layers
    "critic_widths": (64, 128),  # the same of the discriminator
    "output": "tanh",  # tanh, sigmoid, linear
    "generator_norm": True,  # batch normalisation in the generator
  },
}
SMALL = {
  "dcgan": {"generator_widths": (8, 8), "critic_widths": (8, 8)},
  "mlp": {"generator_widths": (16, 16), "critic_widths": (16, 16)},
}


def gan(network: str = "dcgan") -> ml_collections.ConfigDict:
  """`generative`, with two networks, two optimizers and what is measured of the samples."""
  config = _generative.generative()
  config.measure = _generative.measure()
  config.data.stacked = False  # three grey images as the channels of one: stacked MNIST
  config.data.examples = 100_000  # of points: training examples
  config.model = Choice(
    network,
    NETWORKS,
    latent_size=64,  # components of z
    critic_norm="batch",  # batch (dcgan only), spectral, none
    conditional=False,  # on the class: one-hot beside z, projection in the discriminator
    loss="non_saturating",  # non_saturating, least_squares, hinge, wasserstein
    gradient_penalty=0.0,  # its weight; 10 with the Wasserstein loss
    r1=0.0,  # gamma of the R1 penalty
    augment=(),  # DiffAugment, of images: color, translation, cutout
  )
  config.optimizer.update({"learning_rate": 2e-4, "schedule": "constant", "b1": 0.5})  # Radford et al. 2016
  config.critic_optimizer = ml_collections.ConfigDict(config.optimizer.to_dict())
  config.train.update({"batch_size": 64, "critic_steps": 1, "ema_decay": 0.999})  # a batch is divided among the steps
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, narrow networks."""
  config = _generative.variant(config, name, also)
  if name == "smoke":
    config.model[config.model.name].update(SMALL[config.model.name])
  return config
