"""Sequence to sequence: p(target | source) as a product over the target's tokens (Sutskever et al. 2014)."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from research import randomness
from research.families.language_model import cross_entropy, generating, token_mean
from research.generation.model import Model

DEFINITIONS = {
  "loss": "mean negative log-likelihood of a target token given the source and those before it, nats a token",
  "accuracy": "share of target tokens that are the most probable given the source and those before them",
}


class Translator(NamedTuple):
  """The functions of a translator; a batch is one of `data.pairs`.

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    model: to generate with; its context is (source, segments), both [batch, source].
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  model: Model


def translator(network: nn.Module, place: Callable[..., tuple], *, label_smoothing: float = 0.0) -> Translator:
  """A translator over a network.

  Args:
    network: `(source, target, train, *place) -> logits` [rows, time, vocabulary].
    place: `place(batch)`: what else the network is given, such as where the sequences of a pack stand.
    label_smoothing: mass that training moves from the target to the uniform distribution.
  """

  def applied(variables, batch, train: bool, rngs=None):
    given = network.apply(variables, batch["source"], batch["inputs"], train, *place(batch), rngs=rngs)
    return jnp.asarray(given)

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["source"], batch["inputs"], False, *place(batch))

  def loss(variables, batch, key):
    logits = applied(variables, batch, True, {"dropout": randomness.stream_key(key, "dropout")})
    return token_mean(cross_entropy(logits, batch["targets"], label_smoothing), batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    logits = applied(variables, batch, False)
    correct = (logits.argmax(-1) == batch["targets"]).astype(jnp.float32)
    nll = cross_entropy(logits, batch["targets"])
    return {"loss": token_mean(nll, batch["mask"]), "accuracy": token_mean(correct, batch["mask"])}

  return Translator(init, loss, evaluate, generating(network))
