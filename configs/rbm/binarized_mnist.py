"""Five hundred hidden units on the static binarisation of MNIST, and their test log-likelihood by annealing.

Paper: Salakhutdinov & Murray 2008, whose machine of 500 units learnt by CD-25 has -86.3 nats (recalled, of another
  binarisation); Larochelle & Murray 2011 (the set)
Command: python -m experiments.rbm --config=configs/rbm/binarized_mnist.py --config.data.path=...
Hardware: 2 CPU cores
Time: 10 to 16 minutes of a shared machine
Expected: a test log-likelihood of -86.8 nats; log Z has a standard error of 0.14
"""

from configs.rbm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.rbm()
  config.data.name = "binarized_mnist"
  config.model.hidden = (500,)
  config.optimizer.learning_rate = 0.2
  config.train.duration = "60 epochs"
  config.run.update({"steps_per_dispatch": 100, "log_every": "1 %"})
  config.report.update({"temperatures": 10_000, "chains": 100})
  config.bars.test_log_likelihood = {"min": -92.0}
  return _base.variant(config, variant)
