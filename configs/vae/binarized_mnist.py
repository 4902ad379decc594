"""A VAE on the static binarisation of MNIST: the benchmark of likelihoods.

`:gpu` is a convolutional ladder of three levels for one GPU.

Paper: Kingma & Welling 2014; Burda et al. 2016 (bound of several samples); Larochelle & Murray 2011 (the set)
Command: python -m experiments.vae --config=configs/vae/binarized_mnist.py --config.data.path=...
Hardware: 2 CPU cores; `:gpu` one GPU
Time: under 15 minutes
Expected: <= 90.0 nats with 1,000 samples; `:gpu` <= 82.0, not measured
"""

from configs import common


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = common.vae()
  config.data.name = "binarized_mnist"
  config.model.latents = (50,)
  config.model.hidden = (200, 200)
  config.model.activation = "tanh"
  config.train.update({"objective": "iwae", "samples": 5, "batch_size": 100, "duration": "130 epochs"})
  config.train.ema_decay = 0.999
  config.run.update({"steps_per_dispatch": 100, "best_metric": "iwae", "best_mode": "min", "report_best": True})
  config.published.test_nll = {"value": 97.10, "source": "altosaar/variational-autoencoder, mean-field, README"}
  config.bars.test_nll = {"max": 90.0}
  if variant == "gpu":
    config.model.update({"name": "conv", "vector": 32, "maps": (4, 8), "widths": (64, 128), "blocks": 3})
    config.train.update({"objective": "elbo", "samples": 1, "duration": "200 epochs", "warmup": "50 %"})
    config.published.test_nll = {"value": 79.24, "source": "addtt/ladder-vae-pytorch, 3 levels, README"}
    config.bars.test_nll = {"max": 82.0}
  return common.variant(config, variant, ("gpu",))
