"""A Transformer on patches forecasts seven series of an electricity transformer 96 hours ahead, with bands.

Paper: Zhou et al. 2021 (the data and its division); Nie et al. 2023 (PatchTST).
Command: python -m experiments.transformer --config=configs/transformer/etth1.py --config.data.path=...
Hardware: 2 CPU cores
Time: 6 minutes, on a busy machine
Expected: mean squared error 0.412, which misses the bar, 0.39; mean absolute error 0.418; naive 0.512 and 0.433
"""

from configs import _forecasting
from configs.transformer import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _forecasting.etth1(_forecasting.base(), mse=0.39)
  config.model = _base.network()
  del config.model["tied"]
  config.model.update({"features": 32, "depth": 2, "heads": 4, "hidden": 128, "positions": "learned", "dropout": 0.3})
  config.model.quantiles = (0.1, 0.5, 0.9)  # that are forecast
  config.model.patch = 24  # times of a patch
  config.model.stride = 24  # times from one patch to the next
  config.model.head_dropout = 0.3  # rate in front of the last product
  config.optimizer.update({"learning_rate": 1e-3, "warmup": "100 steps"})
  config.data.context = 504
  config.train.batch_size = 64
  config.train.duration = "8 epochs"
  if variant == "smoke":
    _base.smoke(config)
    config.model.update({"hidden": 8, "patch": 8, "stride": 4})
  return _forecasting.variant(config, variant)
