"""Language models: p(text) as a product over tokens of p(token | those before), fitted by cross-entropy.

Of two kinds: those that carry a state from window to window (`carried`: Mikolov et al. 2010), and those that see one
window at a time (Radford et al. 2018).
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research import randomness
from research.generation.model import Model
from research.metrics import Mean

DEFINITIONS = {
  "loss": "mean negative log-likelihood of a token given those before it, nats a token",
  "accuracy": "share of tokens that are the most probable given those before them",
  "perplexity": "exp(loss)",
  "bits": "loss in bits a token",
}


class LanguageModel(NamedTuple):
  """The functions of a language model; a batch has `inputs`, `targets` and `mask`, [rows, time].

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them, with a carry if there is an `init_carry`.
    init_carry: `init_carry(batch) -> carry`; None where windows stand alone.
    logits: `logits(variables, tokens)` [rows, time, vocabulary] of each next token, of texts that begin there.
    model: to generate with: see `research.generation`.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  init_carry: Callable | None
  logits: Callable
  model: Model


def language_model(
  network: nn.Module,
  *,
  carried: bool = False,
  label_smoothing: float = 0.0,
  place: Callable[[Mapping[str, Any]], tuple] = lambda batch: (),
) -> LanguageModel:
  """A language model over a network.

  Args:
    network: `(tokens, train, *place) -> logits` [rows, time, vocabulary]; if carried, `(tokens, train, carry) ->
      logits, carry`.  It has the methods `init_carry`, `step` and `prefill` of `generation.model`.
    carried: rows go on from batch to batch, but for those that are `fresh` (`streams.contiguous`).
    label_smoothing: mass that training moves from the target to the uniform distribution.
    place: what else the network is given of a batch, such as where the sequences of a pack stand.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["inputs"], False)

  def init_carry(batch):
    return network.init_carry(batch["inputs"].shape[0], 0)

  def applied(variables, batch, carry, train: bool, rngs=None):
    if not carried:
      return network.apply(variables, batch["inputs"], train, *place(batch), rngs=rngs), None
    kept = (1 - batch["fresh"])[:, None]
    carry = jax.tree.map(lambda new, old: new + kept * (old - new), init_carry(batch), carry)
    return network.apply(variables, batch["inputs"], train, carry, rngs=rngs)

  def loss(variables, batch, key, carry=None):
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    logits, carry = applied(variables, batch, carry, True, rngs)
    nll = cross_entropy(logits, batch["targets"], label_smoothing)
    mean_and_extras = token_mean(nll, batch["mask"]), ({}, {})
    return (mean_and_extras[0], (*mean_and_extras[1], jax.lax.stop_gradient(carry))) if carried else mean_and_extras

  def evaluate(variables, batch, carry=None):
    logits, carry = applied(variables, batch, carry, False)
    correct = (logits.argmax(-1) == batch["targets"]).astype(jnp.float32)
    nll = cross_entropy(logits, batch["targets"])
    metrics = {"loss": token_mean(nll, batch["mask"]), "accuracy": token_mean(correct, batch["mask"])}
    return (metrics, carry) if carried else metrics

  def logits(variables, tokens):
    outputs = network.apply(variables, tokens, False, *((network.init_carry(len(tokens), 0),) if carried else ()))
    return outputs[0] if carried else outputs

  return LanguageModel(init, loss, evaluate, init_carry if carried else None, logits, generating(network))


def generating(network: nn.Module) -> Model:
  """A network with methods `init_carry`, `step` and `prefill` as a model to generate with."""
  method = lambda name: lambda variables, *arguments: network.apply(variables, *arguments, method=name)
  return Model(method("init_carry"), method("step"), method("prefill"))


def cross_entropy(
  logits: Float[Array, "rows time vocabulary"], targets: Int[Array, "rows time"], smoothing: float = 0.0
) -> Float[Array, "rows time"]:
  """-sum_k q_k log p_k, q of mass 1 - smoothing on the target and the rest spread evenly (Szegedy et al. 2016)."""
  normaliser = jax.nn.logsumexp(logits, axis=-1)
  target = jnp.take_along_axis(logits, targets[..., None], -1)[..., 0]
  if not smoothing:
    return normaliser - target
  return normaliser - (1 - smoothing) * target - smoothing * logits.mean(-1)


def token_mean(values: Float[Array, "rows time"], mask: Float[Array, "rows time"]) -> Mean:
  """The mean over the tokens whose mask is 1."""
  return Mean(jnp.where(mask > 0, values * mask, 0).sum(), mask.sum())


def derived(means: Mapping[str, Any]) -> dict[str, Any]:
  """Perplexity and bits of a mean loss."""
  return {"perplexity": np.exp(means["loss"]), "bits": means["loss"] / np.log(2)}
