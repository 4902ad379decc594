"""A VAE on the static binarisation of MNIST: the benchmark of likelihoods.

`:gpu` is a convolutional ladder of three levels for one GPU.

Paper: Kingma & Welling 2014; gated layers as in Tomczak & Welling 2018, whose VAE of one level with a standard normal
  prior has 88.56 (recalled, not checked at the source); Larochelle & Murray 2011 (the set)
Command: python -m experiments.vae --config=configs/vae/binarized_mnist.py --config.data.path=...
Hardware: 2 CPU cores; `:gpu` one GPU
Time: 12 minutes of two free cores (28 shared with other programs)
Expected: 88.0 +- 0.1 nats with 1,000 samples (3 seeds); of `:gpu` <= 82.0 is the aim, not measured
"""

from configs.vae import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.vae()
  config.data.name = "binarized_mnist"
  config.model.mlp.latents = (50,)
  config.model.mlp.hidden = (300, 300)
  config.model.mlp.activation = "gated"
  config.optimizer.update({"learning_rate": 2e-3, "warmup": "2 epochs"})
  config.train.update({"batch_size": 200, "duration": "200 epochs", "warmup": "20 %", "ema_decay": 0.999})
  config.run.update({"best_metric": "iwae", "best_mode": "min", "report_best": True, "eval_every": "5 %"})
  config.run.update({"steps_per_dispatch": 50, "save_every": "5 %"})
  config.published.test_nll = {"value": 97.10, "source": "altosaar/variational-autoencoder, mean-field, README"}
  config.bars.test_nll = {"max": 90.0}
  if variant == "gpu":
    config.model.name = "conv"
    config.model.conv.update({"vector": 32, "maps": (4, 8), "widths": (64, 128), "blocks": 3})
    config.train.update({"duration": "400 epochs", "warmup": "25 %"})
    config.run.steps_per_dispatch = 10
    config.published.test_nll = {"value": 79.24, "source": "addtt/ladder-vae-pytorch, 3 levels, README"}
    config.bars.test_nll = {"max": 82.0}
  return _base.variant(config, variant, ("gpu",))
