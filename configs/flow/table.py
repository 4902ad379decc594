"""The density of a table of numbers: wine, `:breast_cancer`, or one's own, by `--config.data.path`.

Log-likelihoods, samples and anomaly scores of rows; cross-validated beside mixtures of Gaussians.

Paper: Durkan et al. 2019; the tables are scikit-learn's (UCI)
Command: python -m experiments.flow --config=configs/flow/table.py
  [--config.data.path=my.csv]; then --mode=predict --workdir=... --input=rows.csv
Hardware: 2 CPU cores
Time: 2.5 minutes on two shared cores
Expected: a held-out log-likelihood, over 5 folds, of -14.1 (wine) and 3.9 (breast cancer) nats a row; the best mixture
  of full covariances has -15.0 and -7.6.  What gains are the powers and the shrunken mixture that the flow begins
  from: on so few rows, its updates are worse on held-out ones almost always, and none are kept
"""

from configs.flow import _base

VARIANTS = ("breast_cancer",)


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.flow()
  config.data.update({"name": "wine" if variant != "breast_cancer" else variant, "validation": 0.2})
  config.model.update({"base": "mixture", "base_components": 3})
  config.model.coupling.update({"layers": 4, "width": 32, "blocks": 1})
  config.train.update({"batch_size": 64, "duration": "1000 steps", "ema_decay": 0.99})
  config.optimizer.update({"name": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-2, "warmup": "50 steps"})
  config.run.update({"best_metric": "nll", "best_mode": "min", "report_best": True, "eval_every": "5 %"})
  config.run.update({"save_every": "5 %", "steps_per_dispatch": 50})
  config.report.update({"samples": 500, "folds": 5})
  config.bars.gain_over_mixture = {"min": 0.0}
  return _base.variant(config, variant, VARIANTS)
