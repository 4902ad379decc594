"""What the language models share: a text becomes batches of tokens, and a trained model goes on from a prompt."""

import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import as_files, fields, learning, splits
from experiments.reports import language as report_lib
from research.data import remembered, streams, validation
from research.data.dataset import Dataset
from research.errors import UserError
from research.families import language_model as family_lib
from research.text import corpora, tokenizers
from research.training import precision, steps
from research.training.experiment import Experiment, Program


class Corpus(NamedTuple):
  """A text as tokens.

  Attributes:
    tokenizer: learned from the training part; of characters, the alphabet of the whole.
    parts: int32 [token] of each.
  """

  tokenizer: tokenizers.Tokenizer
  parts: splits.Splits[np.ndarray]


def load(data: ml_collections.ConfigDict) -> Corpus:
  """The text that `config.data` names, as tokens; of a finished run, by the tokenizer that it has learned."""
  fields.refuse_unread(data, {"path", "validation"} | ({"data_dir"} if data.name == "tiny_shakespeare" else set()))
  read = functools.cache(lambda: text_of(data))

  def learned() -> tokenizers.Tokenizer:
    train, held, test = read()
    if data.tokens == "characters":  # as nanoGPT: of the whole text, so that nothing in it is unknown
      return tokenizers.Characters.learned(train + (held or "") + test)
    return tokenizers.learned(data.tokens, train, data.vocabulary)

  tokenizer = remembered.value("tokenizer", learned)
  return Corpus(tokenizer, remembered.data("tokens", lambda: read().map(tokenizer.encode)))


def text_of(data: ml_collections.ConfigDict) -> splits.Splits[str]:
  """The text that `config.data` names; `limit` and `validation` count its characters."""
  text = corpora.load(data.name, data.path or None, data.data_dir or None)
  limit = data.limit or None
  train, test, held = text.train[:limit], text.test[:limit], text.validation[:limit]
  if held and data.validation:
    raise UserError("config.data.validation", data.validation, f"{data.name} has a part to choose by: set it to 0.")
  if data.validation:
    kept = len(train) - validation.count(data.validation, len(train))
    train, held = train[:kept], train[kept:]
  return splits.Splits(train, held or None, test)


def experiment(config: ml_collections.ConfigDict, network: Callable[..., nn.Module], *, carried: bool) -> Experiment:
  """A language model, its optimizer and its text.

  Args:
    config: `configs._language.base`.
    network: `network(vocabulary=..., dtype=...) -> nn.Module`, as `families.language_model` takes it.
    carried: whether rows go on from batch to batch.
  """
  corpus = load(config.data)
  dtype = precision.dtype(config.train.precision)
  module = network(vocabulary=corpus.tokenizer.size, dtype=dtype)
  family = family_lib.language_model(module, carried=carried, label_smoothing=config.train.label_smoothing)
  train_data = training(config, corpus.parts.train, carried)
  measure = lambda tokens: evaluation(config, tokens, carried)
  writer = report_lib.Writer(module, family, corpus.tokenizer, corpus.parts.test, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data, init_carry=family.init_carry),
    train_data=train_data,
    eval_data=None if corpus.parts.validation is None else measure(corpus.parts.validation),
    test_data=measure(corpus.parts.test),
    report=writer.report,
    predict=lambda state, source: writer.predictions(state, prompts(source or writer.prompt)),
    sample=lambda state: writer.predictions(state, [writer.prompt]),
    as_file=as_files.lines,
    derive=family_lib.derived,
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.logits(steps.variables_of(state), inputs["tokens"]),
      {"tokens": np.zeros((1, config.data.length), np.int32)},
      tokenizers.names(corpus.tokenizer),
    ),
  )


def training(config: ml_collections.ConfigDict, tokens: np.ndarray, carried: bool) -> Dataset:
  """Rows that go on from batch to batch, or windows in random order."""
  batches = streams.contiguous if carried else streams.windows
  return batches(tokens, config.train.batch_size, config.data.length, seed=config.seed, name="train")


def evaluation(config: ml_collections.ConfigDict, tokens: np.ndarray, carried: bool) -> Dataset:
  """The whole of a text once."""
  data = config.data
  if carried:
    return streams.contiguous(tokens, data.eval_batch_size, data.length, name="evaluation")
  return streams.overlapping(tokens, data.eval_batch_size, data.length, data.context, name="evaluation")


def prompts(source: str) -> list[str]:
  """What to go on from: the contents of a file of that name, else the words themselves."""
  try:
    file = pathlib.Path(source)
    return [corpora.read(file)] if file.is_file() else [source]
  except OSError:  # a prompt too long to be a file's name
    return [source]
