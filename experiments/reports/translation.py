"""What a run of a translator leaves behind: translations beside their references, and what it attends to."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Int

from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import figures
from research.evaluation import translation as measures
from research.families.sequence_to_sequence import Translator
from research.generation.beam import beam_search
from research.networks.transformer import attention_maps
from research.text import parallel, tokenizers
from research.training import steps
from research.training.experiment import Report


@dataclasses.dataclass(frozen=True)
class Interpreter:
  """A translator with what it takes to translate.

  Attributes:
    network: the module.
    family: over it.
    tokenizer: of both languages.
    test: pairs of the test set.
    config: with the sections `data` and `report`.
  """

  network: nn.Module
  family: Translator
  tokenizer: tokenizers.Tokenizer
  test: parallel.Pairs
  config: ml_collections.ConfigDict

  def search(self, variables, source: Int[Array, "row source"]) -> Int[Array, "row time"]:
    """Tokens of the best translation of each row, by beam search."""
    report, length = self.config.report, self.config.data.length
    carry = self.family.model.init_carry(variables, len(source), length, (source, (source > 0).astype(jnp.int32)))
    step = functools.partial(self.family.model.step, variables)
    first = jnp.full(len(source), parallel.BEGIN, jnp.int32)
    beams = beam_search(step, carry, first, length, beams=report.beams, stop=parallel.END, alpha=report.alpha)
    return beams.tokens[:, 0]

  @functools.cached_property
  def _search(self):
    return jax.jit(self.search)

  def translate(self, state, sentences: Sequence[str], poll=lambda step: None) -> list[str]:
    """The best of a beam search for each; `poll(step)` is called before each batch."""
    data, variables = self.config.data, steps.variables_of(state)
    size, texts = data.eval_batch_size, []
    # Sentences of like lengths side by side, so that a batch ends early where all are short.
    tokens = parallel.encoded(sentences, self.tokenizer, data.length)
    order = np.argsort([len(row) for row in tokens], kind="stable")
    for start in range(0, len(order), size):
      poll(start // size)
      source = np.full((size, data.length), parallel.PADDING, np.int32)
      for row, place in zip(source, order[start : start + size]):
        row[: len(tokens[place])] = tokens[place]
      best = np.asarray(self._search(variables, source))
      texts += [parallel.decoded(row, self.tokenizer) for row in best[: len(order) - start]]
    return [text for _, text in sorted(zip(order.tolist(), texts))]

  def measure(self, state, pairs: parallel.Pairs, data: Dataset) -> dict[str, float]:
    """BLEU of the translations of a whole set, twice: as sacreBLEU tokenises, and of words as they stand."""
    poll = lambda step: data.feed(step % data.num_batches)
    scores = measures.bleu(self.translate(state, pairs.source, poll), pairs.target)
    print(f"bleu        {scores.score:.2f} ({scores.signature}), {scores.tokenised:.2f} ({scores.tokenised_signature})")
    return {"bleu": scores.score, "bleu_tokenised": scores.tokenised}

  def report(self, state) -> Report:
    """The first translations of the test set beside their references, attention for the first, and the tokenizer."""
    count = self.config.report.samples
    source, target = self.test.source[:count], self.test.target[:count]
    texts = self.translate(state, source)
    rows = "\n\n".join(map("\n".join, zip(source, texts, target)))
    header = "each: the source, its translation, the reference\n\n"
    files = {
      "translations.txt": (header + rows + "\n").encode("utf-8", "replace"),
      "tokenizer.json": tokenizers.dumps(self.tokenizer).encode("utf-8", "surrogatepass"),
    }
    return Report(figures={"attention": self._attention(state, source[0], texts[0])}, files=files)

  def _attention(self, state, source: str, text: str):
    """What each token of a translation attended to in the source."""
    length = self.config.data.length
    source_tokens, target = (parallel.encoded([one], self.tokenizer, length)[0][None] for one in (source, text))
    inputs = np.concatenate([[[parallel.BEGIN]], target[:, :-1]], 1).astype(np.int32)
    look = jax.jit(lambda v: self.network.apply(v, source_tokens, inputs, False, mutable=["intermediates"])[1])
    intermediates = look(steps.variables_of(state))["intermediates"]
    # A Transformer attends to its own tokens besides; a recurrent network has but one map.
    maps = attention_maps(intermediates, "memory") or attention_maps(intermediates)
    weights = [np.asarray(layer[0]) for layer in maps]
    return figures.attention(weights, *([self._word(token) for token in row[0]] for row in (source_tokens, target)))

  def _word(self, token: int) -> str:
    return "·" if token < parallel.SPECIAL else self.tokenizer.decode([int(token) - parallel.SPECIAL])

  def predictions(self, state, lines: list[str]) -> dict[str, Any]:
    """Translations of lines, printed and as a file.

    Raises:
      UserError: there is none.
    """
    if not lines:
      raise UserError("--input", "", "give a sentence, or a file with one a line.")
    texts = self.translate(state, lines)
    print("\n".join(texts))
    return {"input": np.asarray(lines), "translations.txt": ("\n".join(texts) + "\n").encode("utf-8", "replace")}
