"""An encoder fills in hidden characters of Python's manual: masked-token pre-training.

Paper: Devlin et al. 2019, in kind; the text is that of Python's `help`, which every installation has.
Command: python -m experiments.transformer --config=configs/transformer/masked.py
Hardware: 2 CPU cores
Time: not yet measured
Expected: not yet measured; no bar is set.  A classifier begins with it, where both read bytes:
  ... --config=configs/transformer/masked.py --config.data.tokens=bytes --workdir=RUN, then
  ... --config=configs/transformer/sst2.py:pretrained --config.init_from=RUN
"""

from configs import common
from configs.transformer import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.language()
  config.task = "masked"  # what to learn, see experiments/transformer.py
  del config.report, config.data["context"], config.train["label_smoothing"]
  config.data.validation = 0.05
  config.data.length = 64
  config.train.duration = "4 epochs"
  config.optimizer.warmup = "50 steps"
  if variant == "smoke":
    _base.smoke(config)
    config.data.update({"limit": 2000, "length": 8})
  return common.variant(config, variant)
