"""What the translators share: pairs of sentences become batches of tokens, and a network and a config an Experiment."""

import functools
import pathlib
from collections.abc import Callable

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.parts import as_files, fields, learning, splits
from experiments.reports.translation import Interpreter
from research.data import pairs as pairs_lib
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import translation as measures
from research.families import sequence_to_sequence as family_lib
from research.text import corpora, parallel, tokenizers
from research.training import precision, steps
from research.training.experiment import Experiment, Program


def experiment(config: ml_collections.ConfigDict, network: Callable[..., nn.Module], place: Callable) -> Experiment:
  """A translator.

  Args:
    config: `configs._translation.base`.
    network: `network(vocabulary=..., dtype=...) -> nn.Module`, as `families.sequence_to_sequence` takes it.
    place: `place(batch)`, likewise.
  """
  measures.require()  # now, not behind an hour of training
  data = config.data
  fields.refuse_unread(data, {"path", "target"})
  if data.budget and data.budget < data.length:
    raise UserError("config.data.budget", data.budget, f"sentences have up to {data.length} tokens: give as many.")
  load = lambda split: parallel.load(data.name, split, data.path or None, (data.source, data.target))
  parts = splits.Splits(load("train"), load("validation"), load("test"))
  joined = "\n".join((*parts.train.source, *parts.train.target))
  tokenizer = tokenizers.learned(data.tokens, joined, data.vocabulary)
  module = network(vocabulary=tokenizer.size + parallel.SPECIAL, dtype=precision.dtype(config.train.precision))
  family = family_lib.translator(module, place, label_smoothing=config.train.label_smoothing)
  train_data = batches(data, parts.train, tokenizer, config.train.batch_size, config.seed)
  sets = parts.map(lambda part: batches(data, part, tokenizer, data.eval_batch_size, None))
  named = {part.name: part for part in parts if part is not None}
  interpreter = Interpreter(module, family, tokenizer, parts.test, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=sets.validation,
    test_data=sets.test,
    measure=lambda state, which: interpreter.measure(state, named[which.name], which),
    report=interpreter.report,
    predict=lambda state, source: interpreter.predictions(state, lines(source)),
    as_file=as_files.lines,
    definitions=definitions(config),
    program=Program(
      lambda state, inputs, _: interpreter.search(steps.variables_of(state), inputs["source"]),
      {"source": np.zeros((1, data.length), np.int32)},
      {**tokenizers.names(tokenizer, parallel.SPECIAL), "padding": 0, "begin": 1, "end": 2},
    ),
  )


def batches(
  data: ml_collections.ConfigDict, part: parallel.Pairs, tokenizer: tokenizers.Tokenizer, size: int, seed: int | None
) -> Dataset:
  """Packs to learn from, where there is a budget; else, and to measure by, a pair a row."""
  encode = lambda sentences: parallel.encoded(sentences, tokenizer, data.length)
  build = pairs_lib.padded
  if data.budget and seed is not None:
    build = functools.partial(pairs_lib.packed, budget=data.budget)
  return build(
    encode(part.source), encode(part.target), begin=parallel.BEGIN, batch_size=size, seed=seed, name=part.name
  )


def definitions(config: ml_collections.ConfigDict) -> dict[str, str]:
  """Of BLEU with sacreBLEU's signatures."""
  signatures = measures.bleu(["a"], ["a"])
  how = f"of a beam search (beams {config.report.beams}, alpha {config.report.alpha}), whole set, one reference"
  return family_lib.DEFINITIONS | {
    "bleu": f"sacreBLEU {how}: {signatures.signature}",
    "bleu_tokenised": f"BLEU {how}, words as the set has them between spaces: {signatures.tokenised_signature}",
  }


def lines(source: str) -> list[str]:
  """Those of a file of that name, else the sentence itself."""
  try:
    file = pathlib.Path(source)
    text = corpora.read(file) if source and file.is_file() else source
  except OSError:  # a sentence too long to be a file's name
    text = source
  return [line.strip() for line in text.splitlines() if line.strip()]
