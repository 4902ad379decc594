"""The fields of normalizing flows: layers, what they are of, and the base."""

import ml_collections

from configs import _generative
from configs._choice import Choice

NETWORKS = {
  "coupling": {  # of vectors
    "layers": 8,  # couplings, with a rotation between two
    "width": 128,  # of the conditioners
    "blocks": 2,  # residual blocks of a conditioner
    "elementwise": "spline",  # affine, logistics, spline
    "bins": 8,  # of splines
    "components": 4,  # of logistics
  },
  "maf": {  # of vectors: density in one pass, samples in one a dimension
    "layers": 5,  # with the order turned round between two
    "hidden": (128, 128),  # widths of MADE
    "elementwise": "affine",  # affine, logistics, spline
    "bins": 8,  # of splines
    "components": 4,  # of logistics
    "inverse": False,  # IAF: samples in one pass, density in one a dimension
  },
  "continuous": {  # of vectors: along a field of velocities
    "width": 64,  # of the network
    "blocks": 2,  # of the network
    "steps": 8,  # of the solver, Runge-Kutta's of fourth order
    "probes": 1,  # of Hutchinson's estimate of the divergence in training; 0: exactly
  },
  "image": {  # of bytes: Glow, with Flow++'s couplings and dequantisation
    "scales": 2,  # at the end of each but the last, half of the channels are factored out
    "steps": 4,  # actnorm, 1x1 convolution and coupling, a scale
    "width": 32,  # of the conditioners
    "blocks": 2,  # gated blocks of a conditioner
    "elementwise": "logistics",  # affine, logistics, spline
    "bins": 8,  # of splines
    "components": 4,  # of logistics
    "dequantisation": "variational",  # uniform, variational
    "noise_steps": 2,  # couplings of the variational dequantisation
  },
}
SMALL = {
  "coupling": {"layers": 2, "width": 8, "blocks": 1, "bins": 3},
  "maf": {"layers": 2, "hidden": (8,)},
  "continuous": {"width": 8, "blocks": 1, "steps": 2},
  "image": {"steps": 1, "width": 4, "blocks": 1, "components": 2, "noise_steps": 1},
}


def flow(network: str = "coupling") -> ml_collections.ConfigDict:
  """`_generative.generative`, with a flow."""
  config = _generative.generative()
  config.data.points = 100_000  # of points, and runs of a simulator: to train on; others test
  config.model = Choice(
    network,
    NETWORKS,
    base="normal",  # normal, logistic, mixture (of Gaussians)
    base_components=3,  # of a mixture
    conditional=False,  # on the label
  )
  config.report.update(
    {
      "density_side": 100,  # of points: places along a side of the map of the density
      "temperature": 1.0,  # of samples of images: what the noise is multiplied by
      "importance_samples": 0,  # of images: draws of the dequantisation for the test likelihood; 0 leaves it out
      "folds": 0,  # of tables: k, to cross-validate the estimator beside Gaussian mixtures; 0 does not
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`_generative.variant`; in `smoke`, a small flow and few points."""
  importance = config.report.importance_samples
  config = _generative.variant(config, name, also)
  if name == "smoke":
    config.model[config.model.name].update(SMALL[config.model.name])
    config.data.points = 64
    config.report.update({"samples": 4, "density_side": 4, "importance_samples": min(importance, 2), "folds": 0})
  return config
