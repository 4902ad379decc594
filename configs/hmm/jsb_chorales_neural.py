"""Bach's chorales, 512 hidden states; a network of the keys before moves their transitions; by gradient.

Emissions look at the keys before too: whether one was down, or one or two semitones off.

Paper: Obermeyer et al. 2019, the neural HMM, 6.73 nats a step (recalled, not checked at the source); theirs is a
  network of emissions (here: `--config.model.emission.name=neural --config.model.transition.name=table`).
Command: python -m experiments.hmm --config=configs/hmm/jsb_chorales_neural.py --config.data.path=...
Hardware: 2 CPU cores
Time: 8 minutes
Expected: 6.18 nats a time step on the test set
"""

from configs import common
from configs.hmm import _base

CONFORMANCE = "every promise"  # for its kind of state: see tests/conformance


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.hidden_states("gradient")
  config.data.name = "jsb_chorales"
  config.data.eval_batch_size = 80
  config.model.states = 512
  config.model.emission.name = "autoregressive"
  config.model.emission.defaults(neural={"dropout": 0.5})
  config.model.transition.name = "neural"
  config.model.transition.neural.update({"dropout": 0.5, "input_dropout": 0.2})
  config.optimizer.learning_rate = 0.03
  config.optimizer.b2 = 0.99  # decay of Adam's second moment
  config.optimizer.warmup = "20 steps"
  config.optimizer.clip_norm = 1.0
  config.train.batch_size = 16
  config.train.duration = "14 epochs"
  config.run.update({"eval_every": "1 epoch", "save_every": "1 epoch"})
  config.run.update({"best_metric": "nll", "best_mode": "min", "report_best": True})
  config.published.test_nll = {
    "value": 6.73,
    "source": "Obermeyer et al. 2019, nnHMM (recalled, not checked at the source)",
  }
  config.bars.test_nll = {"max": 6.73}
  if variant == "smoke":
    config.model.states = 5
    config.model.emission.defaults(neural={"hidden": 7})
    config.model.transition.neural.update({"rank": 3, "hidden": 7})
  return common.variant(config, variant)
