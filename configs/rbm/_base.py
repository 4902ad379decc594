"""The fields of restricted Boltzmann machines."""

import ml_collections

from configs import _generative
from configs._choice import Choice

NEGATIVE = {
  "cd": {"sweeps": 1},  # Gibbs sweeps from the data
  "pcd": {"sweeps": 1},  # of chains that go on from step to step, one for each row of a batch
  "tempering": {
    "sweeps": 1,  # at every temperature
    "temperatures": 10,  # of each chain
  },
}


def rbm() -> ml_collections.ConfigDict:
  """`generative`, with machines."""
  config = _generative.generative()
  config.model = Choice(
    "pcd",
    NEGATIVE,
    visible="bernoulli",  # bernoulli: pixels are 0 or 1, from a half on; gaussian: standardised
    hidden=(100,),  # units of each machine, from the data up: more than one are a deep belief net
  )
  config.optimizer.update({"name": "sgd", "learning_rate": 0.05, "schedule": "linear"})
  config.train.update(
    {
      "batch_size": 100,
      "decay": 1e-4,  # weight of half the sum of the weights' squares
      "follow": 0.01,  # rate at which the means follow that units are taken about
      "ema_decay": 0.999,
    }
  )
  del config.train["members"]
  config.report.update(
    {
      "temperatures": 1000,  # of annealed importance sampling, for log Z
      "chains": 100,  # of it
      "fine_tune": 0,  # steps of an MLP that begins with the machines' weights, and of one that does not; 0: none
      "labels": 100,  # labelled images that it learns from
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, few units and temperatures."""
  config = _generative.variant(config, name, also)
  if name == "smoke":
    config.model.hidden = (8,) * len(config.model.hidden)
    config.report.update({"temperatures": 20, "chains": 8})
  return config
