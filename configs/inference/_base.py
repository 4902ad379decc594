"""The fields of Bayesian inference: a model, a method, and how long."""

import ml_collections

from configs import common
from configs._choice import Choice

MODELS = {
  "eight_schools": {"centred": False},  # effects themselves as parameters, which makes a funnel of them
  "linear": {"scale": 1.0},  # prior deviation of intercept and weights
  "logistic": {"scale": 1.0},
  "poisson": {"scale": 1.0},
  "mixture": {"components": 3},
  "gaussian_process": {},
  "own": {"path": ""},  # a Python file whose model() returns a research.inference.model.Model
  "numpyro": {"path": ""},  # a Python file whose model() is a NumPyro model (the extra `inference`)
}
CHAINS = {
  "warmup": 1000,  # transitions that adapt step size and mass; not kept
  "thin": 1,  # each so many-th transition is kept
  "step_size": 0.5,  # at the beginning, in units of the posterior's scale
  "dense": False,  # a dense mass matrix, in place of a diagonal one
}
METHODS = {
  "nuts": {**CHAINS, "acceptance": 0.8, "max_depth": 10},  # mean acceptance adapted to; doublings at most
  "hmc": {**CHAINS, "acceptance": 0.8, "path": 1.5, "most": 256},  # mean length in time; steps at most
  "metropolis": {**CHAINS, "acceptance": 0.234},
  "gibbs": dict(CHAINS),
  "langevin": {
    **CHAINS,
    "step_size": 0.05,
    "batch_size": 0,  # rows of a gradient; 0: all
    "decay": 0.0,  # step size ~ (1 + t / delay) ** -decay
    "delay": 1000.0,
  },
  # By gradient: of a step of batch_size draws, or particles.
  "mean_field": {"learning_rate": 0.05},  # Adam's, which falls by a cosine
  "full_rank": {"learning_rate": 0.05},
  "flow": {
    "learning_rate": 5e-3,
    "elementwise": "spline",  # affine, spline
    "bins": 8,
    "layers": 6,
    "width": 32,
    "blocks": 1,
  },
  "laplace": {"learning_rate": 0.05},
  "svgd": {"learning_rate": 0.05, "repulsion": 1.0},  # of the median heuristic's width
}


def inference(model: str, method: str = "nuts", data: str = "") -> ml_collections.ConfigDict:
  """A model by a method."""
  config = common.classical()
  config.data = ml_collections.ConfigDict(
    {
      "name": data,  # breast_cancer, diabetes, linnerud, petals, waves; "" where the model has its own
      "path": "",  # one's own table of numbers
      "target": "",  # its column that the others explain; "": the last
      "eval_batch_size": 1000,  # over all devices
    }
  )
  config.model = Choice(model, MODELS)
  config.method = Choice(method, METHODS)
  config.train.update({"batch_size": 4, "duration": "3000 steps"})  # chains or draws; with warm-up
  del config.train["accumulate"]
  config.report = ml_collections.ConfigDict(
    {
      "quantities": (),  # what is drawn and told by name, such as ("mu", "theta[1]"); () takes the first six
      "reference": {},  # name -> (means, their standard errors), which means are held against
      "draws": 1000,  # that scores of rows held out are averaged over, and that approximations are told by
      "netcdf": False,  # draws as samples/inference_data.nc, which ArviZ opens (the extra `arviz`)
      "compare": 0,  # transitions of four NUTS chains that the report holds an approximation against; 0: none
    }
  )
  config.run.steps_per_dispatch = 100
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; smoke warms up for three transitions of four chains."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.train.batch_size = 4
    config.report.draws = 16
    config.report.compare = min(config.report.compare, 30)
    config.report.reference = ml_collections.ConfigDict()
    config.run.steps_per_dispatch = 2
    fields = config.method[config.method.name]
    if "warmup" in fields:
      fields.update({"warmup": 3, "thin": 1})
    if "max_depth" in fields:
      fields.max_depth = 4
  return config
