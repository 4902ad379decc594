"""One graph whose nodes have labels: embedded, a Planetoid-like archive, tables, GraphML, or an object of networkx."""

import csv
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from research.data import raw
from research.data.examples import stratified_order
from research.errors import UserError
from research.graphs.graph import SparseRows, from_edges, row_normalised

EMBEDDED = ("karate", "les_miserables")
PLANETOID = ("cora", "citeseer", "pubmed")
UNKNOWN = -1
PARTS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Network:
  """Nodes, undirected edges and labels.

  Attributes:
    name: for messages.
    features: of the nodes, `SparseRows` or float32 [node, feature].
    edges: int64 [2, edge], as they were given: either direction, loops and duplicates included.
    label: int32 [node], `UNKNOWN` where there is none.
    class_names: of the labels.
    node_names: one a node.
    splits: 'train', 'validation', 'test' -> indices of labelled nodes; empty where a part has none.
  """

  name: str
  features: Any
  edges: Int[np.ndarray, "2 edge"]
  label: Int[np.ndarray, " node"]
  class_names: tuple[str, ...]
  node_names: tuple[str, ...]
  splits: Mapping[str, Int[np.ndarray, " some"]]

  def __len__(self) -> int:
    return len(self.label)

  def part(self, split: str) -> dict[str, np.ndarray]:
    """`index` and `label` of the nodes of a split, int32."""
    index = np.asarray(self.splits[split], np.int32)
    return {"index": index, "label": self.label[index]}


def load(name: str, path: str | None = None, *, per_class: int = 0, normalise: bool = True) -> Network:
  """The network of that name.

  Args:
    name: `karate`, `les_miserables`; `cora`, `citeseer`, `pubmed`; `own`: what lies at `path`.
    path: of the files; by default, of Planetoid's, `$GENERA_DATA_DIR/planetoid`.
    per_class: training nodes a class where the source has no split; 0: stratified, 60 %, and 20 % to validate.
    normalise: divide sparse features, such as words, by each node's sum; bring dense ones to mean 0, deviation 1.

  Raises:
    UserError: no such name or file, or contents that make no graph.
  """
  if name in EMBEDDED:
    network = embedded(name)
  elif name in PLANETOID:
    network = archive(raw.locate("planetoid", f"{name}.npz", path), name)
  elif name == "own":
    network = own(path or "")
  else:
    names = ", ".join((*EMBEDDED, *PLANETOID, "own"))
    raise UserError("config.data.name", name, f"choose one of {names}.")
  if not len(network.splits["train"]):
    network = dataclasses.replace(network, splits=_split(network.label, per_class))
  if normalise:
    network = dataclasses.replace(network, features=_normalised(network.features))
  return network


def embedded(name: str) -> Network:
  """networkx's own: Zachary's karate club (1977), of whom only the two leaders are labelled for training; or the
  characters of Les Misérables (Knuth 1993), who have no labels."""
  import networkx

  if name == "les_miserables":
    return from_networkx(networkx.les_miserables_graph(), name=name)
  network = from_networkx(networkx.karate_club_graph(), label="club", name=name)
  leaders, others = np.array([0, 33]), np.setdiff1d(np.arange(34), [0, 33])
  return dataclasses.replace(network, splits={"train": leaders, "validation": others[:0], "test": others})


def archive(path: pathlib.Path, name: str = "") -> Network:
  """A graph as an `.npz`, as Planetoid's sets are: `edges` [2, edge]; `labels` [node]; `features` [node, feature], or
  as `features_data`, `features_indices`, `features_indptr`, `features_shape` of a sparse matrix; and, if there is a
  split, indices of nodes `train`, `val` (or `validation`) and `test`.  `class_names` and `node_names` are optional.

  Raises:
    UserError: it cannot be read, arrays are missing, or of wrong shapes.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {key: file[key] for key in file.files}
  except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged archives
    remedy = f"it cannot be read ({error}): write it with np.savez, without arrays of objects."
    raise UserError("config.data.path", str(path), remedy) from error
  sparse = [f"features_{part}" for part in ("data", "indices", "indptr", "shape")]
  if not {"edges", "labels"} <= set(arrays) or not ("features" in arrays or set(sparse) <= set(arrays)):
    remedy = f"it has {sorted(arrays)}: give `edges`, `labels` and `features`, or {', '.join(sparse)}."
    raise UserError("config.data.path", str(path), remedy)
  if arrays["edges"].ndim != 2 or arrays["edges"].shape[0] != 2:
    raise UserError(f"{path}: edges", arrays["edges"].shape, "give senders and receivers, [2, edge].")
  if "features" in arrays:
    features = np.asarray(arrays["features"], np.float32)
  else:
    data, columns, starts, shape = (arrays[key] for key in sparse)
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    height, width = (int(n) for n in shape)
    entries: Any = data.astype(np.float32), rows.astype(np.int32), columns.astype(np.int32)
    features = SparseRows(*entries, (height, width))
  validation = arrays.get("val", arrays.get("validation", ()))
  splits = {"train": arrays.get("train", ()), "validation": validation, "test": arrays.get("test", ())}
  label = arrays["labels"].astype(np.int32)
  names = arrays.get("class_names", np.arange(label.max(initial=0) + 1))
  return checked(
    name or str(path), features, arrays["edges"], label, names, arrays.get("node_names", np.arange(len(label))), splits
  )


def own(path: str) -> Network:
  """The user's: an `.npz` (`archive`), a `.graphml` file, or a folder with `edges.csv` and `nodes.csv` (`tables`)."""
  root = pathlib.Path(path).expanduser()
  if root.suffix == ".npz" and root.is_file():
    return archive(root)
  if root.suffix == ".graphml" and root.is_file():
    import networkx

    try:
      graph = networkx.read_graphml(root)
    except Exception as error:  # of XML and of its contents
      raise UserError("config.data.path", path, f"it cannot be read as GraphML ({error}).") from error
    return from_networkx(graph, label="label", name=path)
  if (root / "edges.csv").is_file() and (root / "nodes.csv").is_file():
    return tables(root)
  remedy = "name an .npz archive, a .graphml file, or a folder that has edges.csv and nodes.csv."
  raise UserError("config.data.path", path, remedy)


def from_networkx(graph: Any, label: str = "", name: str = "graph") -> Network:
  """A graph of networkx, nodes of any kind of name; numeric attributes that all nodes have become features.

  Args:
    graph: directed ones are taken as undirected.
    label: the attribute that is the class; nodes without it are `UNKNOWN`.
    name: for messages.
  """
  nodes = list(graph.nodes)
  place = {node: i for i, node in enumerate(nodes)}
  attributes = [graph.nodes[node] for node in nodes]
  edges = np.array([(place[a], place[b]) for a, b, *_ in graph.edges], np.int64).reshape(-1, 2).T
  split = [str(each.get("split", "")) for each in attributes]
  numeric = [
    field
    for field in (attributes[0] if attributes else {})
    if field not in (label, "split") and all(isinstance(each.get(field), int | float) for each in attributes)
  ]
  features = np.array([[each[field] for field in numeric] for each in attributes], np.float32)
  classes = ["" if each.get(label) is None else str(each[label]) for each in attributes]
  return _named(name, features, edges, classes, [str(node) for node in nodes], split)


def tables(folder: pathlib.Path) -> Network:
  """`nodes.csv`: `id`, and if there are any `label`, `split` (train, validation, test) and numeric features;
  `edges.csv`: `source`, `target`.  Ids may be any strings.

  Raises:
    UserError: a column that is missing, an id twice, an edge to a node that is not there, a feature that is no number.
  """
  nodes, edges = _rows(folder / "nodes.csv", ("id",)), _rows(folder / "edges.csv", ("source", "target"))
  place: dict[str, int] = {}
  for line, row in enumerate(nodes, 2):
    if row["id"] in place:
      raise UserError(f"{folder / 'nodes.csv'} line {line}: id", row["id"], "it is there before: give every node once.")
    place[row["id"]] = len(place)
  pairs = np.empty((2, len(edges)), np.int64)
  for number, row in enumerate(edges):
    for side, field in enumerate(("source", "target")):
      if row[field] not in place:
        remedy = "nodes.csv has no such id: add the node, or remove the edge."
        raise UserError(f"{folder / 'edges.csv'} line {number + 2}: {field}", row[field], remedy)
      pairs[side, number] = place[row[field]]
  fields = [field for field in (nodes[0] if nodes else {}) if field not in ("id", "label", "split")]
  features = np.empty((len(nodes), len(fields)), np.float32)
  for number, row in enumerate(nodes):
    for column, field in enumerate(fields):
      try:
        features[number, column] = float(row[field])
      except (TypeError, ValueError):
        where = f"{folder / 'nodes.csv'} line {number + 2}: {field}"
        raise UserError(where, row[field], "a feature must be a number; a class goes to `label`.") from None
  column = lambda field: [row.get(field) or "" for row in nodes]
  return _named(str(folder), features, pairs, column("label"), column("id"), column("split"))


def _rows(path: pathlib.Path, required: Sequence[str]) -> list[dict[str, str]]:
  try:
    with path.open(encoding="utf-8-sig", newline="") as file:
      reader = csv.DictReader(file)
      rows = list(reader)
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise UserError("config.data.path", str(path), f"it cannot be read as CSV in UTF-8 ({error}).") from error
  for field in required:
    if field not in (reader.fieldnames or ()):
      raise UserError(f"{path}: columns", reader.fieldnames, f"give a first line that names {', '.join(required)}.")
  return rows


def _named(name, features, edges, classes: Sequence[str], node_names, split: Sequence[str]) -> Network:
  """`checked`, of classes and splits by name; '' is none."""
  names = sorted({each for each in classes if each})
  numbers = {each: i for i, each in enumerate(names)}
  label = np.array([numbers.get(each, UNKNOWN) for each in classes], np.int32)
  split = ["validation" if each in ("val", "valid") else each for each in split]
  splits = {part: [i for i, each in enumerate(split) if each == part] for part in PARTS}
  if features.shape[1] == 0:  # nodes are known by themselves alone
    count = len(label)
    rows: Any = np.arange(count, dtype=np.int32)
    ones: Any = np.ones(count, np.float32)
    features = SparseRows(ones, rows, rows, (count, count))
  return checked(name, features, edges, label, names, node_names, splits)


def checked(name: str, features, edges, label, class_names, node_names, splits) -> Network:
  """A `Network` whose parts fit one another.

  Raises:
    UserError: they do not.
  """
  count = len(label)
  if not count:
    raise UserError(f"{name}: nodes", 0, "give at least one.")
  for what, length in (("features", features.shape[0]), ("node_names", len(node_names))):
    if length != count:
      raise UserError(f"{name}: rows of {what}", length, f"give one for each of the {count} nodes that labels has.")
  if not np.isfinite(_entries(features)).all():
    raise UserError(f"{name}: features", "not finite", "replace NaN and infinity.")
  if label.min() < UNKNOWN or label.max() >= max(len(class_names), 1):
    remedy = f"give 0 to {len(class_names) - 1}, or {UNKNOWN} for an unknown one."
    raise UserError(f"{name}: label", (int(label.min()), int(label.max())), remedy)
  from_edges(np.zeros((count, 0)), edges, name=name)  # which looks at the nodes that edges name
  parts = {part: np.asarray(splits[part], np.int32).reshape(-1) for part in PARTS}
  for part, index in parts.items():
    if len(index) and (index.min() < 0 or index.max() >= count):
      raise UserError(f"{name}: {part}", int(index.max()), f"there are nodes 0 to {count - 1}.")
    if (label[index] == UNKNOWN).any():
      where = int(index[(label[index] == UNKNOWN).argmax()])
      raise UserError(f"{name}: {part} has node", node_names[where], "it has no label: give one, or leave it out.")
  whole = np.concatenate(list(parts.values()))
  if len(np.unique(whole)) < len(whole):
    raise UserError(f"{name}: train, validation and test", "overlap", "give every node to one of them.")
  edges = np.asarray(edges, np.int64)
  return Network(name, features, edges, label, tuple(map(str, class_names)), tuple(map(str, node_names)), parts)


def _split(label: Int[np.ndarray, " node"], per_class: int) -> dict[str, np.ndarray]:
  """Of labelled nodes, with seed 0: so many a class to train by, or three fifths; a fifth to validate, the rest to
  test.  All are empty where no node is labelled."""
  known = np.flatnonzero(label != UNKNOWN)
  if not len(known):
    return {part: known for part in PARTS}
  order = known[stratified_order(label[known], 0)]
  if per_class:
    rank = np.zeros(len(order), int)
    for each in np.unique(label):
      rank[label[order] == each] = np.arange((label[order] == each).sum())
    train, rest = order[rank < per_class], order[rank >= per_class]
  else:
    cut = round(0.6 * len(order))
    train, rest = order[:cut], order[cut:]
  half = len(rest) // 2 if not per_class else min(len(rest) // 3, 500)
  return {"train": train, "validation": rest[:half], "test": rest[half:]}


def _entries(features) -> np.ndarray:
  return features.values if isinstance(features, SparseRows) else features


def _normalised(features):
  if isinstance(features, SparseRows):
    return row_normalised(features)
  deviation = features.std(0)
  return ((features - features.mean(0)) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
