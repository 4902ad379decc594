"""The fields of variational autoencoders."""

import ml_collections

from configs import _generative
from configs._choice import Choice

NETWORKS = {
  "mlp": {
    "latents": (50,),  # sizes of the levels of latents, top first
    "hidden": (200, 200),  # widths between two levels, from the image up
    "activation": "tanh",  # relu, tanh, leaky_relu, elu, gelu, gated
    "dropout": 0.0,  # rate in the encoder
  },
  "conv": {
    "vector": 32,  # size of the top level
    "maps": (),  # channels of the latents at each stage, largest first; (): only the vector
    "widths": (32, 64),  # channels of the stages, each half the size of the one before
    "blocks": 1,  # residual blocks a stage
  },
  "vq": {  # convolutions around a codebook
    "widths": (32, 64),  # as of conv
    "blocks": 1,
    "codes": 64,  # entries of the codebook
    "code_size": 16,  # length of an entry
    "commitment": 0.25,  # weight of the encoder's distance to its code
    "code_decay": 0.99,  # of the codebook's moving averages
  },
}
SMALL = {"mlp": {}, "conv": {"widths": (4, 4)}, "vq": {"widths": (4, 4), "codes": 8, "code_size": 4}}


def vae(network: str = "mlp") -> ml_collections.ConfigDict:
  """`generative`, with a variational autoencoder."""
  config = _generative.generative()
  config.data.update(
    {
      "binarise": False,  # draw every pixel from its grey value: anew at each step, once for evaluation
      "leave_out": "",  # classes left out of training, to be told as anomalies: "3,5" or "all"; a model for each
    }
  )
  config.model = Choice(
    network,
    NETWORKS,
    likelihood="bernoulli",  # bernoulli, gaussian, logistic (discretised, for bytes)
    levels=256,  # of logistic: that pixels have; to have fewer than 256, bytes are even
    std=0.0,  # of gaussian, in units of pixels 0 to 1; 0 learns it for every pixel
    conditional=False,  # encoder and decoder see the label
  )
  config.train.update(
    {
      "objective": "elbo",  # elbo, iwae
      "samples": 1,  # of the latents, for each image
      "beta": 1.0,  # weight of the KL divergence in training
      "warmup": "0 steps",  # duration of the linear rise of that weight from 0
      "eval_samples": 10,  # of the importance-weighted bound in evaluation
    }
  )
  config.report.update(
    {
      "oddities": 0,  # test images that odd ones are told from by their likelihood; 0 leaves it out
      "importance_samples": 1000,  # of the test log-likelihood
      "chunk": 50,  # of them at once
      "batch_size": 100,  # images at once, with so many samples each
      "sweeps": 100,  # of Gibbs sampling, to impute missing pixels
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, small convolutions and few samples."""
  config = _generative.variant(config, name, also)
  if name == "smoke":
    config.model[config.model.name].update(SMALL[config.model.name])
    config.report.update({"importance_samples": 10, "chunk": 5, "batch_size": 20, "sweeps": 3})
    config.report.oddities = min(config.report.oddities, 4)
  return config
