"""What the classifiers of texts share: a table of labelled texts, a network, and an Experiment of both."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import as_files, classification, fields, learning, splits
from research.data import pipeline, raw, remembered
from research.data.examples import Examples
from research.errors import UserError
from research.families import classifier as family_lib
from research.text import corpora, labelled, tokenizers
from research.training import precision
from research.training.experiment import Experiment, Program

FROM_RUN = "init_from"  # kind of tokens: those of the run that a run begins with


def experiment(config: ml_collections.ConfigDict, network: Callable[..., nn.Module]) -> Experiment:
  """A classifier of texts.

  Args:
    config: `configs._sentences.base`.
    network: `network(num_classes=..., vocabulary=..., length=..., dtype=...) -> nn.Module` of tokens, 0 for padding.
  """
  data = config.data
  own = raw.is_own(data.name, data.path, *labelled.FILES)
  fields.refuse_unread(data, {"path", "validation", *(("text", "target") if own else ())})

  @functools.cache
  def read() -> splits.Splits[labelled.LabelledTexts]:
    parts = (labelled.load(data.name, split, data.path or None, data.text, data.target) for split in ("train", "test"))
    return splits.of(*parts, data.validation)

  def learn() -> tokenizers.Tokenizer:
    if data.tokens == FROM_RUN:  # its embedding is of its tokens
      if not config.init_from:
        raise UserError("config.init_from", "", f"name the run whose tokenizer config.data.tokens={FROM_RUN} takes.")
      return remembered.of_run(config.init_from, "tokenizer", "config.init_from")
    return learned(data, "\n".join(read().train.texts))

  tokenizer = remembered.value("tokenizer", learn)
  texts = remembered.data("texts", lambda: read().map(lambda part: labelled.encoded(part, tokenizer, data.length)))
  module = network(
    num_classes=texts.train.num_classes,
    vocabulary=tokenizer.size + 1,
    length=data.length,
    dtype=precision.dtype(config.train.precision),
  )
  family = family_lib.classifier(module, label_smoothing=config.train.label_smoothing)
  sets, predict = splits.datasets(texts, config), classification.predictive(family, 1, 0)
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    report=lambda state: classification.report(state, predict, sets.test, texts.test, None),
    predict=lambda state, source: predictions(state, predict, source, tokenizer, texts.test, data),
    definitions=family_lib.DEFINITIONS,
    program=Program.of_batches(
      predict, sets.test, {"class": texts.test.class_names, **tokenizers.names(tokenizer, labelled.PADDING + 1)}
    ),
    as_file=as_files.lines,
    notes=splits.notes(texts.train),
  )


def learned(data: ml_collections.ConfigDict, text: str) -> tokenizers.Tokenizer:
  """The tokenizer that `config.data` asks for, of the training texts."""
  if data.tokens == "words":
    return tokenizers.Words.learned(text, data.vocabulary, data.least, lower=True)
  return tokenizers.learned(data.tokens, text, data.vocabulary)


def predictions(
  state,
  predict: Callable,
  source: str,
  tokenizer: tokenizers.Tokenizer,
  test: Examples,
  data: ml_collections.ConfigDict,
) -> dict[str, Any]:
  """Classes of a text, or of every line of a file of that name.

  Raises:
    UserError: there is none.
  """
  lines = _lines(source)
  if not lines:
    raise UserError("--input", source, "give a text, or a file with one a line.")
  texts = labelled.LabelledTexts("input", tuple(lines), np.zeros(len(lines), np.int32), test.class_names)
  inputs = labelled.encoded(texts, tokenizer, data.length)
  logs, _ = classification.over(pipeline.sequential(inputs.arrays, data.eval_batch_size), predict, state)
  names = np.asarray(test.class_names)[logs.argmax(-1)]
  for line, name, log in zip(lines, names, logs):
    print(f"{name}  {np.exp(log.max()):.3f}  {line}")
  return {"predicted": logs.argmax(-1), "class_name": names, "probabilities": np.exp(logs), "input": np.asarray(lines)}


def _lines(source: str) -> list[str]:
  try:
    file = pathlib.Path(source)
    text = corpora.read(file) if source and file.is_file() else source
  except OSError:  # a text too long to be a file's name
    text = source
  return [line for line in text.splitlines() if line.strip()]
