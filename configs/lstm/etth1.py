"""A recurrent network forecasts seven series of an electricity transformer 96 hours ahead, with bands.

Paper: Zhou et al. 2021 (the data and its division); Lin et al. 2023 (SegRNN: segments in, all of the future's out).
Command: python -m experiments.lstm --config=configs/lstm/etth1.py --config.data.path=...
Hardware: 2 CPU cores
Time: 4 minutes, on a busy machine
Expected: mean squared error 0.377 (bar <= 0.42), mean absolute error 0.409; seasonal naive 0.512 and 0.433
"""

from configs import _forecasting
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _forecasting.etth1(_forecasting.base(), mse=0.42)
  config.model = _base.network()
  config.model.update({"features": 128, "dropout": 0.0})
  config.model.quantiles = (0.1, 0.5, 0.9)  # that are forecast
  config.model.segment = 48  # times that are one step of the recurrent network
  config.model.head_dropout = 0.3  # rate in front of the last product
  config.data.context = 720
  config.optimizer.update({"learning_rate": 1e-3, "warmup": "50 steps"})
  config.train.batch_size = 64
  config.train.duration = "6 epochs"
  if variant == "smoke":
    _base.smoke(config)
    config.model.segment = 4
  return _forecasting.variant(config, variant)
