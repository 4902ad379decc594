"""Transformers: they write text, tell its classes, forecast, translate,
and tell images apart.

  python -m experiments.transformer                                      Python's manual, embedded: two minutes
  python -m experiments.transformer --config=configs/transformer/shakespeare.py --config.data.path=input.txt
  python -m experiments.transformer --config.data.path=my_texts/         a .txt file of one's own, or a folder of them
  python -m experiments.transformer --config=configs/transformer/sst2.py --config.data.path=...   or one's own table
  python -m experiments.transformer --config=configs/transformer/etth1.py --config.data.path=...   or one's own .csv
  python -m experiments.transformer --config=configs/transformer/multi30k.py --config.data.path=...   or one's own pairs
  python -m experiments.transformer --config=configs/transformer/masked.py     fills in what is hidden of a text
  python -m experiments.transformer --config=configs/transformer/mnist.py --config.data.data_dir=...
  python -m experiments.transformer --mode=predict --workdir=... --input="The "   goes on, or classifies

Vaswani et al. 2017; Radford et al. 2019.  What layers may be made of: `research/networks/attention.py`, `Style`.
"""

import dataclasses

import ml_collections

from experiments.command import cli
from experiments.parts import classification, fields, forecasting, language, masked, sentences, translation
from experiments.parts.transformers import style
from research.networks.attention import Place
from research.networks.forecasting import PatchForecaster
from research.networks.transformer import Decoder, EncoderDecoder, Pretrained, TransformerClassifier
from research.networks.vision import VisionTransformer
from research.training.experiment import Experiment

DEFAULT = "configs/transformer/pydoc.py"
TASKS = ("language", "masked", "sentences", "classes", "forecast", "translation")


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A language model, or a classifier of texts."""
  fields.check_task(config, TASKS)
  model = config.model
  match config.task:
    case "language":

      def network(vocabulary, dtype):
        # What it writes is longer than what it learns from: it looks back as far as there.
        layers = dataclasses.replace(style(model, dtype), window=config.data.length)
        return Decoder(layers, vocabulary, model.depth, config.data.length, model.tied)

      return language.experiment(config, network, carried=False)
    case "sentences":

      def reader(num_classes, vocabulary, length, dtype):
        return TransformerClassifier(num_classes, style(model, dtype), vocabulary, model.depth, length)

      return sentences.experiment(config, reader)
    case "masked":

      def encoder(vocabulary, dtype):
        return Pretrained(style(model, dtype), vocabulary, model.depth, config.data.length, model.tied)

      return masked.experiment(config, encoder)
    case "classes":

      def classifier(num_classes, dtype):
        return VisionTransformer(num_classes, style(model, dtype), model.depth, model.patch)

      return classification.experiment(config, classifier)
    case "forecast":

      def forecaster(horizon, outputs, dtype):
        patches = model.patch, model.stride, model.head_dropout
        return PatchForecaster(style(model, dtype), model.depth, horizon, outputs, *patches)

      return forecasting.experiment(config, forecaster)
    case "translation":

      def translator(vocabulary, dtype):
        depths = model.encoder_depth, model.depth
        return EncoderDecoder(style(model, dtype), vocabulary, depths, config.data.length, model.tied)

      return translation.experiment(config, translator, places)
  raise AssertionError(config.task)  # checked above


def places(batch) -> tuple:
  """Where the pairs of a pack stand, as `EncoderDecoder` takes it."""
  return batch["source_segment"], Place(batch["position"], batch["segment"]), batch["source_position"]


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
