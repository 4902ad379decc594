"""Masked-token pre-training of an encoder on a text: an Experiment, and what it fills in."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import language, learning
from research import randomness
from research.data import streams
from research.evaluation import figures
from research.families import masked_language_model as family_lib
from research.networks.transformer import attention_maps
from research.text import tokenizers
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report


def experiment(config: ml_collections.ConfigDict, network: Callable[..., nn.Module]) -> Experiment:
  """An encoder, pre-trained.

  Args:
    config: `configs._language.base`, with `data.context`.
    network: `network(vocabulary=..., dtype=...) -> nn.Module`, as `families.masked_language_model` takes it.
  """
  data, corpus = config.data, language.load(config.data)
  size = corpus.tokenizer.size
  module = network(vocabulary=size + 1, dtype=precision.dtype(config.train.precision))
  family = family_lib.masked_language_model(module, size)
  texts = corpus.parts.map(lambda tokens: tokens + 1)  # as classifiers have them: 0 hides a token
  train_data = streams.windows(texts.train, config.train.batch_size, data.length, seed=config.seed, name="train")
  sets = texts.map(lambda tokens: streams.overlapping(tokens, data.eval_batch_size, data.length, 0, name="evaluation"))
  tokens = texts.test[None, : data.length]
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=sets.validation,
    test_data=sets.test,
    report=lambda state: report(state, module, family, corpus.tokenizer, tokens),
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.logits(steps.variables_of(state), inputs["tokens"]),
      {"tokens": np.zeros((1, data.length), np.int32)},
      tokenizers.names(corpus.tokenizer, 1),
    ),
  )


def report(state, module: nn.Module, family: family_lib.MaskedLanguageModel, tokenizer, tokens: np.ndarray) -> Report:
  """The beginning of the test text with some tokens hidden, what is put in their place, and the attention."""
  variables = steps.variables_of(state)
  keys = randomness.example_keys(randomness.stream_key(state.key, "report"), 1)
  covered, chosen = map(np.asarray, family_lib.hidden(jnp.asarray(tokens), keys, tokenizer.size))
  best = np.asarray(jax.jit(family.logits)(variables, covered).argmax(-1))
  text = lambda row: "".join("▁" if t == family_lib.MASK else tokenizer.decode([int(t) - 1]) for t in row)
  filled = np.where(chosen, best, tokens)
  lines = ["hidden:", text(covered[0]), "", "filled in:", text(filled[0]), "", "the text:", text(tokens[0]), ""]
  look = jax.jit(lambda v: module.apply(v, covered[:, :48], False, mutable=["intermediates"])[1])
  weights = [np.asarray(layer[0]) for layer in attention_maps(look(variables)["intermediates"])]
  labels = [text([token]).replace("\n", "↵") for token in covered[0, :48]]
  files = {
    "filled.txt": "\n".join(lines).encode("utf-8", "replace"),
    "tokenizer.json": tokenizers.dumps(tokenizer).encode("utf-8", "surrogatepass"),
  }
  return Report(figures={"attention": figures.attention(weights, labels)}, files=files)
