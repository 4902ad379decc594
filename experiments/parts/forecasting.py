"""What the forecasters share: series become windows, and a network and a config an Experiment."""

from collections.abc import Callable

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import as_files, fields, learning
from experiments.reports.forecasting import Oracle
from research.data import remembered
from research.data import series as series_lib
from research.errors import UserError
from research.families import forecasting as family_lib
from research.training import precision, steps
from research.training.experiment import Experiment, Program


def experiment(config: ml_collections.ConfigDict, network: Callable[..., nn.Module]) -> Experiment:
  """A forecaster of several series.

  Args:
    config: `configs._forecasting.base`.
    network: `network(horizon=..., outputs=..., dtype=...) -> nn.Module` of [batch, context, series].
  """
  data, levels = config.data, config.model.quantiles
  fields.refuse_unread(data, {"path"})
  if not 1 <= data.season <= data.context:
    raise UserError("config.data.season", data.season, f"give 1 to the {data.context} of config.data.context.")
  series = remembered.data("series", lambda: series_lib.load(data.name, data.path or None))
  scale = remembered.value("scale", lambda: family_lib.naive_scale(series.values[: series.train_end], data.season))
  module = network(horizon=data.horizon, outputs=len(levels), dtype=precision.dtype(config.train.precision))
  family = family_lib.forecaster(module, levels, data.season, scale)
  cut = lambda split, size, **options: series_lib.windows(series, split, data.context, data.horizon, size, **options)
  train_data = cut("train", config.train.batch_size, seed=config.seed)
  test_data = cut("test", data.eval_batch_size)
  oracle = Oracle(family, series, test_data, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=cut("validation", data.eval_batch_size),
    test_data=test_data,
    report=oracle.report,
    predict=oracle.predictions,
    as_file=as_files.table(series.columns),
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.forecast(steps.variables_of(state), inputs["inputs"]),
      {"inputs": np.zeros((1, data.context, len(series.columns)), np.float32)},
    ),
  )
