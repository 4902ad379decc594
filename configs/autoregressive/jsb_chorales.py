"""A causal Transformer over the notes of Bach's chorales, four at each time step, the highest first: music as MIDI.

Paper: Parmar et al. 2018 (the network); Boulanger-Lewandowski et al. 2012 (the set; RNN-NADE has 5.56 nats, recalled)
Command: python -m experiments.autoregressive --config=configs/autoregressive/jsb_chorales.py --config.data.path=...
Hardware: 2 CPU cores
Time: 11 minutes of two cores shared with another training
Expected: 7.12 nats a quarter note, test steps pooled (seed 0; validation still falls at the end); lstm/jsb_chorales,
  chord by chord, has 5.28
"""

from configs.autoregressive import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.autoregressive("transformer")
  config.data.update({"name": "jsb_chorales", "levels": 89, "eval_batch_size": 20})
  config.model.transformer.update({"width": 96, "depth": 3, "dropout": 0.2})
  config.train.update({"batch_size": 8, "duration": "30 epochs", "ema_decay": 0.99, "transpose": 5})
  config.optimizer.update({"name": "adamw", "learning_rate": 2e-3, "weight_decay": 0.1, "warmup": "50 steps"})
  config.optimizer.clip_norm = 100.0
  config.run.update({"best_metric": "nats_per_step", "best_mode": "min", "report_best": True})
  config.report.update({"samples": 4, "completions": 0, "coded": 0, "temperature": 0.9})
  source = "RNN-NADE (Boulanger-Lewandowski et al. 2012; recalled)"
  config.published.test_nats_per_step = {"value": 5.56, "source": source}
  return _base.variant(config, variant)
