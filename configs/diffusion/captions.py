"""Scenes of two of scikit-learn's digits by what is said of them: "a red seven left of a small blue two".

What comes out is judged by a detector of such scenes, trained beforehand:

  python -m experiments.detection --config=configs/detection/captions.py --workdir=judge
  python -m experiments.diffusion --config=configs/diffusion/captions.py --config.measure.detector=judge

Paper: Rombach et al. 2022 (cross-attention to a text); Peebles & Xie 2023 (DiT); none has a number for these.
Command: python -m experiments.diffusion --config=configs/diffusion/captions.py
Hardware: 2 CPU cores
Time: 50 minutes on two cores shared with another training; 7,000 steps took 10 of two shared with less
Expected: 91 % of captions of seen pairs right in all, and 91 % of unseen ones, by a judge that reads 92 % of true
  scenes so (seed 0; the aims are 70 and 50 %)
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.captions()
  config.data.name = "digits"
  config.data.eval_batch_size = 100
  config.data.scenes = 300
  config.scene.update({"size": 24, "sides": (8.0, 12.0)})
  config.train.batch_size = 32
  config.train.duration = "14000 steps"
  config.train.ema_decay = 0.999
  config.optimizer.update({"name": "muon", "learning_rate": 1e-2, "warmup": "200 steps", "clip_norm": 1.0})
  config.sampler.update({"name": "sde_dpm_solver", "steps": 25, "guidance": 3.0})
  config.report.samples = 16
  config.bars = {"seen_all": {"min": 0.70}, "unseen_all": {"min": 0.50}}
  return _base.captions_variant(config, variant)
