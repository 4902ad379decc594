"""Vectors of words: skip-gram and CBOW, by negative sampling or a hierarchical softmax, of words or of subwords.

  python -m experiments.word2vec                                        Python's manual, embedded: under a minute
  python -m experiments.word2vec --config=configs/word2vec/brown.py:best
  python -m experiments.word2vec --config.data.path=my_texts/    a .txt file, or a folder of them
  python -m experiments.word2vec --mode=predict --workdir=... --input=string          its neighbours
  python -m experiments.word2vec --mode=predict --workdir=... --input="man - king + woman"  an analogy
  python -m experiments.word2vec --mode=predict --workdir=... --input=texts.txt       vectors of texts, one a line
  python -m experiments.word2vec --mode=predict --workdir=...                         files that word2vec's tools read

Mikolov et al. 2013a, 2013b; Bojanowski et al. 2017 (subwords).  Gradients are summed over the predictions of a step, in
which words that come several times get the sum.  On several devices each has the tables whole, and adds all devices'
rows to them, so that they train what one would; sharded (`run.parallelism=fsdp`), XLA sends rows to where they are.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, learning
from experiments.reports import word2vec as report_lib
from research.data import contexts
from research.data.dataset import Dataset
from research.errors import UserError
from research.families import word2vec
from research.text import vocabulary, word_vectors
from research.training import sparse
from research.training.experiment import Experiment, Program

DEFAULT = "configs/word2vec/pydoc.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """Vectors of the words of a text."""
  train, held_out = load(config.data)
  family, resident = family_of(config.model, train)
  train_data = beside(rows(config, train, config.seed), resident)
  test_data = None if held_out is None else beside(rows(config, held_out, None), resident)
  optimizer, schedule = learning.row_optimizer(config, train_data)
  init = lambda key, batch: start(family.init(key, batch), config.model.vectors, train)
  learner = sparse.sparse_learner(
    init=init, ids=family.ids, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer, schedule=schedule
  )
  subwords = subwords_of(config.model)
  table = None if subwords is None else jnp.asarray(subwords.table(train.words))
  known = lambda state: report_lib.vectors_of(state.tables, family, train, subwords)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=test_data,
    test_data=test_data,
    report=lambda state: report_lib.report(known(state), train, config),
    predict=lambda state, source: report_lib.predictions(known(state), source),
    definitions=word2vec.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: report_lib.vector(state.tables["inputs"], table, inputs["word"]),
      {"word": np.zeros(1, np.int32)},
      {"word": train.words},
    ),
  )


def load(data: ml_collections.ConfigDict) -> tuple[vocabulary.Stream, vocabulary.Stream | None]:
  """The text to train on, and the last sentences, held out, where `data.validation` asks for them."""
  fields.refuse_unread(data, {"validation", "path"})
  sentences = vocabulary.load(data.name, data.path or None, data.units)
  held = round(data.validation * len(sentences))
  if not 0 <= held < len(sentences) or (data.validation and not held):
    remedy = f"of {len(sentences)} sentences it leaves {len(sentences) - held} to train and {held} to measure."
    raise UserError("config.data.validation", data.validation, remedy)
  train, rest = sentences[: len(sentences) - held], sentences[len(sentences) - held :]
  for _ in range(data.phrases):
    pairs = vocabulary.phrases(train, data.least, data.phrase_threshold)
    train, rest = vocabulary.joined(train, pairs), vocabulary.joined(rest, pairs)
  stream = vocabulary.stream(train, data.least)
  return stream, vocabulary.stream(rest, data.least, stream.words) if held else None


def family_of(model: ml_collections.ConfigDict, train: vocabulary.Stream) -> tuple[word2vec.Word2Vec, dict]:
  """The family that `config.model` describes, and what its batches hold beside their rows."""
  for field, known in {"context": ("skip-gram", "cbow"), "output": ("negative", "hierarchical")}.items():
    if model[field] not in known:
      raise UserError(f"config.model.{field}", model[field], f"choose {' or '.join(known)}.")
  for field in ("features", "window", "negatives", "drawn"):
    if model[field] < 1:
      raise UserError(f"config.model.{field}", model[field], "give 1 or more.")
  hierarchical, subwords = model.output == "hierarchical", subwords_of(model)
  resident: dict[str, Any] = {"noise": word2vec.noise(train.counts)}
  if hierarchical:
    resident = {"tree": word2vec.huffman(train.counts)}
  if subwords is not None:
    resident["subwords"] = subwords.table(train.words)
  family = word2vec.Word2Vec(
    len(train.words),
    model.features,
    cbow=model.context == "cbow",
    negatives=0 if hierarchical else model.negatives,
    noise_words=model.drawn,
    corrected=model.corrected,
    buckets=model.buckets,
  )
  return family, resident


def subwords_of(model: ml_collections.ConfigDict) -> vocabulary.Subwords | None:
  """How words are cut, where they are."""
  return vocabulary.Subwords(model.shortest, model.longest, model.buckets) if model.buckets else None


def rows(config: ml_collections.ConfigDict, stream: vocabulary.Stream, seed: int | None) -> Dataset:
  """Rows of a stream, for training or (without a seed) for evaluation."""
  return contexts.contexts(
    stream.tokens,
    stream.units,
    contexts.keep_probabilities(stream.counts, config.data.sample),
    config.data.eval_batch_size if seed is None else config.train.batch_size,
    length=config.data.length,
    window=config.model.window,
    block=8 if config.model.output == "hierarchical" else 32,  # what each is fastest with
    seed=seed,
    shuffled=config.data.shuffled,
    name=config.data.name,
  )


def beside(data: Dataset, resident: dict) -> Dataset:
  """The set, whose batches hold `resident` too, whole."""
  assemble = lambda given, fed: {**data.assemble(given, fed), **{name: given[name] for name in resident}}
  return dataclasses.replace(data, resident={**data.resident, **resident}, assemble=assemble)


def start(tables: dict, path: str, train: vocabulary.Stream) -> dict:
  """The tables, those words' vectors that the file `path` knows taken from it, where one is given."""
  if not path:
    return tables
  known, features = word_vectors.read(path), tables["inputs"].shape[1]
  if known.vectors.shape[1] != features:
    raise UserError("config.model.vectors", path, f"its vectors have {known.vectors.shape[1]} numbers, not {features}.")
  both = [(i, known.place[word]) for i, word in enumerate(train.words) if word in known]
  if not both:
    raise UserError("config.model.vectors", path, "it has none of the text's words.")
  ours, theirs = map(list, zip(*both))
  return {**tables, "inputs": tables["inputs"].at[ours].set(known.vectors[theirs])}


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
