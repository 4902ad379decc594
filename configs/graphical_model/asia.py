"""Asia's tables by EM from 10,000 patients of whom a fifth of all findings is unknown: the embedded default.

Variants: `hidden` never sees whether there is bronchitis; `query` learns nothing and asks the published tables what a
smoker with a positive X-ray and shortness of breath has.

Paper: Lauritzen & Spiegelhalter 1988; EM: Lauritzen 1995
Command: python -m experiments.graphical_model[ --config=configs/graphical_model/asia.py:hidden|:query]
Hardware: 2 CPU cores
Time: under a minute
Expected: 2.236 nats a held-out row, of the true tables 2.235; `query`: pgmpy's marginals to 1e-10
"""

from configs.graphical_model import _base

VARIANTS = ("hidden", "query")
EVIDENCE = "smoke=yes,xray=yes,dysp=yes"
# Probability of `yes`, given that: pgmpy 1.1.2, VariableElimination, on the same tables written as BIF.
PEER = {
  "tub": 0.07526625759233281,
  "lung": 0.7237140153108922,
  "bronc": 0.713705507978794,
  "either": 0.7914536471439918,
  "asia": 0.01249586449134108,
}


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.network()
  config.data.update({"name": "asia", "missing": 0.2})
  config.report.evidence = EVIDENCE
  config.train.duration = "50 steps"
  match variant:
    case "hidden":
      config.data.update({"hidden": "bronc", "missing": 0.0})
      config.train.duration = "300 steps"
    case "query":
      config = _base.ask(config, PEER)
  return _base.variant(config, variant, VARIANTS)
