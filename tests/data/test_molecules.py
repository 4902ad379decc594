"""Molecules against RDKit, by hand; packs against molecules one by one."""

import jax
import numpy as np
import pytest

from research.data import graph_packs, molecules
from research.errors import UserError

rdkit = pytest.importorskip("rdkit")


def write(path, rows, head="smiles,solubility,toxic"):
  path.write_text("\n".join([head, *rows]) + "\n")
  return str(path)


@pytest.fixture
def few(tmp_path):
  rows = ["CCO,1.5,0", "c1ccccc1,2,1", "C,,0", "Cc1ccccc1O,-1,", "[Na+].[Cl-],0,0", "C#N,3,1", "CCO,9,1"]
  return molecules.load("own", write(tmp_path / "mine.csv", rows))


def test_ethanol_and_benzene_by_hand(few):
  assert few.smiles == ("CCO", "c1ccccc1", "C", "Cc1ccccc1O", "[Na+].[Cl-]", "C#N"), "of equals the first"
  assert few.num_atoms.tolist() == [3, 6, 1, 8, 2, 2]
  assert few.num_bonds.tolist() == [4, 12, 0, 16, 0, 2]
  carbon, oxygen = (1 + molecules.ELEMENTS.index(z) for z in (6, 8))
  # element, degree (hydrogens included), charge + 3, hydrogens, sp3, not aromatic, in no ring
  assert few.atoms[:3].tolist() == [
    [carbon, 4, 3, 3, 4, 0, 0],
    [carbon, 4, 3, 2, 4, 0, 0],
    [oxygen, 2, 3, 1, 4, 0, 0],
  ]
  assert few.atoms[3:9].tolist() == [[carbon, 3, 3, 1, 3, 1, 1]] * 6
  assert list(zip(few.senders[:4], few.receivers[:4])) == [(1, 0), (0, 1), (2, 1), (1, 2)]
  assert few.bonds[:4].tolist() == [[0, 0, 0]] * 4
  assert few.bonds[4:16].tolist() == [[3, 1, 1]] * 12, "aromatic, conjugated, in a ring"
  assert few.atoms[18:20, 2].tolist() == [4, 2], "charges of sodium and chloride"
  assert few.bonds[-1].tolist() == [2, 0, 0]
  np.testing.assert_array_equal(few.targets[:4], [[1.5, 0], [2, 1], [np.nan, 0], [-1, np.nan]])
  assert few.tasks == ("solubility", "toxic")


def test_chosen_molecules_are_the_same_ones(few):
  chosen = few.select(np.array([3, 0]))
  assert chosen.smiles == ("Cc1ccccc1O", "CCO")
  assert chosen.num_atoms.tolist() == [8, 3]
  np.testing.assert_array_equal(chosen.atoms[8:], few.atoms[:3])
  np.testing.assert_array_equal(chosen.bonds[16:], few.bonds[:4])
  assert chosen.senders.max() < 8


@pytest.mark.parametrize(
  ("rows", "options", "message"),
  [
    (["CCO,1,0", "C(C,1,0"], {}, r"molecule 1.*RDKit"),
    (["CCO,1,0", ",1,0"], {}, "RDKit"),
    (["CCO,much,0"], {}, "line 2, column solubility = 'much'"),
    (["CCO,1,0"], {"smiles": "structure"}, "structure"),
    (["CCO,1,0"], {"targets": ("boiling",)}, "boiling"),
    ([], {}, "no rows"),
  ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path, rows, options, message):
  with pytest.raises(UserError, match=message):
    molecules.load("own", write(tmp_path / "mine.csv", rows), **options)


def test_a_metal_complex_whose_valences_rdkit_refuses_is_read():
  """Aluminium oxalate, of the HIV set: three ligands of six atoms and five bonds, bound twice each."""
  text = "O=C1O[Al]23(OC1=O)(OC(=O)C(=O)O2)OC(=O)C(=O)O3"
  arrays = molecules.featurised([text], "complex")
  assert arrays["num_atoms"].tolist() == [19]
  assert arrays["num_bonds"].tolist() == [2 * (3 * 5 + 6)]
  assert np.bincount(arrays["receivers"]).max() == 6
  assert "Al" in molecules.scaffolds([text])[0]


def test_scaffold_split_is_rdkits_largest_sets_first():
  """Four phenyls, three cyclohexyls, two pyridines and one without a ring: 10 molecules."""
  from rdkit.Chem.Scaffolds import MurckoScaffold

  smiles = ["CC1CCCCC1", "CCO", "Cc1ccccc1", "Nc1ccccc1", "OC1CCCCC1", "Cc1ccncc1", "Oc1ccccc1", "Clc1ccccc1"]
  smiles += ["NC1CCCCC1", "Nc1ccncc1"]
  whole = few_of(smiles)
  expected = [MurckoScaffold.MurckoScaffoldSmilesFromSmiles(text) for text in smiles]
  assert molecules.scaffolds(smiles) == expected
  assert (expected[2], expected[0], expected[5], expected[1]) == ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "")
  train, validation, test = molecules.split(whole)
  assert sorted(train.tolist()) == [0, 1, 2, 3, 4, 6, 7, 8], "the pyridines do not fit; the last one does"
  assert sorted(validation.tolist()) == [5, 9]
  assert len(test) == 0
  train, validation, test = molecules.split(whole, shares=(0.7, 0.1))
  assert sorted(train.tolist()) == [0, 2, 3, 4, 6, 7, 8]
  assert validation.tolist() == [1], "the pyridines do not fit here either"
  assert sorted(test.tolist()) == [5, 9]
  again = molecules.split(whole, shares=(0.7, 0.1))
  assert all(np.array_equal(a, b) for a, b in zip(again, (train, validation, test)))
  parts = molecules.split(whole, "random")
  assert sorted(np.concatenate(parts).tolist()) == list(range(10))
  with pytest.raises(UserError, match="scaffold or random"):
    molecules.split(whole, "time")


def few_of(smiles):
  arrays = molecules.featurised(smiles, "test")
  targets = np.arange(len(smiles), dtype=np.float32)[:, None]
  return molecules.Molecules("test", tuple(smiles), **arrays, targets=targets, tasks=("number",))


@pytest.mark.parametrize("seed", [None, 0])
def test_packs_hold_every_molecule_once_with_its_own_atoms_and_bonds(seed):
  smiles = ["CCO", "c1ccccc1", "C", "Cc1ccccc1O", "[Na+].[Cl-]", "C#N", "CCCCC", "C1CC1"]
  whole = few_of(smiles)
  data = graph_packs.packed(whole, (11, 30, 3), 2, seed=seed)
  assemble, seen = jax.jit(data.assemble), []
  for step in range(data.num_batches):
    batch = jax.device_get(assemble(dict(data.resident), data.feed(step)))
    graph = batch["graph"]
    assert (np.diff(graph.receivers) >= 0).all(), "sorted by receiver"
    assert (np.diff(graph.graph) >= 0).all(), "and nodes by graph"
    for row, place in zip(*np.nonzero(batch["mask"])):
      item = batch["item"][row, place]
      mine = np.flatnonzero(graph.graph == row * 4 + place)
      alone = whole.select(np.array([item]))
      np.testing.assert_array_equal(graph.nodes[mine], alone.atoms)
      inside = (graph.receivers >= mine[0]) & (graph.receivers <= mine[-1])
      np.testing.assert_array_equal(graph.senders[inside] - mine[0], alone.senders)
      np.testing.assert_array_equal(graph.receivers[inside] - mine[0], alone.receivers)
      np.testing.assert_array_equal(graph.edges[inside], alone.bonds)
      assert batch["targets"][row, place, 0] == item
      seen.append(int(item))
  assert sorted(set(seen)) == list(range(8))
  if seed is None:
    assert len(seen) == 8
  with pytest.raises(UserError, match="over the budget"):
    graph_packs.packed(whole, (8, 30, 3), 2, seed=seed)
