"""A Transformer on tiny Shakespeare, by characters: nanoGPT's split, its whole validation text once.

Paper: Radford et al. 2019; Karpathy's nanoGPT, 1.88 on a CPU in 3 minutes, 1.4697 on a GPU in 3 minutes (its README,
  200 batches).
Command: python -m experiments.transformer --config=configs/transformer/shakespeare.py --config.data.path=input.txt
Hardware: 2 CPU cores; `:gpu` for one GPU
Time: 28 minutes on a machine shared with others
Expected: 1.484 nats a character, whole validation text; `:gpu` is not measured
"""

from configs import _language
from configs.transformer import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds, `gpu` for one GPU."""
  config = _base.language()
  config.data.name = "shakespeare"
  config.data.length = 128
  config.data.context = 64
  config.model.update({"features": 128, "depth": 4, "qk_norm": True, "activation": "relu2"})
  config.train.batch_size = 16
  config.train.duration = "8 epochs"
  config.optimizer.warmup = "100 steps"
  config.published.test_loss = {
    "value": 1.4697,
    "source": "karpathy/nanoGPT, README: 3 minutes of an A100, 200 batches; its CPU run 1.88",
  }
  config.bars.test_loss = {"max": 1.65}
  if variant == "gpu":
    config.model.update({"features": 384, "depth": 6, "heads": 6, "dropout": 0.2})
    config.train.update({"batch_size": 64, "duration": "80 epochs", "ema_decay": 0.999, "precision": "bfloat16"})
    config.data.update({"length": 256, "context": 128})
    config.bars.test_loss = {"max": 1.455}
  if variant == "smoke":
    _base.smoke(config)
    config.data.context = 4
  return _language.variant(config, variant, ("gpu",))
