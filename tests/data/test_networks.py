"""Graphs with labels: every form that they are given in, and what is said of those that are none."""

import networkx
import numpy as np
import pytest
import scipy.sparse

from research.data import networks
from research.errors import UserError


def write_archive(path, nodes=12, **changes):
  rng = np.random.default_rng(0)
  words = scipy.sparse.csr_matrix(rng.integers(0, 2, (nodes, 5)).astype(np.float32))
  arrays = {
    "features_data": words.data,
    "features_indices": words.indices,
    "features_indptr": words.indptr,
    "features_shape": words.shape,
    "edges": rng.integers(0, nodes, (2, 20)),
    "labels": np.arange(nodes) % 3,
    "train": np.arange(3),
    "val": np.arange(3, 6),
    "test": np.arange(6, nodes),
  }
  arrays |= changes
  np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
  return words.toarray()


def write_tables(folder, nodes="id,label,age,split\nann,x,3,train\nbob,y,4,test\ncy,,5,\n", edges="ann,bob\nbob,cy\n"):
  (folder / "nodes.csv").write_text(nodes)
  (folder / "edges.csv").write_text("source,target\n" + edges)
  return str(folder)


def test_archive_is_read_as_it_is(tmp_path):
  words = write_archive(tmp_path / "cora.npz")
  found = networks.load("cora", str(tmp_path), normalise=False)
  np.testing.assert_array_equal(found.features.dense(), words)
  assert found.part("validation")["index"].tolist() == [3, 4, 5]
  assert found.part("test")["label"].tolist() == [0, 1, 2, 0, 1, 2]
  assert found.class_names == ("0", "1", "2")
  shares = np.asarray(networks.load("cora", str(tmp_path)).features.dense())
  np.testing.assert_allclose(shares.sum(1), words.sum(1) > 0, rtol=1e-6)


def test_dense_features_are_standardised_and_nodes_without_a_split_are_divided(tmp_path):
  features = np.random.default_rng(0).normal(3, 2, (12, 2))
  write_archive(tmp_path / "mine.npz", features=features, train=None, val=None, test=None)
  found = networks.load("own", str(tmp_path / "mine.npz"))
  np.testing.assert_allclose(found.features, (features - features.mean(0)) / features.std(0), rtol=1e-5)
  parts = [set(found.splits[part].tolist()) for part in networks.PARTS]
  assert set.union(*parts) == set(range(12))
  assert sum(map(len, parts)) == 12
  few = networks.load("own", str(tmp_path / "mine.npz"), per_class=1)
  assert sorted(few.part("train")["label"].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"edges": None}, "edges"),
    ({"edges": np.zeros((5, 2), int)}, r"\[2, edge\]"),
    ({"edges": np.array([[0], [12]])}, "nodes 0 to 11"),
    ({"labels": np.arange(11) % 3}, "12"),
    ({"test": np.array([12])}, "nodes 0 to 11"),
    ({"test": np.array([2])}, "overlap"),
    ({"train": np.array([0]), "labels": np.full(12, -1)}, "no label"),
    ({"features": np.full((12, 2), np.nan)}, "NaN"),
  ],
)
def test_what_is_wrong_with_an_archive_is_told(tmp_path, changes, message):
  write_archive(tmp_path / "mine.npz", **changes)
  with pytest.raises(UserError, match=message):
    networks.load("own", str(tmp_path / "mine.npz"))


def test_tables_have_names_labels_splits_and_features(tmp_path):
  found = networks.load("own", write_tables(tmp_path), normalise=False)
  assert found.node_names == ("ann", "bob", "cy")
  assert found.label.tolist() == [0, 1, networks.UNKNOWN]
  assert found.edges.tolist() == [[0, 1], [1, 2]]
  assert found.features[:, 0].tolist() == [3, 4, 5]
  assert {part: index.tolist() for part, index in found.splits.items()} == {"train": [0], "validation": [], "test": [1]}


@pytest.mark.parametrize(
  ("tables", "message"),
  [
    ({"edges": "ann,dan\n"}, "line 2, column target = 'dan'"),
    ({"nodes": "id\nann\nann\n"}, "line 3"),
    ({"nodes": "name\nann\n"}, "id"),
    ({"nodes": "id,age\nann,old\nbob,2\ncy,3\n"}, "column age = 'old'"),
  ],
)
def test_what_is_wrong_with_tables_is_told(tmp_path, tables, message):
  with pytest.raises(UserError, match=message):
    networks.load("own", write_tables(tmp_path, **tables))


def test_graphml_and_networkx_are_the_same(tmp_path):
  graph = networkx.Graph([("a", "b"), ("b", "c"), ("c", "c")])
  for node, label in zip(graph, "xyx"):
    graph.nodes[node].update(label=label, size=ord(node))
  networkx.write_graphml(graph, tmp_path / "mine.graphml")
  one = networks.from_networkx(graph, label="label")
  other = networks.own(str(tmp_path / "mine.graphml"))
  for found in (one, other):
    assert found.node_names == ("a", "b", "c")
    assert found.label.tolist() == [0, 1, 0]
    assert sorted(map(tuple, found.edges.T.tolist())) == [(0, 1), (1, 2), (2, 2)]
    assert found.features[:, 0].tolist() == [97, 98, 99]


def test_embedded_graphs_are_those_of_networkx():
  club = networks.load("karate")
  assert (len(club), club.edges.shape[1], club.class_names) == (34, 78, ("Mr. Hi", "Officer"))
  assert club.label[club.splits["train"]].tolist() == [0, 1]
  novel = networks.load("les_miserables")
  assert (len(novel), novel.edges.shape[1], len(novel.splits["train"])) == (77, 254, 0)


def test_unknown_names_and_files_are_told(tmp_path):
  with pytest.raises(UserError, match="karate"):
    networks.load("kareta")
  with pytest.raises(UserError, match=r"edges\.csv"):
    networks.load("own", str(tmp_path))
