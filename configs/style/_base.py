"""The fields of image to image translation."""

import ml_collections

from configs import _generative, common
from configs._choice import Choice

MODELS = {
  "cyclegan": {  # without pairs
    "widths": (16, 32),  # channels of the generators, at full size and behind each halving
    "blocks": 4,  # their residual blocks, at the smallest size
    "cycle": 10.0,  # weight of the cycle loss
    "identity": 0.0,  # of the identity loss, as a share of that; 0.5 keeps the colours of photographs
    "loss": "least_squares",  # least_squares, non_saturating
  },
  "pix2pix": {  # with pairs
    "widths": (32, 64, 128),  # channels of the U-Net behind each halving
    "reconstruction": 100.0,  # weight of the absolute error
    "loss": "non_saturating",  # least_squares, non_saturating
  },
}
SMALL = {"cyclegan": {"widths": (4, 8), "blocks": 1}, "pix2pix": {"widths": (4, 8)}}


def base(model: str = "cyclegan") -> ml_collections.ConfigDict:
  """`generative`, with two domains, two players and what judges."""
  config = _generative.generative()
  config.domains = ml_collections.ConfigDict(
    {
      "a": "upright",  # look of domain A: upright, slanted, outlined, slanted_outlined, edges
      "b": "slanted_outlined",  # of domain B
      "size": 28,  # side of an image, pixels; one's own are brought to it
      "margin": 0,  # black pixels around a picture, on every side, within the size
    }
  )
  config.measure = ml_collections.ConfigDict(
    {
      "config": "configs/cnn/mnist.py:judge",  # of the classifier that judges, which is trained here on each domain
      "duration": "2 epochs",  # of its training
    }
  )
  config.report = ml_collections.ConfigDict(
    {
      "samples": 12,  # columns of the figure
      "direction": "to_b",  # in which --mode=predict translates: to_b, to_a
    }
  )
  config.model = Choice(model, MODELS, critic_widths=(32, 64))  # of the critics, behind each halving
  config.optimizer.update({"learning_rate": 2e-4, "schedule": "linear", "b1": 0.5})  # Zhu et al. 2017, section 4
  config.critic_optimizer = ml_collections.ConfigDict(config.optimizer.to_dict())
  config.train.update({"batch_size": 8, "ema_decay": 0.99})  # of each domain
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, narrow networks and a judge of two steps."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.model.defaults(**SMALL)
    config.model.critic_widths = (4, 8)
    for optimizer in (config.optimizer, config.critic_optimizer):
      optimizer.learning_rate = 2e-4  # at the configs' own, rounding has grown too far to compare within eight steps
    config.measure.update({"config": "configs/cnn/digits.py", "duration": "2 steps"})
  return config
