"""The fields of Bayesian networks of tables of discrete columns, and of denoising by a Markov random field."""

import ml_collections

from configs import _images, common
from configs._choice import Choice

METHODS = {
  "mean_field": {},  # a sweep over all pixels a step
  "belief_propagation": {  # all messages a step
    "damping": 0.0,  # share of the old message that is kept
  },
  "gibbs": {  # a sweep of every chain a step
    "chains": 16,  # of each image
    "burn_in": 20,  # steps before states are counted
  },
}


def network() -> ml_collections.ConfigDict:
  """`classical`, with a table of discrete columns and a network of them."""
  config = common.classical()
  del config.data["data_dir"]
  config.data.update(
    {
      "name": "asia",  # asia, alarm: rows drawn from that network; digits
      "path": "",  # one's own: a .bif file, from which rows are drawn; a table of discrete columns, some cells missing
      "network": "",  # of one's own table: a .bif file with states and arrows; empty: the file's states, no arrows
      "rows": 10_000,  # drawn from a network to train on; a quarter as many test
      "hidden": "",  # columns that no row shows, with commas between
      "missing": 0.0,  # share of the other cells of the training set that are hidden, at random
      "eval_batch_size": 2500,  # rows, over all devices
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "structure": "given",  # given: the network's arrows; chow_liu: the best tree; tan: the best tree around `label`
      "label": "",  # column that tan predicts
      "prior": 1.0,  # pseudo-counts of each cell of a table
    }
  )
  config.train.update(
    {
      "learning": "em",  # em: counts, expected where cells are missing; none: the network's tables stay as they are
      "batch_size": 0,  # rows, over all devices; 0: the whole set, which makes every step one of EM
      "step_power": 0.7,  # on smaller batches: the weight of a batch is (step + delay) ** -power
      "step_delay": 1.0,
    }
  )
  config.report = ml_collections.ConfigDict(
    {
      "evidence": "",  # what is known in the figure of marginals, as in "smoke=yes,xray=yes"
      "query": "",  # variables whose first state's probability, given that, is a metric, with commas between
      "samples": 8,  # rows drawn; of digits, images that are completed
    }
  )
  return config


def ask(config: ml_collections.ConfigDict, marginals: dict[str, float]) -> ml_collections.ConfigDict:
  """Nothing is learnt: the published tables say how probable the first state of some variables is.

  Args:
    config: `network`, with `report.evidence`.
    marginals: by name of the variable, what pgmpy's elimination says given that evidence.
  """
  config.data.missing = 0.0
  config.train.update({"learning": "none", "duration": "1 steps"})
  config.report.query = ",".join(marginals)
  for name, value in marginals.items():
    config.published[f"query_{name}"] = {"value": value, "source": "pgmpy 1.1.2, variable elimination, measured"}
    config.bars[f"query_{name}"] = {"min": value - 1e-10, "max": value + 1e-10}
  return config


def denoising() -> ml_collections.ConfigDict:
  """`classical`, with images to be made noisy and an Ising model of them."""
  config = common.classical()
  config.data.update(
    {
      **_images.images(),
      "name": "digits",  # embedded: digits; or a prepared set of images, such as mnist
      "images": 64,  # of the test set, that are denoised
      "scale": 4,  # times that they are enlarged, before they are black and white
      "noise": 0.1,  # share of the pixels that are turned over
      "eval_batch_size": 64,  # images, over all devices
    }
  )
  config.model = Choice(
    "belief_propagation",
    METHODS,
    coupling=0.8,  # J: log-odds, halved, that neighbours are equal
  )
  config.train.update({"batch_size": 0, "duration": "50 steps", "precision": "float32"})  # all images, 50 steps
  config.report = ml_collections.ConfigDict({"samples": 8})  # images in the figure
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, few rows or images, and steps that are still those of the whole set."""
  if name == "smoke":
    config.data.update({"rows": 64} if "rows" in config.data else {"images": 4, "scale": 1})
  return common.variant(config, name, also)
