"""Eight schools, non-centred, by NUTS: four chains of 10,000 draws; the embedded default.

`centred` is the same model with the effects as parameters, whose funnel chains do not get into: see its divergences.

Paper: Rubin 1981; Hoffman & Gelman 2014; reference draws of posteriordb, eight_schools-eight_schools_noncentered.
Command: python -m experiments.inference
Hardware: 2 CPU cores
Time: seconds
Expected: mu 4.41, tau 3.60, theta[1] 6.15, theta[8] 4.88, each within 4 standard errors; R-hat at most 1.01
"""

from configs.inference import _base

# Means and Monte Carlo errors of 10,000 draws; theta in the order of Rubin's table 1.
POSTERIORDB = {"mu": (4.4105, 0.0330), "tau": (3.6021, 0.0319)}
THETA = {"theta[1]": (6.1505, 0.0557), "theta[8]": (4.8840, 0.0543)}
SOURCE = "posteriordb, reference draws of eight_schools-eight_schools_noncentered"


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds; `centred` shows what divergences tell."""
  config = _base.inference("eight_schools")
  config.model.eight_schools.centred = variant == "centred"
  config.method.nuts.acceptance = 0.95  # at 0.8 a draw in 3,000 diverges
  config.train.duration = "11000 steps"
  config.report.quantities = ("mu", "tau", "theta[1]", "theta[8]")
  config.report.reference = {**POSTERIORDB, **THETA}
  if variant != "centred":
    for name, (mean, _) in {**POSTERIORDB, **THETA}.items():
      config.published[name] = {"value": mean, "source": SOURCE}
    config.bars.update({"deviation": {"max": 4.0}, "test_r_hat": {"max": 1.01}, "test_divergences": {"max": 0}})
  return _base.variant(config, variant, also=("centred",))
