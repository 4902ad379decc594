"""An LSTM over the chords of Bach's chorales, a neural autoregressive estimator within each; samples are MIDI files.

Paper: Boulanger-Lewandowski et al. 2012 (RNN-NADE).
Command: python -m experiments.lstm --config=configs/lstm/jsb_chorales.py --config.data.path=...
Hardware: 2 CPU cores
Time: 33 minutes, in two parts, on a machine shared with many programs
Expected: 5.28 nats a quarter note, test steps pooled (seed 0)
"""

import ml_collections

from configs import common
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = common.base()
  del config.data["data_dir"], config.train["members"]
  config.task = "music"  # what to learn, see experiments/lstm.py
  config.data.update(
    {
      "name": "jsb_chorales",  # there is that alone
      "resolution": "quarter",  # length of a time step: quarter, 16th
      "eval_batch_size": 77,  # pieces, over all devices
    }
  )
  config.model = _base.network()
  config.model.update({"features": 300, "dropout": 0.2})
  config.model.hidden = 128  # units of the estimator within a frame
  config.train.update({"batch_size": 8, "duration": "50 epochs", "ema_decay": 0.99})
  config.train.transpose = 3  # in training each piece is moved by up to so many semitones, down or up
  config.optimizer.update({"name": "adamw", "learning_rate": 1e-2, "warmup": "50 steps", "clip_norm": 1.0})
  config.run.update({"best_metric": "nll", "best_mode": "min", "report_best": True, "eval_every": "5 %"})
  config.report = ml_collections.ConfigDict(
    {
      "samples": 4,  # pieces written
      "steps": 64,  # time steps of each
      "temperature": 1.0,  # what logits are divided by; below 1 keys are more certain
    }
  )
  config.published.test_nll = {"value": 5.56, "source": "RNN-NADE (Boulanger-Lewandowski et al. 2012; recalled)"}
  config.bars.test_nll = {"max": 5.9}
  if variant == "smoke":
    _base.smoke(config)
    config.report.steps = 8
  return common.variant(config, variant)
