"""Alarm, a patient's monitor of 37 variables: tables by EM from 2,000 rows, a tenth of the cells missing.

The variant `query` learns nothing and asks the published tables what is wrong with a patient whose alarms are on.

Paper: Beinlich, Suermondt, Chavez & Cooper 1989; EM: Lauritzen 1995
Command: python -m experiments.graphical_model --config=configs/graphical_model/alarm.py[:query]
Hardware: 2 CPU cores
Time: `query`: a minute, nearly all of it compilation; EM was not timed
Expected: `query`: pgmpy's marginals to 1e-10
"""

from configs.graphical_model import _base

VARIANTS = ("query",)
EVIDENCE = "HRBP=HIGH,CVP=LOW,BP=LOW,EXPCO2=LOW"
# Probability of the first state, given that: pgmpy 1.1.2, VariableElimination, on the same tables written as BIF.
PEER = {
  "HYPOVOLEMIA": 0.15204755240158666,
  "LVFAILURE": 0.5728331793832617,
  "ANAPHYLAXIS": 0.019843862069954674,
  "INSUFFANESTH": 0.10042134093589829,
  "PULMEMBOLUS": 0.010049769599377813,
  "INTUBATION": 0.9564960340000254,
  "KINKEDTUBE": 0.04331770528669777,
  "DISCONNECT": 0.09146190615987729,
}


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.network()
  config.data.update({"name": "alarm", "rows": 2000, "missing": 0.1, "eval_batch_size": 500})
  config.report.evidence = EVIDENCE
  config.train.duration = "30 steps"
  if variant == "query":
    config = _base.ask(config, PEER)
  if variant == "smoke":  # asia has missing cells; to compile their elimination here takes as long again
    config.data.missing = 0.0
  return _base.variant(config, variant, VARIANTS)
