"""Transformers: they write text.

  python -m experiments.transformer                                      Python's manual, embedded: two minutes
  python -m experiments.transformer --config=configs/transformer/shakespeare.py --config.data.path=input.txt
  python -m experiments.transformer --config.data.path=my_texts/         a .txt file of one's own, or a folder of them
  python -m experiments.transformer --mode=predict --workdir=... --input="The "   goes on from a prompt, or a file

Vaswani et al. 2017; Radford et al. 2019.  What layers may be made of: `research/networks/attention.py`, `Style`.
"""

import dataclasses

import ml_collections

from experiments.command import cli
from experiments.parts import language
from research.networks.attention import Style
from research.networks.transformer import Decoder
from research.training.experiment import Experiment

DEFAULT = "configs/transformer/pydoc.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A language model."""
  model = config.model
  room = config.data.length

  def network(vocabulary, dtype):
    return Decoder(style(model, dtype), vocabulary, model.depth, room, model.tied)

  return language.experiment(config, network, carried=False)


def style(model: ml_collections.ConfigDict, dtype) -> Style:
  """What `config.model` says of the layers."""
  names = {field.name for field in dataclasses.fields(Style)} - {"dtype"}
  return Style(**{name: value for name, value in model.items() if name in names}, dtype=dtype)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
