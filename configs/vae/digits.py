"""A VAE on scikit-learn's digits: the embedded default.

`:anomaly` trains ten models side by side, each without one class, and tells that class by its bound; `:manifold` has
two latents and draws their plane; `:conditional` is told the label; `:conv` is convolutional; `:levels` models
the 17 grey levels that the data have, as autoregressive/digits does.

Paper: Kingma & Welling 2014; the data are Alpaydin & Kaynak's 1,797 images of 8x8 pixels, a fifth held out for testing
Command: python -m experiments.vae
Hardware: 2 CPU cores
Time: under two minutes; `:anomaly` about as long
Expected: 159 nats, 3.6 bits a pixel, and reconstructions, samples and interpolations that a person recognises;
  `:levels` 83.9 nats, 1.89 bits, where autoregressive/digits has 1.76, and tells all odd images (AUROC 1.000);
  `:anomaly` a mean AUROC of 0.82, and below 0.5 for the ones, which are simpler than what the model knows
"""

from configs.vae import _base

VARIANTS = ("anomaly", "manifold", "conditional", "conv", "levels")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.vae()
  config.data.name = "digits"
  config.data.validation = 0.1
  config.data.eval_batch_size = 360
  config.model.mlp.latents = (16,)
  config.model.mlp.hidden = (256, 256)
  config.model.mlp.activation = "leaky_relu"
  config.model.likelihood = "logistic"
  config.train.batch_size = 64
  config.train.duration = "100 epochs"
  config.train.warmup = "10 %"
  config.train.ema_decay = 0.999
  config.run.steps_per_dispatch = 50
  match variant:
    case "anomaly":
      config.data.leave_out = "all"
    case "manifold":
      config.model.mlp.latents = (2,)
    case "conditional":
      config.model.conditional = True
    case "levels":
      config.model.levels = 17
      config.report.oddities = 360
    case "conv":
      config.model.name = "conv"
      config.model.conv.vector = 16
      config.train.duration = "50 epochs"
      config.run.steps_per_dispatch = 1
  return _base.variant(config, variant, VARIANTS)
