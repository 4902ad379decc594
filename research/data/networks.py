"""One graph whose nodes have labels: embedded, a Planetoid-like archive, tables, GraphML, or an object of networkx."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from research.data import cells, raw
from research.data.examples import stratified_order
from research.errors import UserError
from research.graphs.graph import SparseRows, from_edges, row_normalised

EMBEDDED = ("karate", "les_miserables")
PLANETOID = ("cora", "citeseer", "pubmed")
UNKNOWN = -1
KINDS = (
  "an .npz archive as Planetoid's sets are; a .graphml file; a folder with nodes.csv and edges.csv; a table of edges "
  "(.csv, .tsv, .parquet) with columns source and target"
)
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
    name: `karate`, `les_miserables`; `cora`, `citeseer`, `pubmed`; unused with a path of one's own.
    path: of one's own (`own`), or of Planetoid's files, by default `$GENERA_DATA_DIR/planetoid`.
    per_class: training nodes a class where the source has no split; 0: stratified, 60 %, and 20 % to validate.
    normalise: divide sparse features, such as words, by each node's sum; bring dense ones to mean 0, deviation 1.

  Raises:
    UserError: no such name or file, or contents that make no graph.
  """
  files = (f"{name}.npz",) if name in PLANETOID else ()
  if raw.is_own(name, path, *files):
    network = own(path, files)
  elif name in EMBEDDED:
    network = embedded(name)
  elif name in PLANETOID:
    network = archive(raw.locate("planetoid", f"{name}.npz", path), name)
  else:
    names = ", ".join((*EMBEDDED, *PLANETOID))
    raise UserError("config.data.name", name, f"choose one of {names}, or give a graph by config.data.path.")
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
  arrays = raw.arrays(path)
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


def own(path: str | None, known: Sequence[str] = ()) -> Network:
  """The user's: an `.npz` (`archive`), a `.graphml` file, a folder with `edges.csv` and `nodes.csv` (`tables`), or a
  table of edges alone, with `source` and `target`.

  Args:
    path: of it.
    known: files of a known set that could be there too, for messages.

  Raises:
    UserError: nothing there, or something else; and as these.
  """
  root = raw.own(path, KINDS, (".npz", ".graphml", *cells.SUFFIXES), "edges.csv", known)
  if root.is_dir():
    if not (root / "edges.csv").is_file() or not (root / "nodes.csv").is_file():
      raise UserError("config.data.path", str(path), f"this experiment reads {KINDS}.")
    return tables(root / "edges.csv", root / "nodes.csv")
  if root.suffix.lower() == ".npz":
    return archive(root)
  if root.suffix.lower() != ".graphml":
    return tables(root)
  import networkx

  try:
    graph = networkx.read_graphml(root)
  except Exception as error:  # of XML and of its contents
    raise UserError("config.data.path", str(path), f"it cannot be read as GraphML ({error}).") from error
  return from_networkx(graph, label="label", name=str(path))


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


def tables(edges: pathlib.Path, nodes: pathlib.Path | None = None) -> Network:
  """A graph of tables (`cells.read`).  Ids may be any strings.

  Args:
    edges: with the columns `source` and `target`.
    nodes: with `id`, and if there are any `label`, `split` (train, validation, test) and numeric features; None: the
      nodes are those that edges name, without labels.

  Raises:
    UserError: a column that is missing, an id twice, an edge to a node that is not there, a feature that is no number.
  """
  links = cells.read(edges, header=True)
  ends = links.named(("source", "target"))
  if nodes is None:
    names = sorted({*ends["source"], *ends["target"]})
    place = {name: i for i, name in enumerate(names)}
    features, classes, split = np.empty((len(names), 0), np.float32), [""] * len(names), [""] * len(names)
  else:
    given = cells.read(nodes, header=True)
    columns = given.named(("id",))
    place = {}
    for (line, _), name in zip(given.rows, columns["id"]):
      if name in place or not name:
        raise UserError(given.place(line, "id"), name, "give every node an id, and every id once.")
      place[name] = len(place)
    names, none = columns["id"], [""] * len(columns["id"])
    features = _features(given, [name for name in columns if name not in ("id", "label", "split")])
    classes, split = columns.get("label", none), columns.get("split", none)
  pairs = np.empty((2, len(links.rows)), np.int64)
  for side, field in enumerate(("source", "target")):
    for number, ((line, _), name) in enumerate(zip(links.rows, ends[field])):
      if name not in place:
        raise UserError(links.place(line, field), name, f"{nodes} has no such id: add the node, or remove the edge.")
      pairs[side, number] = place[name]
  return _named(str(edges if nodes is None else edges.parent), features, pairs, classes, names, split)


def _features(given: cells.Cells, names: Sequence[str]) -> np.ndarray:
  """The columns of those names as numbers [row, column]."""
  features = np.empty((len(given.rows), len(names)), np.float32)
  for column, name in enumerate(names):
    at = given.columns.index(name)
    for row, (line, texts) in enumerate(given.rows):
      if not cells.is_number(texts[at]):
        remedy = "a feature must be a finite number; a class goes to `label`."
        raise UserError(given.place(line, name), texts[at], remedy)
      features[row, column] = cells.as_float32(texts[at], given.place(line, name))
  return features


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
