"""Points of mixtures of Gaussians in the plane: synthetic data whose density is known."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from research.data.examples import Examples
from research.errors import UserError


class Mixture(NamedTuple):
  """Equally likely round Gaussians.

  Attributes:
    centres: [mode, axis].
    std: of every one, along every axis.
  """

  centres: Float[np.ndarray, "mode axis"]
  std: float

  def draw(self, count: int, seed: int) -> tuple[Float[np.ndarray, "count axis"], np.ndarray]:
    """Points, float32, and the mode that each is from, int32."""
    rng = np.random.default_rng(seed)
    mode = rng.integers(0, len(self.centres), count)
    points = self.centres[mode] + self.std * rng.normal(size=(count, self.centres.shape[1]))
    return points.astype(np.float32), mode.astype(np.int32)

  def log_density(self, points: Float[np.ndarray, "count axis"]) -> Float[np.ndarray, " count"]:
    """log p, nats."""
    distance = ((np.asarray(points, np.float64)[:, None] - self.centres) ** 2).sum(-1)
    constant = self.centres.shape[1] * np.log(self.std * np.sqrt(2 * np.pi)) + np.log(len(self.centres))
    return np.logaddexp.reduce(-0.5 * distance / self.std**2, axis=1) - constant


def ring(modes: int = 8, radius: float = 1.4, std: float = 0.15) -> Mixture:
  """Modes evenly on a circle; with these constants each axis has a variance of about 1."""
  angles = 2 * np.pi * np.arange(modes) / modes
  return Mixture(radius * np.stack([np.cos(angles), np.sin(angles)], -1), std)


def grid(side: int = 5, spacing: float = 2.0, std: float = 0.05) -> Mixture:
  """Modes on a square grid around 0; by default the 25 of Srivastava et al. 2017, section 4.1."""
  places = spacing * (np.arange(side) - (side - 1) / 2)
  return Mixture(np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(-1, 2), std)


def moons(places: int = 100, std: float = 0.1) -> Mixture:
  """Two interleaved half circles, as scikit-learn's: a Gaussian at each of so many places along them, scaled to about
  unit variance."""
  angles = np.pi * (np.arange(places) + 0.5) / places
  upper = np.stack([np.cos(angles), np.sin(angles)], -1)
  return Mixture(1.25 * (np.concatenate([upper, [1, 0.5] - upper]) - [0.5, 0.25]), std)


def spirals(places: int = 200, turns: float = 1.25, std: float = 0.07) -> Mixture:
  """Two arms wound about one another: a Gaussian at each of so many places of an arm, evenly along its angle's root."""
  angle = 2 * np.pi * turns * np.sqrt((np.arange(places) + 0.5) / places)
  arm = 2.0 * (angle / angle.max())[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
  return Mixture(np.concatenate([arm, -arm]), std)


MIXTURES = {
  "moons": moons,
  "spirals": spirals,
  "eight_gaussians": ring,
  "ring": lambda: ring(radius=2.0, std=0.02),  # Metz et al. 2017, section 3.1: eight modes, far apart
  "grid": grid,
}
_SEEDS = {"train": 0, "test": 1, "valid": 2}


def load(name: str, split: str, count: int) -> Examples:
  """So many points of a mixture, always the same; the label is the mode.

  Raises:
    UserError: no such mixture or split, or no points.
  """
  if name not in MIXTURES:
    raise UserError("config.data.name", name, f"choose one of {', '.join(MIXTURES)}.")
  if split not in _SEEDS:
    raise UserError("split", split, f"choose one of {', '.join(_SEEDS)}.")
  if count < 1:
    raise UserError("number of points", count, "draw at least one.")
  mixture = MIXTURES[name]()
  points, mode = mixture.draw(count, _SEEDS[split])
  return Examples(f"{name} {split}", points, mode, tuple(str(i) for i in range(len(mixture.centres))))
