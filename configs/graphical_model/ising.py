"""Noisy digits made clean by an Ising model: pixels like their neighbours; by belief propagation, or by the variants.

The digits are scikit-learn's 8x8, enlarged to 32x32 and made black and white; a tenth of the pixels is turned over.

Paper: Geman & Geman 1984; Bishop 2006, section 8.3.3
Command: python -m experiments.graphical_model --config=configs/graphical_model/ising.py[:mean_field|:gibbs]
Hardware: 2 CPU cores
Time: seconds
Expected: 10 % of wrong pixels become 1.4 %; by mean field 1.3 %
"""

from configs.graphical_model import _base

CONFORMANCE = "every promise"
VARIANTS = ("mean_field", "gibbs")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.denoising()
  if variant in VARIANTS:
    config.model.name = variant
  if variant == "gibbs":
    config.train.duration = "200 steps"
  return _base.variant(config, variant, VARIANTS)
