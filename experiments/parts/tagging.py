"""Part-of-speech tagging as an experiment: counting, one pass over the training sentences, and Viterbi."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Int

from experiments.parts import as_files, fields, splits
from research.data import pipeline, remembered, tagged
from research.data.sequences import Sequences, padded
from research.errors import UserError
from research.evaluation import figures
from research.families.hmm import lexicon as lexicon_lib
from research.families.hmm import tagger as family_lib
from research.families.hmm.lexicon import Lexicon
from research.training import statistics
from research.training.experiment import Experiment, Program, Report

UNSEEN = "(unseen)"  # a tag that training has not


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A trigram tagger of a corpus whose sentences are tagged."""
  data, model = config.data, config.model
  fields.refuse_unread(data, {"path", "validation"})
  if config.train.learning != "counts" or config.train.precision != "float32":
    given = (config.train.learning, config.train.precision)
    raise UserError("config.train.learning, config.train.precision", given, "a tagger counts, in float32.")

  @functools.cache
  def read() -> splits.Splits[tagged.Tagged]:
    parts = (tagged.load(split, data.path or None) for split in ("train", "test"))
    return splits.of(*parts, data.validation)

  def learned() -> Lexicon:
    train = read().train
    return lexicon_lib.build(train.words, train.tags, suffix=model.suffix, rare=model.rare, least=model.least)

  lexicon = remembered.value("lexicon", learned)
  parts = remembered.data("sentences", lambda: read().map(lambda part: encoded(part, lexicon)))
  family = family_lib.tagger(lexicon, base_of(lexicon), strength=model.strength, rare=model.rare)

  def measure(part):
    return pipeline.sequential(by_length(part).arrays, data.eval_batch_size, name=part.name)

  return Experiment(
    learner=statistics.statistics_learner(
      init=family.init,
      expect=family.count,
      maximise=family.maximise,
      evaluate=family.evaluate,
      combine=statistics.total,
      accumulate=config.train.accumulate,
    ),
    train_data=pipeline.passes(parts.train.arrays, config.train.batch_size, seed=config.seed, name=parts.train.name),
    eval_data=None if parts.validation is None else measure(parts.validation),
    test_data=measure(parts.test),
    report=lambda state: report(state, family, lexicon, parts.test, data.eval_batch_size),
    predict=lambda state, path: predictions(state, family, lexicon, path or read().test, data.eval_batch_size),
    as_file=as_files.lines,
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.decode(state.params, inputs),
      {name: parts.test.arrays[name] for name in ("inputs", "length")},
      {"tag": lexicon.tags, "word": dict(lexicon.words)},
    ),
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
  paths = [np.asarray(one(state.params, resident, dataset.feed(step))) for step in range(dataset.num_batches)]
  result = np.empty((len(sequences), paths[0].shape[1]), np.int32)
  result[np.argsort(sequences.length, kind="stable")] = np.concatenate(paths)[: len(sequences)]
  return result


def report(state, family: family_lib.Tagger, lexicon: Lexicon, test: Sequences, batch_size: int) -> Report:
  """Which tags are taken for which, what follows what, and the weights of unigrams, bigrams and trigrams."""
  tags = decoded(state, family, test, batch_size)
  matrix, names = confusion(test.arrays["states"][tags >= 0], tags[tags >= 0], lexicon.tags)
  weights = dict(zip(("unigram", "bigram", "trigram"), np.asarray(state.params["interpolation"]).tolist()))
  return Report(
    {f"weight_{name}": weight for name, weight in weights.items()},
    {"confusion": figures.confusion_matrix(matrix, names, f"the {len(names)} tags that most errors are between")},
    {f"weight_{name}": f"weight of {name}s in a transition, by deleted interpolation" for name in weights},
  )


def confusion(
  true: Int[np.ndarray, " token"], guess: Int[np.ndarray, " token"], tags: Sequence[str], limit: int = 20
) -> tuple[Int[np.ndarray, "tag tag"], list[str]]:
  """How often each tag, by row, is taken for each, by column, among the `limit` tags that most errors are between.

  Args:
    true: number of the tag of each token; -1 for one that training has not, which counts as the tag `UNSEEN`.
    guess: number of the tag that it is given.
    tags: their names.

  Returns:
    Tokens, and the names of rows and columns.
  """
  names = [*tags, UNSEEN]
  true = np.where(true < 0, len(tags), true)
  wrong = true != guess
  errors = np.bincount(np.concatenate([true[wrong], guess[wrong]]), minlength=len(names))
  chosen = np.sort(np.argsort(-errors, kind="stable")[:limit])
  counts = np.zeros((len(names), len(names)), np.int64)
  np.add.at(counts, (true, guess), 1)
  return counts[np.ix_(chosen, chosen)], [names[tag] for tag in chosen]


def predictions(state, family: family_lib.Tagger, lexicon: Lexicon, source: Any, batch_size: int) -> dict[str, Any]:
  """Tags of a text, tokens between spaces, a sentence a line, or of tagged sentences: arrays, and `tagged.txt`."""
  words = source.words if isinstance(source, tagged.Tagged) else _sentences(source)
  sequences = padded("--input", [lexicon.symbols(sentence) for sentence in words])
  paths = decoded(state, family, sequences, batch_size)
  tags = [[lexicon.tags[tag] for tag in path[: len(sentence)]] for path, sentence in zip(paths, words)]
  text = "\n".join(" ".join(f"{word}/{tag}" for word, tag in zip(*pair)) for pair in zip(words, tags)) + "\n"
  return {"tags": np.where(paths >= 0, np.array(lexicon.tags)[paths], ""), "tagged.txt": text.encode()}


def _sentences(path: str) -> list[list[str]]:
  try:
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError("--input", path, f"it cannot be read as UTF-8 text ({error}).") from error
  sentences = [line.split() for line in lines if line.strip()]
  if not sentences:
    raise UserError("--input", path, "it has no words: write a sentence a line, spaces between words and punctuation.")
  return sentences
