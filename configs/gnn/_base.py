"""The fields of graph networks, by task."""

import ml_collections

from configs import common
from configs._choice import Choice

_WHOLE = {
  "features": (16,),  # widths of the hidden layers; of gat, of each head
  "dropout": 0.5,  # rate in front of every layer; of gat also of the attention
}
_ATTENTION = {
  **_WHOLE,
  "features": (8,),
  "dropout": 0.6,
  "heads": 8,  # in hidden layers
  "output_heads": 1,  # in the last, averaged
}
# Of one whole graph.
NETWORKS = {
  "gcn": _WHOLE,
  "sage": {
    **_WHOLE,
    "aggregate": "mean",  # mean, max, sum
  },
  "gat": _ATTENTION,
  "gatv2": _ATTENTION,
  "gin": {**_WHOLE, "features": (64, 64)},
  "appnp": {
    **_WHOLE,
    "features": (64,),
    "steps": 10,  # how far is propagated
    "teleport": 0.1,  # share of the prediction that enters at every step
  },
  "grand": {
    **_WHOLE,
    "features": (32,),
    "steps": 8,  # how far is propagated
    "node_dropout": 0.5,  # share of nodes left out whole
    "input_dropout": 0.5,  # rate of the inputs
  },
  "mlp": {**_WHOLE, "features": (64,)},  # sees no edges
}
_GRAPHS = {
  "features": 64,  # width of an atom
  "steps": 3,  # of message passing; of gin layers
  "dropout": 0.0,  # rate in front of the last layers
}
# Of many small graphs.
MOLECULES = {
  "mpnn": {
    **_GRAPHS,
    "bases": 8,  # matrices that the edge network mixes
  },
  "gin": {**_GRAPHS, "steps": 4},
}


def graph(task: str) -> ml_collections.ConfigDict:
  """The fields that all tasks share."""
  config = common.base()
  config.task = task  # nodes, sampled, links, communities, molecules, recommendation, knowledge
  config.data = ml_collections.ConfigDict(
    {
      "name": "karate",  # what it is called; own: what lies at `path`
      "path": "",  # the user's own files; of others by default GENERA_DATA_DIR and the name
      "eval_batch_size": 1000,  # over all devices
    }
  )
  config.optimizer.schedule = "constant"
  config.optimizer.decay_on = "kernels"  # kernels, all, or a regular expression of the paths of parameters
  config.report = ml_collections.ConfigDict({"figures": True})  # False: numbers alone, where there are many runs
  return config


def nodes() -> ml_collections.ConfigDict:
  """Nodes of one graph, few of them labelled; the recipe of Kipf & Welling 2017."""
  config = graph("nodes")
  config.data.update(
    {
      "per_class": 0,  # of sets without splits: training nodes a class; 0: three fifths of the labelled ones
      "normalise": True,  # words to shares of a node's, other features to mean 0 and deviation 1
    }
  )
  config.model = Choice("gcn", NETWORKS)
  config.optimizer.learning_rate = 0.01
  config.optimizer.weight_decay = 5e-4
  config.train.update(
    {
      "batch_size": 0,  # labelled nodes, over all devices; 0: all of them
      "duration": "200 steps",
      "select": True,  # measure the step of least validation loss, in place of the last
      "patience": 0,  # steps without a lower one after which nothing is selected any more; 0: the whole run
      "samples": 1,  # passes of a step, each with dropout of its own
      "consistency": 0.0,  # weight of their distance from one another, over all nodes (GRAND)
      "temperature": 0.5,  # to which their mean is sharpened
    }
  )
  config.run.update({"steps_per_dispatch": 20, "eval_every": "10 %"})
  return config


def links() -> ml_collections.ConfigDict:
  """Links of one graph; as Kipf & Welling 2016, but for a dropout of 0.2 and three times their steps."""
  config = nodes()
  config.task = "links"
  config.data.update(
    {
      "validation": 0.05,  # share of the edges
      "test": 0.1,  # share of the edges
    }
  )
  config.data.eval_batch_size = 2000
  config.model = Choice(
    "gcn",
    NETWORKS,
    latents=16,  # numbers a node
    variational=True,  # False: the plain autoencoder
  )
  config.model.defaults(gcn={"features": (32,), "dropout": 0.2})
  config.optimizer.weight_decay = 0.0
  config.train.duration = "600 steps"
  for field in ("select", "patience", "samples", "consistency", "temperature"):
    del config.train[field]
  return config


def communities() -> ml_collections.ConfigDict:
  """Groups of nodes, without labels."""
  config = nodes()
  config.task = "communities"
  del config.data["per_class"]
  config.model = Choice("gcn", NETWORKS, communities=10)  # communities: at most
  config.model.defaults(gcn={"features": (32,), "dropout": 0.2})
  config.optimizer.weight_decay = 0.0
  for field in ("select", "patience", "samples", "consistency", "temperature"):
    del config.train[field]
  config.train.collapse = 1.0  # weight of what keeps all nodes from one community
  config.train.members = 10  # networks side by side, of which the largest modularity is taken
  return config


def recommendation() -> ml_collections.ConfigDict:
  """Items for users, from who has had what."""
  config = graph("recommendation")
  config.data.name = "movielens"
  config.model = ml_collections.ConfigDict(
    {
      "features": 64,  # of a user's or an item's vector
      "steps": 3,  # of propagation; 0: matrix factorisation
    }
  )
  config.optimizer.learning_rate = 5e-3
  config.train.update(
    {"batch_size": 4096, "duration": "60 epochs", "penalty": 1e-4}
  )  # penalty: on the vectors' squares
  del config.train["members"]
  config.run.update({"best_metric": "ndcg_at_20", "report_best": True, "steps_per_dispatch": 10})
  return config


def knowledge() -> ml_collections.ConfigDict:
  """Facts of entities and relations."""
  config = graph("knowledge")
  config.data.update({"name": "kinship", "eval_batch_size": 100})  # kinship (embedded); own: files at `path`
  config.model = Choice("transe", {"transe": {}, "distmult": {}}, features=64)  # features: of a vector
  config.optimizer.learning_rate = 0.01
  config.train.update({"batch_size": 256, "duration": "60 epochs", "penalty": 0.0})  # penalty: on the vectors' squares
  del config.train["members"]
  config.run.update({"best_metric": "mrr", "report_best": True, "steps_per_dispatch": 10})
  return config


def sampled() -> ml_collections.ConfigDict:
  """Nodes of a graph that is too large for a step, by sampled neighbourhoods."""
  config = graph("sampled")
  config.data.update(
    {
      "name": "power_law",  # made up
      "nodes": 1_000_000,  # of the graph
      "edges": 10_000_000,  # of the graph, directed
      "classes": 10,  # that nodes belong to
      "features": 64,  # of a node
      "eval_batch_size": 1000,  # nodes, over all devices
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "features": 64,  # width of the hidden layer
      "fan_outs": (10, 5),  # neighbours drawn of a node, and of each of them
      "dropout": 0.0,  # rate in front of every layer
    }
  )
  config.train.update({"batch_size": 512, "duration": "400 steps"})
  del config.train["members"]
  return config


def molecules() -> ml_collections.ConfigDict:
  """Properties of molecules."""
  config = graph("molecules")
  config.data.update(
    {
      "name": "esol",  # esol, hiv; own: a CSV at `path`
      "smiles": "smiles",  # of own: the column of SMILES
      "targets": (),  # of own: columns to predict; (): all others
      "kind": "regression",  # regression, classification (0 or 1)
      "split": "scaffold",  # scaffold (deterministic), random
      "limit": 0,  # training molecules used, at random; 0: all
      "nodes": 128,  # atoms of a row, one of them padding
      "edges": 288,  # bonds of a row, each twice
      "graphs": 16,  # molecules of a row, at most
      "eval_batch_size": 8,  # rows, over all devices
    }
  )
  config.model = Choice("mpnn", MOLECULES)
  config.optimizer.update({"name": "adamw", "weight_decay": 1e-2, "clip_norm": 1.0, "schedule": "cosine"})
  config.train.update({"batch_size": 4, "duration": "100 epochs", "ema_decay": 0.99})
  return config
