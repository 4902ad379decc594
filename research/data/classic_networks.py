"""Two networks of the literature, from their published tables: asia and alarm."""

import numpy as np

from research.data import bayesian_network
from research.data.bayesian_network import BayesianNetwork
from research.errors import UserError

# Names, states, parents, and a row of percent for each state of the parents, the last parent's innermost.
# Lauritzen & Spiegelhalter 1988, Local computations with probabilities on graphical structures, table 1.
_ASIA = (
  ("asia", "yes no", "", "1 99"),
  ("tub", "yes no", "asia", "5 95; 1 99"),
  ("smoke", "yes no", "", "50 50"),
  ("lung", "yes no", "smoke", "10 90; 1 99"),
  ("bronc", "yes no", "smoke", "60 40; 30 70"),
  ("either", "yes no", "lung tub", "100 0; 100 0; 100 0; 0 100"),
  ("xray", "yes no", "either", "98 2; 5 95"),
  ("dysp", "yes no", "bronc either", "90 10; 80 20; 70 30; 10 90"),
)
# Beinlich, Suermondt, Chavez & Cooper 1989, The ALARM monitoring system: 37 variables, 46 arrows, 509 parameters; the
# tables are those of the Bayesian Network Repository, where a third is 0.3333333.
_ALARM = (
  ("HISTORY", "TRUE FALSE", "LVFAILURE", "90 10; 1 99"),
  ("CVP", "LOW NORMAL HIGH", "LVEDVOLUME", "95 4 1; 4 95 1; 1 29 70"),
  ("PCWP", "LOW NORMAL HIGH", "LVEDVOLUME", "95 4 1; 4 95 1; 1 4 95"),
  ("HYPOVOLEMIA", "TRUE FALSE", "", "20 80"),
  ("LVEDVOLUME", "LOW NORMAL HIGH", "HYPOVOLEMIA LVFAILURE", "95 4 1; 1 9 90; 98 1 1; 5 90 5"),
  ("LVFAILURE", "TRUE FALSE", "", "5 95"),
  ("STROKEVOLUME", "LOW NORMAL HIGH", "HYPOVOLEMIA LVFAILURE", "98 1 1; 50 49 1; 95 4 1; 5 90 5"),
  ("ERRLOWOUTPUT", "TRUE FALSE", "", "5 95"),
  ("HRBP", "LOW NORMAL HIGH", "ERRLOWOUTPUT HR", "98 1 1; 30 40 30; 1 98 1; 40 59 1; 98 1 1; 1 1 98"),
  ("HREKG", "LOW NORMAL HIGH", "ERRCAUTER HR", "1/3 1/3 1/3; 1/3 1/3 1/3; 1 98 1; 1/3 1/3 1/3; 98 1 1; 1 1 98"),
  ("ERRCAUTER", "TRUE FALSE", "", "10 90"),
  ("HRSAT", "LOW NORMAL HIGH", "ERRCAUTER HR", "1/3 1/3 1/3; 1/3 1/3 1/3; 1 98 1; 1/3 1/3 1/3; 98 1 1; 1 1 98"),
  ("INSUFFANESTH", "TRUE FALSE", "", "10 90"),
  ("ANAPHYLAXIS", "TRUE FALSE", "", "1 99"),
  ("TPR", "LOW NORMAL HIGH", "ANAPHYLAXIS", "98 1 1; 30 40 30"),
  (
    "EXPCO2",
    "ZERO LOW NORMAL HIGH",
    "ARTCO2 VENTLUNG",
    "97 1 1 1; 1 97 1 1; 1 1 97 1; 1 1 1 97; 1 97 1 1; 97 1 1 1; 1 1 97 1; 1 1 1 97; 1 97 1 1; 1 1 97 1; 97 1 1 1; "
    "1 1 1 97",
  ),
  ("KINKEDTUBE", "TRUE FALSE", "", "4 96"),
  (
    "MINVOL",
    "ZERO LOW NORMAL HIGH",
    "INTUBATION VENTLUNG",
    "97 1 1 1; 1 1 1 97; 50 48 1 1; 1 97 1 1; 1 97 1 1; 97 1 1 1; 50 48 1 1; 1 1 97 1; 1 1 97 1; 60 38 1 1; "
    "97 1 1 1; 1 1 1 97",
  ),
  ("FIO2", "LOW NORMAL", "", "5 95"),
  ("PVSAT", "LOW NORMAL HIGH", "FIO2 VENTALV", "100 0 0; 95 4 1; 100 0 0; 1 95 4; 99 1 0; 95 4 1; 95 4 1; 1 1 98"),
  ("SAO2", "LOW NORMAL HIGH", "PVSAT SHUNT", "98 1 1; 98 1 1; 1 98 1; 98 1 1; 1 1 98; 69 30 1"),
  ("PAP", "LOW NORMAL HIGH", "PULMEMBOLUS", "1 19 80; 5 90 5"),
  ("PULMEMBOLUS", "TRUE FALSE", "", "1 99"),
  ("SHUNT", "NORMAL HIGH", "INTUBATION PULMEMBOLUS", "10 90; 95 5; 10 90; 95 5; 1 99; 5 95"),
  ("INTUBATION", "NORMAL ESOPHAGEAL ONESIDED", "", "92 3 5"),
  (
    "PRESS",
    "ZERO LOW NORMAL HIGH",
    "INTUBATION KINKEDTUBE VENTTUBE",
    "97 1 1 1; 5 25 25 45; 97 1 1 1; 20 75 4 1; 1 1 1 97; 1 29 30 40; 1 1 1 97; 1 90 8 1; 1 30 49 20; 1 15 25 59; "
    "1 97 1 1; 20 70 9 1; 97 1 1 1; 1 1 8 90; 97 1 1 1; 1 1 38 60; 1 1 8 90; 97 1 1 1; 1 1 97 1; 97 1 1 1; "
    "10 84 5 1; 1 1 1 97; 40 58 1 1; 1 1 1 97",
  ),
  ("DISCONNECT", "TRUE FALSE", "", "10 90"),
  ("MINVOLSET", "LOW NORMAL HIGH", "", "5 90 5"),
  ("VENTMACH", "ZERO LOW NORMAL HIGH", "MINVOLSET", "5 93 1 1; 5 1 93 1; 5 1 1 93"),
  (
    "VENTTUBE",
    "ZERO LOW NORMAL HIGH",
    "DISCONNECT VENTMACH",
    "97 1 1 1; 97 1 1 1; 97 1 1 1; 1 1 97 1; 97 1 1 1; 97 1 1 1; 1 97 1 1; 1 1 1 97",
  ),
  (
    "VENTLUNG",
    "ZERO LOW NORMAL HIGH",
    "INTUBATION KINKEDTUBE VENTTUBE",
    "97 1 1 1; 97 1 1 1; 97 1 1 1; 97 1 1 1; 30 68 1 1; 95 3 1 1; 1 1 1 97; 1 97 1 1; 95 3 1 1; 97 1 1 1; "
    "1 97 1 1; 97 1 1 1; 97 1 1 1; 50 48 1 1; 97 1 1 1; 1 1 97 1; 40 58 1 1; 97 1 1 1; 1 1 97 1; 97 1 1 1; "
    "97 1 1 1; 30 68 1 1; 97 1 1 1; 1 1 1 97",
  ),
  (
    "VENTALV",
    "ZERO LOW NORMAL HIGH",
    "INTUBATION VENTLUNG",
    "97 1 1 1; 1 1 1 97; 1 1 97 1; 3 95 1 1; 1 97 1 1; 97 1 1 1; 1 1 1 97; 1 94 4 1; 1 1 97 1; 1 97 1 1; 97 1 1 1; "
    "1 88 10 1",
  ),
  ("ARTCO2", "LOW NORMAL HIGH", "VENTALV", "1 1 98; 1 1 98; 4 92 4; 90 9 1"),
  (
    "CATECHOL",
    "NORMAL HIGH",
    "ARTCO2 INSUFFANESTH SAO2 TPR",
    "1 99; 1 99; 70 30; 1 99; 5 95; 70 30; 1 99; 5 95; 95 5; 1 99; 5 95; 70 30; 1 99; 5 95; 95 5; 5 95; 5 95; "
    "95 5; 1 99; 1 99; 70 30; 1 99; 5 95; 70 30; 1 99; 5 95; 99 1; 1 99; 5 95; 70 30; 1 99; 5 95; 99 1; 5 95; "
    "5 95; 99 1; 1 99; 1 99; 10 90; 1 99; 1 99; 10 90; 1 99; 1 99; 30 70; 1 99; 1 99; 10 90; 1 99; 1 99; 30 70; "
    "1 99; 1 99; 30 70",
  ),
  ("HR", "LOW NORMAL HIGH", "CATECHOL", "5 90 5; 1 9 90"),
  (
    "CO",
    "LOW NORMAL HIGH",
    "HR STROKEVOLUME",
    "98 1 1; 95 4 1; 30 69 1; 95 4 1; 4 95 1; 1 30 69; 80 19 1; 1 4 95; 1 1 98",
  ),
  ("BP", "LOW NORMAL HIGH", "CO TPR", "98 1 1; 98 1 1; 30 60 10; 98 1 1; 10 85 5; 5 40 55; 90 9 1; 5 20 75; 1 9 90"),
)
_TABLES = {"asia": _ASIA, "alarm": _ALARM}
NAMES = tuple(_TABLES)


def load(name: str) -> BayesianNetwork:
  """Asia (8 variables: is it tuberculosis, cancer or bronchitis?) or alarm (37: a patient's monitor).

  Raises:
    UserError: neither.
  """
  if name not in _TABLES:
    raise UserError("network", name, f"choose {' or '.join(NAMES)}.")
  states = {variable: each.split() for variable, each, *_ in _TABLES[name]}
  parents = {variable: each.split() for variable, _, each, _ in _TABLES[name]}
  tables = {}
  for variable, _, _, rows in _TABLES[name]:
    shape = [len(states[node]) for node in (*parents[variable], variable)]
    tables[variable] = np.reshape([_share(cell) for row in rows.split(";") for cell in row.split()], shape)
  return bayesian_network.of(name, states, parents, tables)


def _share(percent: str) -> float:
  return 1 / 3 if percent == "1/3" else int(percent) / 100
