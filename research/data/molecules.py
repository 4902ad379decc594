"""Molecules as graphs of atoms, from SMILES through RDKit (extra `molecules`), split by scaffold."""

import dataclasses
import importlib.metadata
import logging
import pathlib
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from research.data import cache, cells, raw
from research.errors import UserError

# name -> (file, column of SMILES, columns of targets)
SOURCES = {
  "esol": ("delaney.csv", "smiles", ("measured log solubility in mols per litre",)),
  "hiv": ("hiv_smiles.csv", "smiles", ("HIV_active",)),
}
ELEMENTS = (1, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 20, 26, 29, 30, 33, 34, 35, 50, 53, 80)
# Values of each category: element (0: another), degree, charge -3 to 3, hydrogens, hybridisation, aromatic, in a ring.
ATOM_SIZES = (len(ELEMENTS) + 1, 8, 7, 6, 7, 2, 2)
BOND_SIZES = (5, 2, 2)  # single, double, triple, aromatic, another; conjugated; in a ring
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Molecules:
  """Molecules, one after the other.

  Attributes:
    name: for messages.
    smiles: as they were given.
    atoms: uint8 [atom, category], of all molecules (`ATOM_SIZES`).
    bonds: uint8 [bond, category], each bond twice, once a direction (`BOND_SIZES`); sorted by the atom that receives.
    senders, receivers: int32 [bond], numbers of atoms within the molecule.
    num_atoms, num_bonds: int32 [molecule].
    targets: float32 [molecule, task], NaN where it is not known.
    tasks: names of the targets.
  """

  name: str
  smiles: tuple[str, ...] = dataclasses.field(metadata={"example": True})
  atoms: Int[np.ndarray, "atom category"]
  bonds: Int[np.ndarray, "bond category"]
  senders: Int[np.ndarray, " bond"]
  receivers: Int[np.ndarray, " bond"]
  num_atoms: Int[np.ndarray, " molecule"]
  num_bonds: Int[np.ndarray, " molecule"]
  targets: Float[np.ndarray, "molecule task"]
  tasks: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.smiles)

  def select(self, index: Int[np.ndarray, " some"]) -> "Molecules":
    """The molecules at `index`."""
    index = np.arange(len(self))[index]
    spans = lambda counts: _spans(np.cumsum(counts) - counts, counts, index)
    atoms, bonds = spans(self.num_atoms), spans(self.num_bonds)
    return Molecules(
      self.name,
      tuple(self.smiles[i] for i in index),
      self.atoms[atoms],
      self.bonds[bonds],
      self.senders[bonds],
      self.receivers[bonds],
      self.num_atoms[index],
      self.num_bonds[index],
      self.targets[index],
      self.tasks,
    )


def _spans(starts, counts, index) -> np.ndarray:
  """Places starts[i] to starts[i] + counts[i] - 1 of every i of `index`, one after the other."""
  counts, starts = counts[index], starts[index]
  before = np.cumsum(counts) - counts
  return np.repeat(starts - before, counts) + np.arange(counts.sum())


def load(name: str, path: str | None = None, *, smiles: str = "smiles", targets: Sequence[str] = ()) -> Molecules:
  """Molecules and what is known of them; of several rows with the same SMILES the first.

  Args:
    name: `esol`, `hiv`; unused with a path of one's own.
    path: a table (`cells.read`); or the named set's file or folder, by default `$GENERA_DATA_DIR/molecules`.
    smiles, targets: columns of the user's own; without targets, all of the first line's others.

  Raises:
    UserError: no such file or column, a target that is no number, a SMILES that RDKit does not take, no RDKit.
  """
  files = SOURCES[name][:1] if name in SOURCES else ()
  if raw.is_own(name, path, *files):
    kinds = "a table of molecules (.csv, .tsv, .parquet): a column of SMILES, others of numbers"
    name, file = str(path), raw.own(path, kinds, cells.SUFFIXES, known=files)
  elif name in SOURCES:
    file, smiles, targets = SOURCES[name]
    file = raw.locate("molecules", file, path)
  else:
    remedy = f"choose one of {', '.join(SOURCES)}, or give a table by config.data.path."
    raise UserError("config.data.name", name, remedy)
  texts, values, tasks = read(file, smiles, tuple(targets))
  _, first = np.unique(np.array(texts), return_index=True)
  kept = np.sort(first)
  texts, values = [texts[i] for i in kept], values[kept]
  key = {"file": cache.fingerprint([file]), "smiles": smiles, "rdkit": _version(), "sizes": [ATOM_SIZES, BOND_SIZES]}
  build = lambda: featurised(texts, f"{file}: {smiles}")
  return Molecules(
    str(name), tuple(texts), **cache.cached(f"molecules-{file.stem}", key, build), targets=values, tasks=tasks
  )


def read(
  path: pathlib.Path, smiles: str, targets: tuple[str, ...] | None = ()
) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
  """SMILES, targets [row, task] and their names, of a table; an empty cell is NaN.

  Without names of targets all columns but SMILES are; None: no targets at all.

  Raises:
    UserError: as `cells.read`; it has no such column, or a target that is no number.
  """
  given = cells.read(path, header=True)
  if targets is None:
    targets = ()
  else:
    targets = targets or tuple(name for name in given.header if name != smiles)
  for name in (smiles, *targets):
    if name not in given.header:
      remedy = f"there is none of that name: {', '.join(given.header)}. (config.data.smiles, config.data.targets)"
      raise UserError(f"{path}: column", name, remedy)
  values = np.full((len(given.rows), len(targets)), np.nan, np.float32)
  places = [given.header.index(name) for name in targets]
  for row, (line, texts) in enumerate(given.rows):
    for column, at in enumerate(places):
      if texts[at] in cells.MISSING:
        continue
      if not cells.is_number(texts[at]):
        raise UserError(given.place(line, targets[column]), texts[at], "give a number, or nothing.")
      values[row, column] = cells.as_float32(texts[at], given.place(line, targets[column]))
  return given.named((smiles,))[smiles], values, targets


def featurised(smiles: Sequence[str], name: str) -> dict[str, np.ndarray]:
  """Atoms and bonds of molecules, the fields of `Molecules` by name.

  Raises:
    UserError: a SMILES that is none, by its place; RDKit is not installed.
  """
  chem = _rdkit()
  _log.info("Reading %d molecules, once.", len(smiles))
  many = [_one(chem, text, f"{name}, molecule {i}") for i, text in enumerate(smiles)]
  atoms, bonds, ends = zip(*many)
  ends = np.concatenate(ends, axis=1)
  return {
    "atoms": np.concatenate(atoms),
    "bonds": np.concatenate(bonds),
    "senders": ends[0],
    "receivers": ends[1],
    "num_atoms": np.array([len(each) for each in atoms], np.int32),
    "num_bonds": np.array([len(each) for each in bonds], np.int32),
  }


def _one(chem, text: str, where: str):
  """Atoms [atom, category], bonds [bond, category], and their ends [2, bond]."""
  molecule = _molecule(chem, text, where)
  kinds = chem.rdchem.HybridizationType
  shapes = {kinds.S: 1, kinds.SP: 2, kinds.SP2: 3, kinds.SP3: 4, kinds.SP3D: 5, kinds.SP3D2: 6}
  atoms = [
    (
      ELEMENTS.index(atom.GetAtomicNum()) + 1 if atom.GetAtomicNum() in ELEMENTS else 0,
      min(atom.GetTotalDegree(), ATOM_SIZES[1] - 1),
      min(max(atom.GetFormalCharge(), -3), 3) + 3,
      min(atom.GetTotalNumHs(), ATOM_SIZES[3] - 1),
      shapes.get(atom.GetHybridization(), 0),
      atom.GetIsAromatic(),
      atom.IsInRing(),
    )
    for atom in molecule.GetAtoms()
  ]
  types = chem.rdchem.BondType
  orders = {types.SINGLE: 0, types.DOUBLE: 1, types.TRIPLE: 2, types.AROMATIC: 3}
  bonds, ends = [], []
  for bond in molecule.GetBonds():
    kind = (orders.get(bond.GetBondType(), 4), bond.GetIsConjugated(), bond.IsInRing())
    first, last = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    bonds += [kind, kind]
    ends += [(first, last), (last, first)]
  bonds = np.array(bonds, np.uint8).reshape(-1, len(BOND_SIZES))
  ends = np.array(ends, np.int32).reshape(-1, 2).T
  order = np.lexsort((ends[0], ends[1]))
  return np.array(atoms, np.uint8), bonds[order], ends[:, order]


def _molecule(chem, text: str, where: str):
  """RDKit's molecule; one whose valences it does not accept, such as a metal complex, without that check."""
  molecule = chem.MolFromSmiles(text) if text else None
  if molecule is None and text:
    molecule = _of_any_valence(chem, text)
  if molecule is None or not molecule.GetNumAtoms():
    raise UserError(where, text, "RDKit does not take it for a SMILES: correct the row, or remove it.")
  return molecule


def _of_any_valence(chem, text: str):
  molecule = chem.MolFromSmiles(text, sanitize=False)
  if molecule is None or {p.GetType() for p in chem.DetectChemistryProblems(molecule)} != {"AtomValenceException"}:
    return None
  molecule.UpdatePropertyCache(strict=False)
  chem.SanitizeMol(molecule, chem.SANITIZE_ALL ^ chem.SANITIZE_PROPERTIES)
  return molecule


def _rdkit() -> Any:
  try:
    from rdkit import Chem, RDLogger
  except ImportError as error:
    remedy = "molecules are read by RDKit: pip install genera[molecules] (or rdkit)."
    raise UserError("import rdkit", "not installed", remedy) from error
  silence: Any = RDLogger  # its stubs leave out what is needed
  silence.DisableLog("rdApp.*")  # what is wrong is said by an error, by its row
  return Chem


def _version() -> str:
  try:
    return importlib.metadata.version("rdkit")
  except importlib.metadata.PackageNotFoundError:
    return ""  # and `featurised` tells


def scaffolds(smiles: Sequence[str]) -> list[str]:
  """The Bemis-Murcko scaffold (1996) of every molecule, as SMILES; '' where there is no ring.

  That of one whose valences RDKit does not accept is the molecule itself.
  """
  chem = _rdkit()
  from rdkit.Chem.Scaffolds import MurckoScaffold

  def scaffold(molecule) -> str:
    try:
      return MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=False)
    except chem.AtomValenceException:
      return chem.MolToSmiles(molecule, isomericSmiles=False)

  return [scaffold(_molecule(chem, text, f"molecule {i}")) for i, text in enumerate(smiles)]


def split(molecules: Molecules, how: str = "scaffold", shares: tuple[float, float] = (0.8, 0.1), seed: int = 0):
  """Indices of (train, validation, test).

  `scaffold` is deterministic (Wu et al. 2018, MoleculeNet): sets of one scaffold, largest first, of equals the one
  whose first molecule comes last, go whole to training as long as they fit, then to validation, then to the test set.

  Args:
    molecules: of one set.
    how: `scaffold` or `random`.
    shares: of training and validation.
    seed: of `random`.

  Raises:
    UserError: another way.
  """
  count = len(molecules)
  exact = [Fraction(repr(float(share))) * count for share in shares]  # 0.7 + 0.1 is less than 0.8
  if how == "random":
    order = np.random.default_rng(seed).permutation(count)
    first, second = round(exact[0]), round(sum(exact))
    return order[:first], order[first:second], order[second:]
  if how != "scaffold":
    raise UserError("config.data.split", how, "choose scaffold or random.")
  key = {"smiles": list(molecules.smiles), "rdkit": _version()}
  names = cache.cached("scaffolds", key, lambda: {"names": np.array(scaffolds(molecules.smiles))})["names"]
  sets: dict[str, list[int]] = {}
  for i, name in enumerate(names.tolist()):
    sets.setdefault(name, []).append(i)
  train, validation, test = [], [], []
  for members in sorted(sets.values(), key=lambda each: (len(each), each[0]), reverse=True):
    if len(train) + len(members) <= exact[0]:
      train += members
    elif len(train) + len(validation) + len(members) <= sum(exact):
      validation += members
    else:
      test += members
  return tuple(np.array(part, np.int64) for part in (train, validation, test))
