"""Part-of-speech tagging as an experiment: counting, one pass over the training sentences, and Viterbi."""

import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Int

from research.data import pipeline, tagged
from research.data.sequences import Sequences, padded
from research.errors import UserError
from research.evaluation import figures
from research.families.hmm import lexicon as lexicon_lib
from research.families.hmm import tagger as family_lib
from research.families.hmm.lexicon import Lexicon
from research.training import statistics
from research.training.experiment import Experiment, Report

_SHOWN = 20  # tags in the confusion matrix


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A trigram tagger of a corpus whose sentences are tagged."""
  data, model = config.data, config.model
  if not 0 <= data.validation < 1:
    raise UserError("config.data.validation", data.validation, "give the share of the training set, 0 to 0.99.")
  if config.train.learning != "counts" or config.train.precision != "float32":
    given = (config.train.learning, config.train.precision)
    raise UserError("config.train.learning, config.train.precision", given, "a tagger counts, in float32.")
  kept = round(100 * (1 - data.validation))
  train = tagged.load(f"train[:{kept}%]", data.path or None)
  test = tagged.load("test", data.path or None)
  lexicon = lexicon_lib.build(train.words, train.tags, suffix=model.suffix, rare=model.rare, least=model.least)
  family = family_lib.tagger(lexicon, base_of(lexicon), strength=model.strength, rare=model.rare)

  def measure(part):
    return pipeline.sequential(by_length(encoded(part, lexicon)).arrays, data.eval_batch_size, name=part.name)

  return Experiment(
    learner=statistics.statistics_learner(
      init=family.init,
      expect=family.count,
      maximise=family.maximise,
      evaluate=family.evaluate,
      combine=statistics.total,
      accumulate=config.train.accumulate,
    ),
    train_data=pipeline.passes(
      encoded(train, lexicon).arrays, config.train.batch_size, seed=config.seed, name=train.name
    ),
    eval_data=measure(tagged.load(f"train[{kept}%:]", data.path or None)) if data.validation else None,
    test_data=measure(test),
    report=lambda state: report(state, family, lexicon, encoded(test, lexicon), data.eval_batch_size),
    predict=lambda state, path: predictions(state, family, lexicon, path or test, data.eval_batch_size),
    definitions=family_lib.DEFINITIONS,
  )


def base_of(lexicon: Lexicon) -> Int[np.ndarray, " tag"]:
  """The number of each tag's simplified form (`tagged.base_tag`)."""
  names = {name: number for number, name in enumerate(sorted({tagged.base_tag(tag) for tag in lexicon.tags}))}
  return np.array([names[tagged.base_tag(tag)] for tag in lexicon.tags], np.int32)


def encoded(sentences: tagged.Tagged, lexicon: Lexicon) -> Sequences:
  """Words as symbols of the lexicon, tags as its numbers."""
  symbols = [lexicon.symbols(sentence) for sentence in sentences.words]
  return padded(sentences.name, symbols, [lexicon.numbers(path) for path in sentences.tags])


def by_length(sequences: Sequences) -> Sequences:
  """Short ones first: a batch of them is searched no further than its longest."""
  return sequences.select(np.argsort(sequences.length, kind="stable"))


def decoded(
  state, family: family_lib.Tagger, sequences: Sequences, batch_size: int
) -> Int[np.ndarray, "sentence time"]:
  """The tags of every sentence, -1 beyond its end."""
  dataset = pipeline.sequential(by_length(sequences).arrays, batch_size, name=sequences.name)
  one = jax.jit(lambda params, resident, fed: family.decode(params, dataset.assemble(resident, fed)))
  resident = jax.device_put(dict(dataset.resident))
  found = [np.asarray(one(state.params, resident, dataset.feed(step))) for step in range(dataset.num_batches)]
  result = np.empty((len(sequences), found[0].shape[1]), np.int32)
  result[np.argsort(sequences.length, kind="stable")] = np.concatenate(found)[: len(sequences)]
  return result


def report(state, family: family_lib.Tagger, lexicon: Lexicon, test: Sequences, batch_size: int) -> Report:
  """Which tags are taken for which, what follows what, and the weights of unigrams, bigrams and trigrams."""
  found = decoded(state, family, test, batch_size)
  true, guess = test.arrays["states"][found >= 0], found[found >= 0]
  wrong = np.flatnonzero(true != guess)
  # The tags that most errors are between, and all tokens of those.
  trouble = np.bincount(np.concatenate([true[wrong], guess[wrong]]).clip(0), minlength=len(lexicon.tags))
  shown = np.sort(np.argsort(-trouble, kind="stable")[:_SHOWN])
  place = np.full(len(lexicon.tags) + 1, -1)  # the last for a tag that training has not, -1
  place[shown] = np.arange(len(shown))
  inside = (place[true] >= 0) & (place[guess] >= 0)
  confusion = np.zeros((len(shown), len(shown)), np.int64)
  np.add.at(confusion, (place[true[inside]], place[guess[inside]]), 1)
  names = [lexicon.tags[tag] for tag in shown]
  weights = dict(zip(("unigram", "bigram", "trigram"), np.asarray(state.params["interpolation"]).tolist()))
  return Report(
    {f"weight_{name}": weight for name, weight in weights.items()},
    {"confusion": figures.confusion_matrix(confusion, names, f"the {len(shown)} tags that most errors are between")},
    {f"weight_{name}": f"weight of {name}s in a transition, by deleted interpolation" for name in weights},
  )


def predictions(state, family: family_lib.Tagger, lexicon: Lexicon, source: Any, batch_size: int) -> dict[str, Any]:
  """Tags of a text, tokens between spaces, a sentence a line, or of tagged sentences: arrays, and `tagged.txt`."""
  words = source.words if isinstance(source, tagged.Tagged) else _sentences(source)
  sequences = padded("--input", [lexicon.symbols(sentence) for sentence in words])
  found = decoded(state, family, sequences, batch_size)
  tags = [[lexicon.tags[tag] for tag in path[: len(sentence)]] for path, sentence in zip(found, words)]
  text = "\n".join(" ".join(f"{word}/{tag}" for word, tag in zip(*pair)) for pair in zip(words, tags)) + "\n"
  return {"tags": np.where(found >= 0, np.array(lexicon.tags)[found], ""), "tagged.txt": text.encode()}


def _sentences(path: str) -> list[list[str]]:
  try:
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError("--input", path, f"it cannot be read as UTF-8 text ({error}).") from error
  sentences = [line.split() for line in lines if line.strip()]
  if not sentences:
    raise UserError("--input", path, "it has no words: write a sentence a line, spaces between words and punctuation.")
  return sentences
