"""Masked-token pre-training: some tokens are hidden, and told from all that stands around them (Devlin et al. 2019)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from research import randomness
from research.families.language_model import cross_entropy, token_mean

DEFINITIONS = {
  "loss": "mean negative log-likelihood of the tokens that are chosen, 15 % of all, given the rest, nats a token",
  "accuracy": "share of the tokens that are chosen whose most probable value is theirs",
}
MASK = 0
CHOSEN, HIDDEN, REPLACED = 0.15, 0.8, 0.1  # share of tokens; of these, masked and replaced at random (appendix A.1)


class MaskedLanguageModel(NamedTuple):
  """The functions of a masked language model; a batch has `inputs` and `mask`, [rows, time].

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them; an evaluation hides the same places in every batch.
    logits: `logits(variables, tokens)` [rows, time, vocabulary].
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  logits: Callable


def masked_language_model(network: nn.Module, vocabulary: int) -> MaskedLanguageModel:
  """A masked language model over an encoder of `vocabulary + 1` tokens, of which `MASK` hides another.

  A text has tokens 1 to `vocabulary`, as a classifier has them, to which 0 is padding: it can begin with the encoder.

  Args:
    network: `(tokens, train) -> vectors`, with a method `logits(vectors)`, as `networks.transformer.Encoder`.
    vocabulary: number of tokens that a text has.
  """

  def applied(variables, tokens, train: bool, rngs=None):
    run = lambda module, tokens: module.logits(module(tokens, train))
    return jnp.asarray(network.apply(variables, tokens, rngs=rngs, method=run)).at[..., MASK].set(-jnp.inf)

  def init(key, batch):
    run = lambda module, tokens: module.logits(module(tokens, False))
    return network.init({"params": key, "dropout": key}, batch["inputs"], method=run)

  def scored(variables, batch, key, train: bool):
    tokens, chosen = hidden(batch["inputs"], randomness.example_keys(key, len(batch["inputs"])), vocabulary)
    rngs = {"dropout": randomness.stream_key(key, "dropout")} if train else None
    return applied(variables, tokens, train, rngs), chosen * batch["mask"]

  def loss(variables, batch, key):
    logits, counted = scored(variables, batch, randomness.stream_key(key, "mask"), True)
    return token_mean(cross_entropy(logits, batch["inputs"]), counted), ({}, {})

  def evaluate(variables, batch):
    logits, counted = scored(variables, batch, randomness.stream_key(jax.random.key(0), "mask"), False)
    correct = (logits.argmax(-1) == batch["inputs"]).astype(jnp.float32)
    return {
      "loss": token_mean(cross_entropy(logits, batch["inputs"]), counted),
      "accuracy": token_mean(correct, counted),
    }

  return MaskedLanguageModel(init, loss, evaluate, lambda variables, tokens: applied(variables, tokens, False))


def hidden(
  tokens: Int[Array, "rows time"], keys: Key[Array, " rows"], vocabulary: int
) -> tuple[Int[Array, "rows time"], Bool[Array, "rows time"]]:
  """Tokens of which some are hidden, and which were chosen: of these most are `MASK`, some random, some as before."""

  def one(row, key):
    which, how, what = jax.random.split(key, 3)
    chosen = jax.random.uniform(which, row.shape) < CHOSEN
    fate = jax.random.uniform(how, row.shape)
    random = jax.random.randint(what, row.shape, 1, vocabulary + 1)
    changed = jnp.where(fate < HIDDEN, MASK, jnp.where(fate < HIDDEN + REPLACED, random, row))
    return jnp.where(chosen, changed, row), chosen

  return jax.vmap(one)(tokens, keys)
