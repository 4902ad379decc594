"""A machine of 100 hidden units on scikit-learn's digits, black and white: the embedded default.

Variants: `gaussian` visible units; `tempering`; `deep` stacks three, which initialise an MLP of 100 labelled images.

Paper: Hinton 2002; Tieleman 2008; the data are Alpaydin & Kaynak's 1,797 images of 8x8 pixels, a fifth held out
Command: python -m experiments.rbm
Hardware: 2 CPU cores
Time: under a minute
Expected: samples that a person recognises, and -19.2 nats; `deep`: 82.7 % test accuracy of an MLP, 81.1 % without
"""

from configs.rbm import _base

VARIANTS = ("gaussian", "tempering", "deep")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.rbm()
  config.data.name = "digits"
  config.data.validation = 0.1
  config.train.duration = "200 epochs"
  config.train.batch_size = 64
  config.run.steps_per_dispatch = 50
  match variant:
    case "gaussian":
      config.model.visible = "gaussian"
      config.optimizer.learning_rate = 0.01
    case "tempering":
      config.model.name = "tempering"
    case "deep":
      config.model.hidden = (200, 200)
      config.report.fine_tune = 400
  return _base.variant(config, variant, VARIANTS)
