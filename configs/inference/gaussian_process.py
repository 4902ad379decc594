"""Gaussian process regression of a wave with a gap in its data: hyper-parameters by NUTS, the function summed out.

Paper: Rasmussen & Williams 2006, chapters 2 and 5.
Command: python -m experiments.inference --config=configs/inference/gaussian_process.py
Hardware: 2 CPU cores
Time: 4 minutes beside another program
Expected: a noise of 0.31 +- 0.03, the one that the data were made with; a band that widens in the gap
"""

from configs.inference import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.inference("gaussian_process", "nuts", "waves")
  config.method.nuts.warmup = 500
  config.train.duration = "1500 steps"
  config.report.draws = 500
  config.run.steps_per_dispatch = 20
  return _base.variant(config, variant)
