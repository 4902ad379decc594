"""What a run of a language model leaves behind: text that it has written, and what its attention looks at."""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import ml_collections
import numpy as np

from research import randomness
from research.errors import UserError
from research.evaluation import figures
from research.families.language_model import LanguageModel
from research.generation import choosing
from research.generation.generate import Continuations, continuer
from research.networks.transformer import attention_maps
from research.text import tokenizers
from research.training import steps
from research.training.experiment import Report

_SHOWN = 48  # tokens in a figure of attention


@dataclasses.dataclass(frozen=True)
class Writer:
  """A language model with what it takes to write.

  Attributes:
    network: the module.
    family: over it.
    tokenizer: of its text.
    test: tokens of the test set, whose first are looked at.
    config: with the section `report`.
  """

  network: nn.Module
  family: LanguageModel
  tokenizer: tokenizers.Tokenizer
  test: np.ndarray
  config: ml_collections.ConfigDict

  @property
  def prompt(self) -> str:
    """`config.report.prompt`; where that is a line's end and the text has none, what the test set begins with."""
    text = self.config.report.prompt
    known = text != "\n" or not isinstance(self.tokenizer, tokenizers.Characters) or "\n" in self.tokenizer.alphabet
    return text if known else self.tokenizer.decode(self.test[:1])

  @functools.cached_property
  def _continue(self):
    section = self.config.report
    choose = choosing.sample(
      section.temperature,
      top_k=section.top_k,
      top_p=section.top_p,
      min_p=section.min_p,
      repetition_penalty=section.repetition_penalty,
    )
    return continuer(
      self.family.model, choose, vocabulary=self.tokenizer.size if section.repetition_penalty != 1 else 0
    )

  def write(self, state, prompt: str) -> Continuations:
    """`config.report.samples` continuations of a prompt."""
    section = self.config.report
    tokens = self.tokenizer.encode(prompt)
    if not len(tokens):
      raise UserError("--input", prompt, "there is nothing in it to go on from.")
    key = randomness.stream_key(state.key, "sample")
    return self._continue(steps.variables_of(state), [tokens] * section.samples, key, section.length)

  def report(self, state) -> Report:
    """Text, the tokenizer, and, of a Transformer, its attention."""
    prompt = self.prompt
    continued = self.write(state, prompt)
    texts = [prompt + self.tokenizer.decode(tokens) for tokens in continued.tokens]
    files = {
      "samples.txt": f"\n{'-' * 80}\n".join(texts).encode("utf-8", "replace"),
      "tokenizer.json": tokenizers.dumps(self.tokenizer).encode("utf-8", "surrogatepass"),
    }
    metrics = {"sample_loss": float(-np.concatenate(continued.log_probs).mean())}
    definitions = {"sample_loss": "mean negative log-likelihood of the tokens of samples, as drawn, nats a token"}
    return Report(metrics, self._attention(state), definitions, files)

  def _attention(self, state) -> dict[str, Any]:
    tokens = self.test[None, :_SHOWN]
    look = jax.jit(lambda v: self.network.apply(v, tokens, False, mutable=["intermediates"])[1])
    collections = look(steps.variables_of(state))
    if not collections.get("intermediates"):
      return {}
    weights = [np.asarray(layer[0]) for layer in attention_maps(collections["intermediates"])]
    labels = [self.tokenizer.decode([token]).replace("\n", "↵") for token in tokens[0]]
    return {"attention": figures.attention(weights, labels)}

  def predictions(self, state, prompts: list[str]) -> dict[str, Any]:
    """Continuations of each prompt: their tokens, log-probabilities and, as a file, the text."""
    continued = [(prompt, self.write(state, prompt)) for prompt in prompts]
    texts = [prompt + self.tokenizer.decode(row) for prompt, one in continued for row in one.tokens]
    print("\n".join(texts))
    return {
      "tokens": np.stack([row for _, one in continued for row in one.tokens]),
      "log_probabilities": np.stack([row for _, one in continued for row in one.log_probs]),
      "continuations.txt": f"\n{'-' * 80}\n".join(texts).encode("utf-8", "replace"),
    }
