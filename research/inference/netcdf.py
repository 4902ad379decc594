"""Draws as a netCDF file that ArviZ opens: `arviz.from_netcdf(path)`; needs the extra `arviz`."""

import importlib.util
import pathlib
import tempfile
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped

from research.errors import UserError

# What ArviZ calls the facts of a draw (`research.inference.kernels.Info`).
NAMES = {
  "acceptance": "acceptance_rate",
  "divergent": "diverging",
  "energy": "energy",
  "gradients": "n_steps",
  "log_density": "lp",
}


def check(field: str) -> None:
  """Raises a UserError, about the config's `field`, where what writes such files is not installed."""
  missing = [name for name in ("arviz_base", "h5netcdf", "h5py") if importlib.util.find_spec(name) is None]
  if missing:
    raise UserError(field, True, f"{', '.join(missing)} is not installed: pip install genera[arviz].")


def dumps(
  posterior: Mapping[str, Shaped[np.ndarray, "chain draw ..."]],
  facts: Mapping[str, Shaped[np.ndarray, "chain draw"]],
  observed: Mapping[str, np.ndarray],
) -> bytes:
  """The file's content: groups `posterior`, `sample_stats` and `observed_data`, those that are empty left out.

  Args:
    posterior: draws by name.
    facts: of draws, by the names of `kernels.Info`; ArviZ's are put in their place.
    observed: data, by name.
  """
  import arviz_base

  groups = {
    "posterior": dict(posterior),
    "sample_stats": {NAMES[name]: values for name, values in facts.items()},
    "observed_data": dict(observed),
  }
  tree = arviz_base.from_dict({name: values for name, values in groups.items() if values})
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "draws.nc"
    tree.to_netcdf(path, engine="h5netcdf")
    return path.read_bytes()
