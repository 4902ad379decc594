"""Diffusion of text: an Experiment, texts that it writes, and what it fills in."""

import dataclasses
import functools
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.parts import as_files, language, learning
from experiments.parts.transformers import style
from research import randomness
from research.data import streams
from research.errors import UserError
from research.families import language_model
from research.families.diffusion import absorbing as family_lib
from research.generation import choosing
from research.networks.transformer import Pretrained
from research.text import tokenizers
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report

HIDDEN = "▁"  # in a text, a character that is to be filled in


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A diffusion of a text's tokens, measured on the whole of its test part, as language models are."""
  data, model, corpus = config.data, config.model, language.load(config.data)
  size = corpus.tokenizer.size
  layers = style(model, precision.dtype(config.train.precision))
  network = Pretrained(layers, size + 1, model.depth, data.length, model.tied)
  family = family_lib.absorbing_diffusion(network, steps=config.sampler.steps, draws=data.draws)
  texts = corpus.parts.map(lambda tokens: tokens + 1)  # 0 hides a token
  train_data = streams.windows(texts.train, config.train.batch_size, data.length, seed=config.seed, name="train")
  measured = (data.eval_batch_size, data.length, data.context)
  sets = texts.map(lambda tokens: streams.overlapping(tokens, *measured, name="evaluation"))
  writer = Writer(family, corpus.tokenizer, texts.test, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=sets.validation,
    test_data=sets.test,
    derive=language_model.derived,
    report=writer.report,
    predict=lambda state, source: writer.predictions(state, language.prompts(source)) if source else writer.new(state),
    sample=writer.new,
    as_file=as_files.lines,
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.logits(steps.variables_of(state), inputs["tokens"]),
      {"tokens": np.zeros((1, data.length), np.int32)},
      tokenizers.names(corpus.tokenizer, 1),
    ),
  )


@dataclasses.dataclass(frozen=True)
class Writer:
  """A diffusion of text with what it takes to write.

  Attributes:
    family: see there.
    tokenizer: of its text, whose tokens are one less than the family's.
    test: tokens of the test part, as the family has them.
    config: with the sections `sampler` and `report`.
  """

  family: family_lib.AbsorbingDiffusion
  tokenizer: tokenizers.Tokenizer
  test: np.ndarray
  config: ml_collections.ConfigDict

  @functools.cached_property
  def _fill(self):
    sampler = self.config.sampler
    choice = choosing.sample(sampler.temperature, top_p=sampler.top_p)
    return jax.jit(family_lib.sampler(self.family.logits, choice, sampler.steps))

  def filled(self, state, tokens: np.ndarray, stream: str) -> np.ndarray:
    """Tokens [row, length] with nothing hidden."""
    keys = randomness.place_keys(randomness.stream_key(state.key, stream), np.arange(len(tokens)))
    return np.asarray(self._fill(steps.variables_of(state), tokens, keys))

  def new(self, state) -> dict[str, Any]:
    """`report.samples` texts of which nothing is given."""
    nothing = np.full((self.config.report.samples, self.config.data.length), family_lib.MASK, np.int32)
    tokens = self.filled(state, nothing, "sample")
    return {"tokens": tokens - 1, "samples.txt": as_text([self.text(row) for row in tokens])}

  def predictions(self, state, texts: list[str]) -> dict[str, Any]:
    """Texts whose hidden characters, written `HIDDEN`, are filled in; what is given stays.

    Raises:
      UserError: a text that is longer than a window.
    """
    length, rows = self.config.data.length, [self._tokens(text) for text in texts]
    for text, row in zip(texts, rows):
      if len(row) > length:
        raise UserError("--input", f"{text[:20]}...", f"it has {len(row)} tokens: give {length} at most.")
    # What follows a shorter text is hidden too, as of windows in training, and left out.
    windows = np.stack([np.pad(row, (0, length - len(row)), constant_values=family_lib.MASK) for row in rows])
    tokens = [whole[: len(row)] for whole, row in zip(self.filled(state, windows, "predict"), rows)]
    written = [self.text(row) for row in tokens]
    print("\n".join(written))
    return {"tokens": np.concatenate(tokens) - 1, "filled.txt": as_text(written)}

  def report(self, state) -> Report:
    """Samples, and windows of the test text of which the middle half is hidden, filled in."""
    length = self.config.data.length
    count = min(self.config.report.samples, len(self.test) // length)
    windows = self.test[: count * length].reshape(count, length)
    hidden = np.array(windows)
    hidden[:, length // 4 : length - length // 4] = family_lib.MASK
    filled = self.filled(state, hidden, "report")
    names = ("hidden", "filled in", "the text")
    infilled = [
      "\n".join(f"{name}:\n{self.text(row)}" for name, row in zip(names, z)) for z in zip(hidden, filled, windows)
    ]
    files = {
      "samples.txt": self.new(state)["samples.txt"],
      "filled.txt": as_text(infilled),
      "tokenizer.json": tokenizers.dumps(self.tokenizer).encode("utf-8", "surrogatepass"),
    }
    return Report(files=files)

  def text(self, row: np.ndarray) -> str:
    """Of tokens as the family has them."""
    pieces = np.split(row, np.flatnonzero(np.diff(row == family_lib.MASK)) + 1)
    decode = lambda piece: self.tokenizer.decode((piece - 1).tolist())
    return "".join(HIDDEN * len(p) if len(p) and p[0] == family_lib.MASK else decode(p) for p in pieces)

  def _tokens(self, text: str) -> np.ndarray:
    pieces = [self.tokenizer.encode(piece) + 1 for piece in text.split(HIDDEN)]
    hidden = np.full(1, family_lib.MASK, np.int32)
    return np.concatenate([part for piece in pieces for part in (piece, hidden)][:-1]).astype(np.int32)


def as_text(texts: list[str]) -> bytes:
  """Several texts as a file."""
  return f"\n{'-' * 80}\n".join(texts).encode("utf-8", "replace")
