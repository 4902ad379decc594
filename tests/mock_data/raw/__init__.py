"""Sets of plain files: one file a set, named as its folder below `GENERA_DATA_DIR`, with `write(folder)`.

A new one is a new file here; nothing else needs to know it.
"""

import importlib
import pkgutil
from pathlib import Path


def write(folder: Path, *names: str) -> str:
  """Those sets, by default all, as `folder/<name>/<files>`; returns `folder`."""
  for name in names or sorted(module.name for module in pkgutil.iter_modules(__path__)):
    (folder / name).mkdir(parents=True)
    importlib.import_module(f"{__name__}.{name}").write(folder / name)
  return str(folder)
