"""A small diffusion transformer on MNIST, class-conditional, within what two CPU cores do in a quarter of an hour.

Its patches overlap, and learned weights mix the tokens in place of attention (`research/networks/dit.py`): after a
minute's training the samples' distance to the data was a quarter of what it was without after a minute and a half.

Paper: Peebles & Xie 2023 (DiT); Hang et al. 2023 (min-SNR weights); Lu et al. 2022 (SDE-DPM-Solver++); none has a
  number for MNIST.
Command: python -m experiments.diffusion --config=configs/diffusion/mnist.py --config.data.data_dir=...
Hardware: 2 CPU cores; variant `gpu`: one GPU
Time: 15 minutes of two free cores, of which 4 draw and measure 10,000 samples; `gpu` is not measured
Expected: a classifier-feature distance to the first 10,000 training images of 0.18, four times that of the test set;
  with flow matching (configs/diffusion/mnist_flow_matching.py) three times, which is the aim.  To the whole training
  set, which the report measures now, it is not yet measured
"""

from configs import _generative
from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds; `gpu` a U-Net with a learned schedule (VDM) and its bound."""
  config = _base.images()
  config.data.name = "mnist"
  config.data.eval_batch_size = 500
  config.model.dit.update({"features": 96, "depth": 4, "heads": 3, "patch": 4, "mixing": "static"})
  config.model.data_std = 0.6
  config.train.weighting = "min_snr"
  config.train.batch_size = 32
  config.train.duration = "7600 steps"
  config.train.ema_decay = 0.999
  config.optimizer.name = "muon"
  config.optimizer.learning_rate = 2e-2
  config.optimizer.warmup = "200 steps"
  config.optimizer.clip_norm = 1.0
  config.sampler.update({"name": "sde_dpm_solver", "steps": 15, "guidance": 1.2, "guidance_interval": (0.2, 0.8)})
  config.report.samples = 80
  config.measure = _generative.measure()
  config.bars.distance_over_floor = {"max": 3.0}
  if variant == "gpu":
    config = on_a_gpu(config)
  return _base.variant(config, variant, also=("gpu",))


def on_a_gpu(config):
  """A U-Net, trained on the bound; DDIM with 20 steps against 1,000, and the average against the last parameters."""
  config.model.update({"name": "unet", "process": "learned", "predicts": "noise", "conditional": False})
  config.model.unet.update({"widths": (64, 128, 128), "dropout": 0.1})
  config.train.weighting = "elbo"
  config.train.batch_size = 128
  config.train.duration = "20000 steps"
  config.train.ema_decay = 0.9999
  config.optimizer.name = "adam"
  config.optimizer.learning_rate = 2e-4
  config.sampler.update({"name": "dpm_solver", "steps": 25, "guidance": 1.0})
  config.report.bound_nodes = 128
  config.report.compare = ("ddim:20", "ddim:1000", "last")
  config.measure.samples = 50_000
  config.bars = {"bits_per_dim": {"max": 1.0}}
  return config
