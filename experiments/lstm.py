"""Recurrent networks, LSTM and GRU: they write text, tell classes of sequences, forecast,
translate, transcribe speech and write music.

  python -m experiments.lstm                                             Python's manual, embedded: two minutes
  python -m experiments.lstm --config=configs/lstm/shakespeare.py --config.data.path=input.txt
  python -m experiments.lstm --config.data.path=my_texts/                a .txt file of one's own, or a folder of them
  python -m experiments.lstm --config=configs/lstm/sst2.py --config.data.path=...     or one's own .csv, .tsv, .jsonl
  python -m experiments.lstm --config=configs/lstm/mnist_rows.py --config.data.data_dir=...
  python -m experiments.lstm --config=configs/lstm/etth1.py --config.data.path=...      forecasts, with bands
  python -m experiments.lstm --config=configs/lstm/etth1.py --config.data.path=my.csv
  python -m experiments.lstm --config=configs/lstm/multi30k.py --config.data.path=...   or two files of one's own
  python -m experiments.lstm --config=configs/lstm/spoken_digits.py      which was spoken; of one's own, .wav by class
  python -m experiments.lstm --config=configs/lstm/spoken_strings.py     transcribes several words
  python -m experiments.lstm --config=configs/lstm/jsb_chorales.py       chorales; samples are MIDI files
  python -m experiments.lstm --mode=predict --workdir=... --input="The "   goes on from a prompt or file; classifies

Hochreiter & Schmidhuber 1997; Graves 2013; dropout: Gal & Ghahramani 2016; Merity et al. 2018.
"""

import ml_collections

from experiments.command import cli
from experiments.parts import classification, fields, forecasting, language, music, sentences, speech, translation
from research.networks.forecasting import RecurrentForecaster
from research.networks.music import RecurrentNade
from research.networks.recurrent import Recurrent, RecurrentClassifier, RecurrentLM
from research.networks.speech import SoundClassifier, SoundTranscriber
from research.networks.translation import RecurrentTranslator
from research.training import precision
from research.training.experiment import Experiment

DEFAULT = "configs/lstm/pydoc.py"
TASKS = ("language", "classes", "sentences", "forecast", "translation", "words", "strings", "music")


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A language model, or a classifier of sequences."""
  fields.check_task(config, TASKS)
  model = config.model
  match config.task:
    case "language":

      def network(vocabulary, dtype):
        return RecurrentLM(vocabulary, recurrent(model, dtype), model.embedding, model.tied)

      return language.experiment(config, network, carried=True)
    case "classes":

      def classifier(num_classes, dtype):
        return RecurrentClassifier(num_classes, recurrent(model, dtype, model.bidirectional), model.pool)

      return classification.experiment(config, classifier)
    case "sentences":

      def reader(num_classes, vocabulary, length, dtype):
        del length  # any
        layers = recurrent(model, dtype, model.bidirectional)
        return RecurrentClassifier(num_classes, layers, model.pool, vocabulary, model.embedding)

      return sentences.experiment(config, reader)
    case "forecast":

      def forecaster(horizon, outputs, dtype):
        return RecurrentForecaster(recurrent(model, dtype), horizon, outputs, model.segment, model.head_dropout)

      return forecasting.experiment(config, forecaster)
    case "translation":

      def translator(vocabulary, dtype):
        encoder, decoder = recurrent(model, dtype, bidirectional=True), recurrent(model, dtype)
        return RecurrentTranslator(vocabulary, encoder, decoder, model.embedding)

      return translation.experiment(config, translator, lambda batch: (batch["source_segment"],))
    case "words" | "strings":
      network, experiment_of = {
        "words": (SoundClassifier, speech.words),
        "strings": (SoundTranscriber, speech.strings),
      }[config.task]
      layers = recurrent(model, precision.dtype(config.train.precision), model.bidirectional)
      return experiment_of(config, lambda outputs, features: network(outputs, features, layers))
    case "music":

      def frames(keys, dtype):
        return RecurrentNade(recurrent(model, dtype), keys, model.hidden)

      return music.experiment(config, frames)
  raise AssertionError(config.task)  # checked above


def recurrent(model: ml_collections.ConfigDict, dtype, bidirectional: bool = False) -> Recurrent:
  """The layers that `config.model` describes."""
  return Recurrent(
    model.features,
    model.layers,
    model.cell,
    bidirectional=bidirectional,
    dropout=model.dropout,
    recurrent_dropout=model.recurrent_dropout,
    residual=model.residual,
    chrono=model.chrono,
    dtype=dtype,
  )


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
