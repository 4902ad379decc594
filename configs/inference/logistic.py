"""Logistic regression of breast cancer, 30 standardised features, N(0, 1) priors: by NUTS, ADVI, flows, Laplace.

Variants `mean_field`, `full_rank`, `flow`, `laplace`, `svgd`: the same posterior approximated, beside NUTS; `hmc`,
`metropolis`, `langevin`: other chains.

Paper: Hoffman & Gelman 2014; Kucukelbir et al. 2017 (ADVI)
Command: python -m experiments.inference --config=configs/inference/logistic.py[:mean_field|full_rank|flow|laplace|svgd]
Hardware: 2 CPU cores
Time: NUTS a minute, the others 40 to 60 s, on a shared machine
Expected: R-hat below 1.01; of one seed, test log-loss, and the largest distance of means from NUTS's in deviations:
  NUTS 0.064; full_rank 0.064, 0.04; mean_field 0.066, 0.19 (deviations down to 0.47 of NUTS's); laplace 0.072, 0.35
"""

from configs.inference import _base

GRADIENT = ("mean_field", "full_rank", "flow", "laplace", "svgd")
CHAINS = ("hmc", "metropolis", "langevin")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  method = variant if variant in (*GRADIENT, *CHAINS) else "nuts"
  config = _base.inference("logistic", method, "breast_cancer")
  config.train.duration = "6000 steps"
  if method in GRADIENT:
    config.train.batch_size = 100 if method == "svgd" else 16
    config.report.compare = 4000
    config.report.draws = 4000
  elif method in ("metropolis", "langevin"):
    config.train.duration = "60000 steps"
    config.method[method].update({"warmup": 10_000, "thin": 10})
  else:
    config.bars["test_r_hat"] = {"max": 1.01}
  return _base.variant(config, variant, also=(*GRADIENT, *CHAINS))
