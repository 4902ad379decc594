"""Graph experiments: what is held out is never seen, what is left out last, and what a person is told."""

import itertools

import jax
import numpy as np
import pytest

from experiments import gnn
from experiments.command import cli
from experiments.parts import graph_links, graph_tables
from research.data import facts, networks, power_law, ratings
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor
from tests.mock_data.raw import planetoid


def test_held_out_links_are_not_in_training_and_pairs_that_are_none_are_none():
  data = networks.load("les_miserables")
  parts = graph_links.divided(data, 0.05, 0.1)
  pairs = lambda edges: {tuple(sorted(pair)) for pair in edges.T.tolist()}
  sets = [pairs(part) for part in parts]
  assert [len(part) for part in sets] == [216, 13, 25, 13, 25]
  assert set.union(*sets[:3]) == pairs(data.edges)
  assert not set.union(*sets[3:]) & pairs(data.edges)
  assert not sets[3] & sets[4]
  assert all(a != b for a, b in sets[3] | sets[4])
  with pytest.raises(UserError, match="254 edges"):
    graph_links.divided(data, 0.5, 0.5)


def test_the_last_item_of_every_user_is_tested_the_one_before_validates():
  rows = [("ann", "x", 3), ("ann", "y", 1), ("ann", "z", 2), ("bob", "x", 5), ("bob", "y", 5), ("bob", "z", 4)]
  rows += [("cy", "z", 1), ("cy", "z", 9), ("cy", "x", 2), ("dan", "w", 1), ("dan", "x", 2), ("dan", "y", 3)]
  data = ratings.numbered("test", *zip(*rows))
  parts = ratings.leave_last_out(data)
  named = lambda part: {(data.user_names[data.user[i]], data.item_names[data.item[i]]) for i in parts[part]}
  assert named("train") == {("ann", "y"), ("bob", "z"), ("cy", "z"), ("cy", "x"), ("dan", "w")}
  assert named("validation") == {("ann", "z"), ("bob", "x"), ("dan", "x")}
  assert named("test") == {("ann", "x"), ("bob", "y"), ("dan", "y")}


def test_own_interactions_and_what_is_wrong_with_them(tmp_path):
  file = tmp_path / "mine.csv"
  file.write_text("user,item,time\nann,x,1\nann,y,2\nbob,x,1\n")
  assert ratings.load("own", str(file)).item_names == ("x", "y")
  file.write_text("user,item,time\nann,x,soon\n")
  with pytest.raises(UserError, match="line 2, column time = 'soon'"):
    ratings.load("own", str(file))
  file.write_text("who,what\nann,x\n")
  with pytest.raises(UserError, match="user, item"):
    ratings.load("own", str(file))


def test_families_are_consistent_and_facts_are_divided_once():
  found = facts.kinship()
  by = {relation: {(a, b) for a, r, b in found if r == relation} for relation in {r for _, r, _ in found}}
  assert by["spouse"] == {(b, a) for a, b in by["spouse"]}
  assert by["cousin"] == {(b, a) for a, b in by["cousin"]}
  assert by["child"] == {(b, a) for a, b in by["parent"]}
  assert by["grandparent"] == {(a, c) for a, b in by["parent"] for d, c in by["parent"] if b == d}
  data = facts.load("kinship")
  rows = [tuple(row) for part in data.splits.values() for row in part.tolist()]
  assert len(rows) == len(set(rows)) == len(found)
  assert len(data.splits["test"]) == len(found) // 10
  assert set(data.splits["test"][:, [0, 2]].ravel()) <= set(data.splits["train"][:, [0, 2]].ravel())


def test_other_answers_are_known_and_the_asked_one_is_not():
  data = facts.load("kinship")
  rows = graph_tables.filtered(data, "test", 50)
  true = {tuple(row) for part in data.splits.values() for row in part.tolist()}
  batch = rows.assemble(dict(rows.resident), rows.feed(0))
  for row in range(3):
    h, r, t = (int(batch[name][row]) for name in ("head", "relation", "tail"))
    expected = [(h, r, x) in true and x != t for x in range(len(data.entities))]
    assert np.asarray(batch["known"][row, 0]).astype(bool).tolist() == expected
    expected = [(x, r, t) in true and x != h for x in range(len(data.entities))]
    assert np.asarray(batch["known"][row, 1]).astype(bool).tolist() == expected


def test_own_facts_and_what_is_wrong_with_them(tmp_path):
  (tmp_path / "train.txt").write_text("a\tlikes\tb\nb\tlikes\ta\n")
  (tmp_path / "test.txt").write_text("a\tlikes\ta\n")
  data = facts.load("own", str(tmp_path))
  assert (data.entities, data.relations, data.splits["test"].tolist()) == (("a", "b"), ("likes",), [[0, 0, 0]])
  (tmp_path / "test.txt").write_text("a\tlikes\tc\n")
  with pytest.raises(UserError, match="test has = 'c'"):
    facts.load("own", str(tmp_path))
  (tmp_path / "test.txt").write_text("a likes b\n")
  with pytest.raises(UserError, match=r"test\.txt line 1"):
    facts.load("own", str(tmp_path))


def test_degrees_of_the_made_up_graph_are_heavy_tailed_and_its_neighbours_alike():
  graph = power_law.power_law(5000, 50_000, features=2)
  degree = np.diff(graph.starts)
  assert degree.sum() == 50_000
  assert degree.max() > 30 * np.median(degree)
  receivers = np.repeat(np.arange(5000), degree)
  share = (graph.label[receivers] == graph.label[graph.senders]).mean()
  assert 0.78 < share < 0.86  # four fifths, and a tenth of the others


def test_neighbourhoods_are_neighbours_and_the_same_for_the_same_step():
  config = cli.load_config("configs/gnn/power_law.py:smoke")
  experiment = gnn.experiment(config)
  data = experiment.train_data
  batch, again = (data.assemble(dict(data.resident), data.feed(3)) for _ in range(2))
  np.testing.assert_array_equal(batch["inputs"], again["inputs"])
  other = data.assemble(dict(data.resident), data.feed(4))
  assert not np.array_equal(batch["inputs"], other["inputs"])
  features, starts, senders = (data.resident[name] for name in ("features", "starts", "senders"))
  node = {tuple(row): i for i, row in enumerate(features)}
  tree = [[node[tuple(row)] for row in rows] for rows in np.asarray(batch["inputs"])]
  near = lambda v: set(senders[starts[v] : starts[v + 1]].tolist()) or {v}
  for row in tree[:4]:
    root, first, second = row[0], row[1:11], row[11:]
    assert set(first) <= near(root)
    for i, parent in enumerate(first):
      assert set(second[5 * i : 5 * i + 5]) <= near(parent)


@pytest.mark.parametrize(
  ("config", "overrides", "message"),
  [
    ("karate", {"model.name": "gcm"}, "gcn"),
    ("karate", {"train.select": "True"}, "no node to validate"),
    ("karate", {"data.name": "les_miserables"}, "communities"),
    ("les_miserables", {"model.communities": "1"}, "two or more"),
    ("kinship", {"model.name": "rotate"}, "transe"),
  ],
)
def test_what_there_is_not_is_told(config, overrides, message):
  with pytest.raises(UserError, match=message):
    gnn.experiment(cli.load_config(f"configs/gnn/{config}.py:smoke", overrides))


def test_the_same_config_reads_another_set_of_the_same_form(tmp_path):
  planetoid.write(tmp_path, papers=90)
  (tmp_path / "cora.npz").rename(tmp_path / "pubmed.npz")
  overrides = {"data.name": "pubmed", "data.path": str(tmp_path)}
  experiment = gnn.experiment(cli.load_config("configs/gnn/cora.py:smoke", overrides))
  assert experiment.test_data.num_examples == 58


def test_edges_of_a_large_graph_are_divided_by_receiver_under_fsdp(monkeypatch):
  """Les Misérables' 585 edges and 7 of padding: each of four devices holds 148, and an update is that of one device."""
  if jax.device_count() < 4:
    pytest.skip("needs four devices")
  monkeypatch.setattr(parallel, "FSDP_MIN_ELEMENTS", 64)  # what is small stays whole
  config = cli.load_config("configs/gnn/les_miserables.py", {"train.members": "1", "run.steps_per_dispatch": "1"})
  experiment = gnn.experiment(config)
  states = []
  for plan in (parallel.plan("jit", 1), parallel.plan("fsdp", 4)):
    executor = Executor(experiment, plan, 0)
    state = executor.init_state()
    for _, _, feed, count in executor.feeds(experiment.train_data, [(0, 1)], 1):
      state, _ = executor.update(state, feed, count)
    states.append(jax.device_get(state.params))
  receivers = executor.resident(experiment.train_data)["graph"].receivers
  blocks = [np.asarray(shard.data) for shard in receivers.addressable_shards]
  assert [len(block) for block in blocks] == [148] * 4
  assert all(one.max() <= other.min() for one, other in itertools.pairwise(blocks))
  jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), *states)
