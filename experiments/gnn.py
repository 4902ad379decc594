"""Graph networks: messages along edges, for nodes, links, groups, molecules, recommendation and knowledge.

  python -m experiments.gnn                                               karate club, embedded: seconds
  python -m experiments.gnn --config=configs/gnn/les_miserables.py        communities, embedded
  python -m experiments.gnn --config=configs/gnn/cora.py[:gat|grand|...] --config.data.path=...
  python -m experiments.gnn --config=configs/gnn/karate.py --config.data.path=my_graph/
  python -m experiments.gnn --mode=predict --workdir=... [--input=my_graph/]     classes of nodes

Kipf & Welling 2017; Hamilton et al. 2017; Velickovic et al. 2018; Xu et al. 2019; Gilmer et al. 2017; He et al. 2020.
"""

import ml_collections

from experiments.command import cli
from experiments.parts import graph_links, graph_molecules, graph_nodes, graph_tables
from experiments.reports import gnn as gnn_report
from research.errors import UserError
from research.training.experiment import Experiment

DEFAULT = "configs/gnn/karate.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """What the config's task asks for."""
  match config.task:
    case "nodes":
      return graph_nodes.experiment(config, gnn_report.nodes, gnn_report.predict_nodes)
    case "molecules":
      return graph_molecules.experiment(config, gnn_report.molecules, gnn_report.predict_molecules)
    case "links":
      return graph_links.links(config, gnn_report.links, gnn_report.predict_links)
    case "communities":
      return graph_links.groups(config, gnn_report.communities)
    case "recommendation":
      return graph_tables.recommend(config, gnn_report.recommendation, gnn_report.predict_items)
    case "knowledge":
      return graph_tables.know(config, gnn_report.knowledge, gnn_report.predict_tails)
    case "sampled":
      return graph_tables.sampled(config, gnn_report.sampled)
  tasks = "nodes, molecules, links, communities, recommendation, knowledge or sampled"
  raise UserError("config.task", config.task, f"choose {tasks}.")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
