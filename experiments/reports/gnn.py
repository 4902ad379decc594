"""What graph networks are used for: classes, groups, links and rankings, as numbers and as drawn graphs."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from matplotlib.figure import Figure

from experiments.parts import generative, graph_links, graph_molecules, graph_nodes
from research.data.dataset import Dataset
from research.data.facts import Facts
from research.data.molecules import Molecules
from research.data.networks import UNKNOWN, Network
from research.data.ratings import Interactions
from research.errors import UserError
from research.evaluation import figures, graph_figures, ranking
from research.families import communities as communities_lib
from research.families.classifier import Classifier
from research.families.graph_autoencoder import GraphAutoencoder
from research.families.graph_predictor import GraphPredictor
from research.families.knowledge_graph import KnowledgeGraph
from research.families.node_classifier import NodeClassifier, influence
from research.families.recommendation import Recommender
from research.graphs.graph import Graph
from research.training import steps
from research.training.experiment import Report

DRAWN = 300  # nodes of the largest graph that is drawn whole
SHOWN = 40  # nodes of the neighbourhood of one, at most
DEFINITIONS = {
  "test_accuracy_std": "standard deviation over the members (runs side by side, each of a seed of its own) of their "
  "test accuracies, of which test_accuracy is the mean",
  "test_rmse_ensemble": "test_rmse of the members' mean prediction",
  "test_rmse_std": "standard deviation over the members of the root of their mean squared errors",
  "test_auc": "area under the ROC curve, mean over tasks and members",
  "test_auc_std": "standard deviation over the members of test_auc",
  "test_ap": "average precision, mean over tasks and members",
  "test_ap_std": "standard deviation over the members of test_ap",
  "modularity": "of the graph's edges (Newman 2004, equation 5), by the most probable community of every node; of the "
  "members' the largest, which needs no label",
  "modularity_louvain": "the same of networkx's Louvain communities, seed 0",
  "communities": "that have a node",
  "adjusted_rand_index": "of the communities and the labels (scikit-learn)",
}


def first(variables) -> Any:
  return jax.tree.map(lambda leaf: leaf[0], variables)


def log_probabilities(family: NodeClassifier, variables, graph: Graph) -> np.ndarray:
  """[member, node, class]."""
  one = jax.jit(lambda variables, graph: jax.lax.map(lambda each: family.log_probabilities(each, graph), variables))
  return np.asarray(one(variables, graph))


def nodes(state, family: NodeClassifier, config: ml_collections.ConfigDict, data: Network, graph: Graph) -> Report:
  """The spread over members; which classes are confused, where nodes lie, and what one prediction hangs on."""
  variables, test = graph_nodes.members_of(state), data.part("test")
  logs = log_probabilities(family, variables, graph)
  accuracy = (logs[:, test["index"]].argmax(-1) == test["label"]).mean(1)
  metrics = {"test_accuracy_std": accuracy.std()} if len(accuracy) > 1 else {}
  if not config.report.figures:
    return Report(metrics, {}, DEFINITIONS)
  guess, classes = logs[0].argmax(-1), len(data.class_names)
  confusion = np.bincount(test["label"] * classes + guess[test["index"]], minlength=classes**2)
  pictures = {"confusion": figures.confusion_matrix(confusion.reshape(classes, classes), data.class_names)}
  edges = np.stack([graph.senders, graph.receivers])[:, graph.senders < graph.receivers]
  if len(data) <= DRAWN:
    places = graph_figures.layout(len(data), edges)
    title = f"predicted {' and '.join(data.class_names) if classes == 2 else 'classes'}; ringed: labelled for training"
    look: dict[str, Any] = {"legend": data.class_names, "rings": data.splits["train"], "title": title}
    pictures["graph"] = graph_figures.drawn(places, edges, guess, names=data.node_names, **look)
  else:
    known = data.label != UNKNOWN
    title = "log-probabilities of the test nodes' classes in two principal components; coloured by label"
    nodes_on_map = np.intersect1d(test["index"], np.flatnonzero(known))
    pictures["map"] = graph_figures.embedding_map(
      plane(logs[0])[nodes_on_map], data.label[nodes_on_map], data.class_names, title
    )
  pictures["influence"] = influence_figure(family, first(variables), data, graph, guess)
  return Report(metrics, pictures, DEFINITIONS)


def plane(points: np.ndarray) -> np.ndarray:
  """Two principal components."""
  centred = points - points.mean(0)
  return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


def influence_figure(family: NodeClassifier, variables, data: Network, graph: Graph, guess: np.ndarray) -> Figure:
  """What the prediction of one test node hangs on: of those with 6 to 25 neighbours, the first."""
  test = data.splits["test"]
  degree = np.bincount(graph.receivers, minlength=len(data))[test]
  few = np.flatnonzero((degree >= 6) & (degree <= 25))
  node = int(test[few[0] if len(few) else degree.argmax()])
  compute = jax.jit(lambda variables, graph: influence(family.log_probabilities, variables, graph, jnp.int32(node)))
  values = np.asarray(compute(variables, graph))
  order = np.argsort(-np.abs(values), kind="stable")
  near = graph.senders[graph.receivers == node]
  kept = np.unique(np.concatenate([[node], order[: SHOWN - 1][values[order[: SHOWN - 1]] != 0], near[:SHOWN]]))
  place = np.full(len(data), -1)
  place[kept] = np.arange(len(kept))
  inside = (place[graph.senders] >= 0) & (place[graph.receivers] >= 0) & (graph.senders < graph.receivers)
  edges = place[np.stack([graph.senders, graph.receivers])[:, inside]]
  names = [data.class_names[guess[i]] if len(data) > DRAWN else data.node_names[i] for i in kept]
  title = f"what node {data.node_names[node]} (ringed), predicted {data.class_names[guess[node]]}, hangs on"
  places = graph_figures.layout(len(kept), edges)
  return graph_figures.influences(places, edges, values[kept], names, int(place[node]), title)


def predict_nodes(
  state, family: NodeClassifier, config: ml_collections.ConfigDict, data: Network, path: str
) -> dict[str, np.ndarray]:
  """Classes of all nodes, of the network of training or of the user's own at `path`, which has the same features."""
  if path:
    with_path = ml_collections.ConfigDict({**config.data.to_dict(), "name": "own", "path": path})
    other = graph_nodes.load(with_path)
    if other.features.shape[1] != data.features.shape[1]:
      remedy = f"the model was trained on {data.features.shape[1]}."
      raise UserError(f"--input {path}: features of a node", other.features.shape[1], remedy)
    names, data = data.class_names, other
  else:
    names = data.class_names
  graph = graph_nodes.graph_of(data, config.model.name)
  logs = log_probabilities(family, graph_nodes.members_of(state), graph)
  probabilities = np.exp(logs).mean(0)
  predicted = np.array(names)[probabilities.argmax(-1)]
  return {"class": predicted, "probabilities": probabilities, "node": np.array(data.node_names)}


def predicted(state, family: GraphPredictor, data: Dataset, count: int) -> np.ndarray:
  """[member, molecule, task], in the order of the molecules, of which there are `count`."""
  variables = graph_nodes.members_of(state)

  def one(variables, batch):
    values = jax.lax.map(lambda each: family.predict(each, batch), variables)
    return jnp.moveaxis(values, 0, 2), batch["item"], batch["mask"]

  values, item, mask = packs_over(data, one, variables)
  outputs = np.empty((values.shape[1], count, values.shape[2]), np.float32)
  outputs[:, item[mask > 0]] = values[mask > 0].swapaxes(0, 1)
  return outputs


def packs_over(data: Dataset, function, variables):
  """`function(variables, batch)` of every row, its leading two axes [row, place] as one."""
  compiled = jax.jit(lambda variables, resident, fed: function(variables, data.assemble(resident, fed)))
  resident = jax.device_put(dict(data.resident))
  packs = [jax.device_get(compiled(variables, resident, data.feed(i))) for i in range(data.num_batches)]
  return jax.tree.map(lambda *parts: np.concatenate([x.reshape(-1, *x.shape[2:]) for x in parts]), *packs)


def molecules(
  state, family: GraphPredictor, config: ml_collections.ConfigDict, data: Dataset, test: Molecules
) -> Report:
  """Error or ranking on the test molecules, of every member; predictions against what was measured."""
  values, known = predicted(state, family, data, len(test)), np.isfinite(test.targets)
  if config.data.kind == "regression":
    squared = lambda predicted_values: np.sqrt(np.square(predicted_values[known] - test.targets[known]).mean())
    each = np.array([squared(one) for one in values])
    metrics = {"test_rmse_std": each.std(), "test_rmse_ensemble": squared(values.mean(0))} if len(each) > 1 else {}
    figure = graph_figures.fit(values.mean(0)[known], test.targets[known], test.tasks[0])
  else:
    scores = np.array([[_ranked(one, test, known, task) for task in range(len(test.tasks))] for one in values])
    auc, precision = np.nanmean(scores, 1).T
    metrics = {"test_auc": auc.mean(), "test_ap": precision.mean()}
    metrics |= {"test_auc_std": auc.std()} if len(auc) > 1 else {}
    figure = graph_figures.roc_curve(*ranking.roc(values.mean(0)[known], test.targets[known]), title=test.tasks[0])
  return Report(metrics, {"fit": figure} if config.report.figures else {}, DEFINITIONS)


def _ranked(values, test: Molecules, known, task: int) -> tuple[float, float]:
  at = known[:, task]
  pair = values[at, task], test.targets[at, task]
  return ranking.roc_auc(*pair), ranking.average_precision(*pair)


def predict_molecules(
  state, family: GraphPredictor, config: ml_collections.ConfigDict, path: str, test: Molecules
) -> dict[str, np.ndarray]:
  """Of the molecules of a CSV, or of the test set: the mean prediction of the members; of classes, probabilities."""
  chosen = graph_molecules.own(path, test, config.data.smiles) if path else test
  data = graph_molecules.packed(config.data, chosen, config.data.eval_batch_size, None)
  values = predicted(state, family, data, len(chosen))
  if config.data.kind == "classification":
    values = 1 / (1 + np.exp(-values))
  return {"prediction": values.mean(0), "smiles": np.array(chosen.smiles), "task": np.array(chosen.tasks)}


def links(
  state, family: GraphAutoencoder, config: ml_collections.ConfigDict, data: Network, graph: Graph, parts
) -> Report:
  """How well the products of vectors tell held-out links from pairs that are none; where the nodes lie."""
  vectors = graph_links.embeddings(family, graph_nodes.members_of(state), graph)
  both = np.concatenate([parts.test, parts.not_test], 1)
  label = np.repeat([1, 0], [parts.test.shape[1], parts.not_test.shape[1]])
  scores = [(each[both[0]] * each[both[1]]).sum(-1) for each in vectors]
  auc = np.array([ranking.roc_auc(each, label) for each in scores])
  precision = np.array([ranking.average_precision(each, label) for each in scores])
  metrics = {"test_auc": auc.mean(), "test_ap": precision.mean()}
  if len(scores) > 1:
    metrics |= {"test_auc_std": auc.std(), "test_ap_std": precision.std()}
  if not config.report.figures:
    return Report(metrics, {}, DEFINITIONS)
  pictures = {"roc": graph_figures.roc_curve(*ranking.roc(scores[0], label), title=f"links of {data.name}")}
  if len(data.class_names):
    title = "vectors learned from links, in two principal components; coloured by class, which they never saw"
    pictures["map"] = graph_figures.embedding_map(plane(vectors[0]), data.label, data.class_names, title)
  return Report(metrics, pictures, DEFINITIONS)


def predict_links(state, family: GraphAutoencoder, data: Network, graph: Graph, parts) -> dict[str, np.ndarray]:
  """The hundred most probable links that are not among those of training, by the members' mean log-odds."""
  vectors = graph_links.embeddings(family, graph_nodes.members_of(state), graph)
  scores = np.einsum("mnd,mkd->nk", vectors, vectors) / len(vectors)
  scores[np.tril_indices(len(data))] = -np.inf
  scores[parts.train[0], parts.train[1]] = -np.inf
  best = np.argsort(-scores, axis=None)[:100]
  names = np.array(data.node_names)
  senders, receivers = np.unravel_index(best, scores.shape)
  return {"source": names[senders], "target": names[receivers], "log_odds": scores[senders, receivers]}


def communities(
  state, family: communities_lib.Communities, config: ml_collections.ConfigDict, data: Network, graph: Graph
) -> Report:
  """Modularity, beside that of Louvain's method; the graph, drawn."""
  import networkx
  from sklearn import metrics as sklearn_metrics

  one = jax.jit(lambda variables, graph: jax.lax.map(lambda each: family.assign(each, graph), variables))
  groups = np.asarray(one(graph_nodes.members_of(state), graph)).argmax(-1)
  edges = np.stack([graph.senders, graph.receivers])[:, graph.senders < graph.receivers]
  scores = [communities_lib.modularity(each, edges) for each in groups]
  chosen = np.unique(groups[int(np.argmax(scores))], return_inverse=True)[1]
  other = networkx.Graph(edges.T.tolist())
  other.add_nodes_from(range(len(data)))
  louvain = networkx.community.modularity(other, networkx.community.louvain_communities(other, seed=0, weight=None))
  metrics = {"modularity": max(scores), "modularity_louvain": louvain, "communities": float(chosen.max() + 1)}
  known = data.label != UNKNOWN
  if known.any():
    metrics["adjusted_rand_index"] = sklearn_metrics.adjusted_rand_score(data.label[known], chosen[known])
  if not config.report.figures:
    return Report(metrics, {}, DEFINITIONS)
  places = graph_figures.layout(len(data), edges)
  title = f"{chosen.max() + 1} communities, modularity {max(scores):.3f} (Louvain {louvain:.3f})"
  names = data.node_names if len(data) <= DRAWN else ()
  figure = graph_figures.drawn(places, edges, chosen, names=names, title=title)
  return Report(metrics, {"communities": figure}, DEFINITIONS)


def recommendation(
  state, family: Recommender, config: ml_collections.ConfigDict, data: Interactions, graph: Graph
) -> Report:
  """Items in the plane of their vectors' two principal components, the most had ones by name."""
  if not config.report.figures:
    return Report()
  vectors = np.asarray(jax.jit(family.vectors)(steps.variables_of(state), graph))[len(data.user_names) :]
  often = np.argsort(-np.bincount(data.item, minlength=len(data.item_names)), kind="stable")[:60]
  unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
  names = [data.item_names[i] for i in often]
  title = "the items that most have had, by their vectors' two principal components"
  places = plane(unit[often])
  nothing = np.zeros((2, 0), int)
  figure = graph_figures.drawn(places, nothing, np.zeros(len(often), int), names=names, title=title)
  return Report({}, {"items": figure}, {})


def predict_items(state, family: Recommender, data: Interactions, graph: Graph) -> dict[str, np.ndarray]:
  """The first twenty items for every user, of those that the user has not had."""
  vectors = np.asarray(jax.jit(family.vectors)(steps.variables_of(state), graph))
  users = len(data.user_names)
  scores = vectors[:users] @ vectors[users:].T
  scores[data.user, data.item] = -np.inf
  best = np.argsort(-scores, axis=1)[:, :20]
  return {"user": np.array(data.user_names), "items": np.array(data.item_names)[best]}


def knowledge(state, family: KnowledgeGraph, config: ml_collections.ConfigDict, data: Facts, test: Dataset) -> Report:
  """How well tails and heads are named, relation by relation."""
  if not config.report.figures:
    return Report()

  def reciprocal(variables, batch):
    scores, answers = family.scores(variables, batch), (batch["tail"], batch["head"])
    place = [ranking.ranks(scores[:, side], answers[side], batch["known"][:, side] > 0) for side in (0, 1)]
    return 1 / (1 + jnp.stack(place, 1)), batch["relation"]

  values, relation = generative.over(test, reciprocal, steps.variables_of(state))
  counts = np.bincount(relation, minlength=len(data.relations))
  means = [np.bincount(relation, values[:, side], len(data.relations)) / np.maximum(counts, 1) for side in (0, 1)]
  names = [f"{name} ({count})" for name, count in zip(data.relations, counts)]
  bars = dict(zip(("tail of head and relation", "head of relation and tail"), means))
  return Report({}, {"relations": graph_figures.bars(names, bars, "mean reciprocal rank, test facts, filtered")}, {})


def predict_tails(state, family: KnowledgeGraph, data: Facts, path: str) -> dict[str, np.ndarray]:
  """The ten most probable tails of every test fact's head and relation."""
  del path
  facts = data.splits["test"]
  batch = {"head": facts[:, 0], "relation": facts[:, 1], "tail": facts[:, 2]}
  scores = np.asarray(jax.jit(family.scores)(steps.variables_of(state), batch))[:, 0]
  best = np.argsort(-scores, axis=1)[:, :10]
  entities, relations = np.array(data.entities), np.array(data.relations)
  return {"head": entities[facts[:, 0]], "relation": relations[facts[:, 1]], "tails": entities[best]}


def sampled(state, family: Classifier, config: ml_collections.ConfigDict, test: Dataset) -> Report:
  """Which classes are taken for which."""
  variables = steps.variables_of(state)
  one = lambda variables, batch: (family.log_probabilities(variables, batch["inputs"]).argmax(-1), batch["label"])
  guess, label = generative.over(test, one, variables)
  classes = config.data.classes
  confusion = np.bincount(label * classes + guess, minlength=classes**2).reshape(classes, classes)
  return Report({}, {"confusion": figures.confusion_matrix(confusion)}, {})
