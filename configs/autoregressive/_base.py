"""The fields of autoregressive models: a network, and the distribution of an element."""

import ml_collections

from configs import _generative
from configs._choice import Choice

NETWORKS = {
  "made": {
    "hidden": (500, 500),  # widths of the layers
    "seed": 0,  # of the masks; 0: even ones
    "dropout": 0.0,  # rate behind the hidden layers
  },
  "pixelcnn": {
    "width": 32,  # channels of either stack
    "dilations": (1, 1, 1, 1),  # of the layers behind the first
    "first_size": 7,  # side of the first layer's kernel
    "size": 3,  # side of the other kernels
    "dropout": 0.0,  # rate in the blocks
  },
  "transformer": {
    "width": 64,  # of the residual stream
    "depth": 4,  # layers
    "heads": 4,  # of the attention
    "dropout": 0.0,  # rate
  },
  "wavenet": {
    "dilations": (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),  # of the blocks
    "width": 32,  # channels of the residuals
    "skip": 64,  # channels of the skip connections
  },
}
SMALL = {
  "made": {"hidden": (16,)},
  "pixelcnn": {"width": 4, "dilations": (2,), "first_size": 3},
  "transformer": {"width": 8, "depth": 1, "heads": 2},
  "wavenet": {"dilations": (1, 2), "width": 4, "skip": 8},
}


def autoregressive(network: str = "pixelcnn") -> ml_collections.ConfigDict:
  """`_generative.generative`, with an autoregressive model."""
  config = _generative.generative()
  config.data.levels = 256  # that an element has: images of bytes are brought to so many
  config.data.codes = (
    ""  # of `codes`: folder of a VQ-VAE's run (experiments.vae); empty: one is trained, once, and kept
  )
  config.data.vae = "configs/vae/vq.py:digits"  # that one's config
  config.data.length = 4096  # of sound: samples of a recording, cut or filled with silence
  config.train.transpose = 0  # of music: each piece is moved by up to so many semitones, down or up
  config.model = Choice(
    network,
    NETWORKS,
    head="categorical",  # bernoulli (two levels), categorical, logistics (discretised mixture)
    components=5,  # of logistics
    conditional=False,  # on the label
  )
  config.report.update(
    {
      "completions": 8,  # test examples of which the rest is drawn, given the first half
      "oddities": 0,  # test images that odd ones are told from by their likelihood; 0 leaves it out
      "coded": 100,  # test examples that are compressed, and read back
      "temperature": 1.0,  # of the samples
      "steps": 64,  # of music: time steps of a sample
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`_generative.variant`; in `smoke`, a small network."""
  config = _generative.variant(config, name, also)
  if name == "smoke":
    config.model[config.model.name].update(SMALL[config.model.name])
    config.data.length = 64
    report = config.report
    few = {field: min(report[field], 2) for field in ("completions", "coded", "oddities")}
    report.update({"samples": 4, "steps": 8, **few})
  return config
