"""The fields of forecasters, whichever network they have."""

import ml_collections

from configs import common


def base() -> ml_collections.ConfigDict:
  """`common.base`, with series, and how much of them is seen and forecast."""
  config = common.base()
  del config.data["data_dir"], config.data["validation"], config.train["members"]
  config.task = "forecast"  # what to learn, see experiments/<family>.py
  config.data.update(
    {
      "name": "etth1",  # files: etth1; own: path
      "path": "",  # the folder of ETTh1.csv; or, by another name, a .csv of numeric columns, times in the first or none
      "context": 336,  # times that are seen
      "horizon": 96,  # times that are forecast
      "season": 24,  # times of a season, for the naive forecast and MASE
      "eval_batch_size": 128,  # windows, over all devices
    }
  )
  config.optimizer.update({"name": "adamw", "clip_norm": 1.0})
  config.run.update({"best_metric": "mse", "best_mode": "min", "report_best": True})
  config.report = ml_collections.ConfigDict({"windows": 3})  # of the test part, in the figure
  return config


def etth1(config: ml_collections.ConfigDict, mse: float) -> ml_collections.ConfigDict:
  """What is published of ETTh1, 96 hours ahead, and the bars."""
  config.published.test_mse = {"value": 0.370, "source": "PatchTST (Nie et al. 2023; recalled); DLinear 0.375"}
  config.published.test_mae = {"value": 0.399, "source": "DLinear (Zeng et al. 2023; recalled); PatchTST 0.400"}
  config.bars.test_mse = {"max": mse}
  return config


def variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
  """`common.variant`, with short windows."""
  if name == "smoke":
    config.data.update({"context": 24, "horizon": 8, "season": 4})
  return common.variant(config, name)
