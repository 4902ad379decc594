"""Simulators whose likelihood is out of reach, or taken to be: parameters from a prior, and what comes out of them."""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy import stats

from research.errors import UserError

_SEEDS = {"train": 0, "test": 1, "valid": 2}
_SIDE = 200  # of the quadrature over the simulator's noise


@dataclasses.dataclass(frozen=True)
class Simulations:
  """Runs of a simulator.

  Attributes:
    name: for messages.
    inputs: float32 [run, parameter], in units of the prior's box: 0 to 1.
    label: float32 [run, observation]: what came out, and what the parameters are inferred from.
  """

  name: str
  inputs: Float[np.ndarray, "run parameter"]
  label: Float[np.ndarray, "run observation"]
  num_classes = 0

  def __len__(self) -> int:
    return len(self.inputs)

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.shuffled` and `pipeline.sequential` take them."""
    return {"inputs": self.inputs, "label": self.label}

  def select(self, index) -> "Simulations":
    """The runs at `index`."""
    return dataclasses.replace(self, inputs=self.inputs[index], label=self.label[index])


class TwoMoons:
  """Greenberg et al. 2019, appendix A.5.2: x = (r cos a + 1/4 - |s + t| / √2, r sin a + (t - s) / √2).

  s and t uniform on [-1, 1], a on [-π/2, π/2], r normal of mean 0.1 and deviation 0.01.  The posterior of (s, t) is two
  crescents, and known: x given (s, t) is (r, a) moved, and so has the density N(r) / (π r).
  """

  def simulate(self, unit: Float[np.ndarray, "run 2"], rng: np.random.Generator) -> Float[np.ndarray, "run 2"]:
    """Observations of parameters 0 to 1."""
    angle, radius = rng.uniform(-np.pi / 2, np.pi / 2, len(unit)), rng.normal(0.1, 0.01, len(unit))
    return self._noise(radius, angle) + self._shift(2 * unit - 1)

  def log_posterior(
    self, unit: Float[np.ndarray, "count 2"], x: Float[np.ndarray, "count 2"]
  ) -> Float[np.ndarray, " count"]:
    """log p(parameters | x), each of its own x, of parameters 0 to 1; nats."""
    unit, x = np.asarray(unit, np.float64), np.asarray(x, np.float64)
    offset = x - self._shift(2 * unit - 1) - (0.25, 0)
    radius = np.hypot(*offset.T)
    with np.errstate(divide="ignore"):
      logs = stats.norm(0.1, 0.01).logpdf(radius) - np.log(np.pi * radius)
    inside = (offset[:, 0] > 0) & ((unit >= 0) & (unit <= 1)).all(1)
    places, inverse = np.unique(x, axis=0, return_inverse=True)
    evidence = np.array([self._evidence(place) for place in places])[inverse.ravel()]
    return np.where(inside, logs, -np.inf) - np.log(evidence)

  def _evidence(self, x: Float[np.ndarray, " 2"]) -> float:
    """p(x): a quarter, the density of the prior on its box, times the area of parameters by which noise gives x, in the
    mean over the noise's quantiles.  Parameters and what they shift x by differ by a turn, which keeps areas."""
    shares = (np.arange(_SIDE) + 0.5) / _SIDE
    radius, angle = np.meshgrid(stats.norm(0.1, 0.01).ppf(shares), np.pi * (shares - 0.5))
    along, across = np.moveaxis(x - self._noise(radius.ravel(), angle.ravel()), -1, 0)
    total = 0.0
    for sign in (-1, 1):  # |s + t| is -√2 along
      sums, differences = -sign * np.sqrt(2) * along, np.sqrt(2) * across
      s, t = (sums - differences) / 2, (sums + differences) / 2
      total += ((along <= 0) & (np.abs(s) <= 1) & (np.abs(t) <= 1)).mean()
    return max(total, 1 / _SIDE**2) / 4

  def _noise(self, radius, angle) -> np.ndarray:
    return np.stack([radius * np.cos(angle) + 0.25, radius * np.sin(angle)], -1)

  def _shift(self, theta: Float[np.ndarray, "count 2"]) -> Float[np.ndarray, "count 2"]:
    s, t = theta.T
    return np.stack([-np.abs(s + t), t - s], -1) / np.sqrt(2)


SIMULATORS = {"two_moons": TwoMoons}


def load(name: str, split: str, count: int) -> Simulations:
  """So many runs of a simulator, always the same.

  Raises:
    UserError: no such simulator or split, or no runs.
  """
  if name not in SIMULATORS:
    raise UserError("config.data.name", name, f"choose one of {', '.join(SIMULATORS)}.")
  if split not in _SEEDS:
    raise UserError("split", split, f"choose one of {', '.join(_SEEDS)}.")
  if count < 1:
    raise UserError("number of runs", count, "simulate one at least.")
  rng = np.random.default_rng(_SEEDS[split])
  unit = rng.uniform(size=(count, 2))
  observed = SIMULATORS[name]().simulate(unit, rng)
  return Simulations(f"{name} {split}", unit.astype(np.float32), observed.astype(np.float32))
