"""Molecules with made-up targets."""

from pathlib import Path


def write(folder: Path) -> None:
  """`delaney.csv` and `hiv_smiles.csv`: the same few dozen molecules."""
  rings = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCOC1", "c1ccsc1", "c1ccc2ccccc2c1")
  smiles = [chain + ring for ring in rings for chain in ("C", "CC", "OCC", "NCC", "ClC", "C=C", "N#C")] + ["CCO", "C"]
  tables = {"delaney.csv": "measured log solubility in mols per litre", "hiv_smiles.csv": "HIV_active"}
  for file, target in tables.items():
    value = lambda i, file=file: i % 2 if file.startswith("hiv") else 0.1 * i
    rows = [f"smiles,{target}", *(f"{text},{value(i)}" for i, text in enumerate(smiles))]
    (folder / file).write_text("\n".join(rows) + "\n")
