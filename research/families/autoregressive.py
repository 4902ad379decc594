"""Autoregressive models: p(x) = the product over i of p(x_i | x_1, ..., x_{i-1}), each factor by one network.

Larochelle & Murray 2011 (NADE); Germain et al. 2015 (MADE); van den Oord et al. 2016a, 2016b (PixelCNN), 2016c
(WaveNet); Salimans et al. 2017 (PixelCNN++: the mixture of logistics).

A network is `(tokens, label, train) -> outputs [batch, *event, head.size]`, causal; tokens are int32 levels.  A batch
has `inputs`, scaled from 0 to 1 or levels as integers, `mask` and, where there are labels, `label`; and `length` where
examples are sequences of unequal length: of [batch, time, ...] the rows that count.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research import randomness
from research.errors import UserError
from research.metrics import Mean

DEFINITIONS = {
  "nll": "negative log-likelihood, exact; nats an example",
  "bits_per_dim": "nll / (elements of an example x log 2); bits",
  "nats_per_step": "negative log-likelihood of all examples / their time steps; nats",
}
Outputs = Float[Array, "*shape size"]
Tokens = Int[Array, "*shape"]


class Head(NamedTuple):
  """p(x_i | the outputs of the network at i), a distribution of levels.

  Attributes:
    size: outputs an element.
    levels: that an element has.
    log_prob: `log_prob(outputs, tokens) -> [*shape]`, nats.
    logits: `logits(outputs) -> [*shape, levels]`: unnormalised log-probabilities of all levels, for generation.
  """

  size: int
  levels: int
  log_prob: Callable[[Outputs, Tokens], Float[Array, "*shape"]]
  logits: Callable[[Outputs], Float[Array, "*shape level"]]


def bernoulli() -> Head:
  """Two levels, by one logit."""
  log_prob = lambda outputs, tokens: -jax.nn.softplus(jnp.where(tokens > 0, -1, 1) * outputs[..., 0])
  return Head(1, 2, log_prob, lambda outputs: jnp.concatenate([jnp.zeros_like(outputs), outputs], -1))


def categorical(levels: int) -> Head:
  """A logit a level."""

  def log_prob(outputs, tokens):
    # A one-hot product: its gradient is a product too, where that of a gather would scatter.
    chosen = (outputs * jax.nn.one_hot(tokens, levels, dtype=outputs.dtype)).sum(-1)
    return chosen - jax.nn.logsumexp(outputs, -1)

  return Head(levels, levels, log_prob, lambda outputs: outputs)


def logistics(levels: int, components: int = 5) -> Head:
  """Bins of a mixture of logistics (Salimans et al. 2017, equation 2), the first and the last one open.

  For each component: a logit, a mean and a log scale, in units in which levels go from -1 to 1.
  """
  if levels < 3:
    raise UserError("config.model.head", "logistics", "it is for three levels at least: choose bernoulli for two.")
  half = 1 / (levels - 1)

  def split(outputs):
    weights, means, log_scales = jnp.split(outputs, 3, axis=-1)
    spread = jnp.linspace(-1.0, 1.0, components)  # apart from the start
    return jax.nn.log_softmax(weights, -1), means + spread, jnp.clip(log_scales - 1.5, -8.0, 4.0)

  def log_prob(outputs, tokens):
    log_weights, means, log_scales = split(outputs)
    x = (2 * half * tokens - 1)[..., None]
    above, below = ((x + sign * half - means) * jnp.exp(-log_scales) for sign in (1, -1))
    first, last = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-below)
    # sigmoid(a) - sigmoid(b) = (1 - exp(b - a)) sigmoid(a) sigmoid(-b), which does not cancel.
    inside = jnp.log(-jnp.expm1(below - above)) + first + last
    inside = jnp.where(tokens[..., None] == 0, first, jnp.where(tokens[..., None] == levels - 1, last, inside))
    return jax.nn.logsumexp(log_weights + inside, -1)

  def logits(outputs):
    tokens = jnp.broadcast_to(jnp.arange(levels), (*outputs.shape[:-1], levels))
    return log_prob(outputs[..., None, :], tokens)

  return Head(3 * components, levels, log_prob, logits)


def by_name(name: str, levels: int, components: int) -> Head:
  """The head that a config names.

  Raises:
    UserError: there is none, or it is not for so many levels.
  """
  if levels < 2:
    raise UserError("config.data.levels", levels, "give two levels at least.")
  match name:
    case "bernoulli":
      if levels != 2:
        raise UserError("config.model.head", name, f"it is for two levels, not {levels}: see config.data.levels.")
      return bernoulli()
    case "categorical":
      return categorical(levels)
    case "logistics":
      return logistics(levels, components)
  raise UserError("config.model.head", name, "choose bernoulli, categorical or logistics.")


class Autoregressive(NamedTuple):
  """The functions of an autoregressive model; `variables` are Flax collections.

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    log_prob: `log_prob(variables, tokens, label) -> [batch, *event]`: log p of every element given those before it.
    logits: `logits(variables, tokens, label) -> [batch, *event, level]`.
    head: of the network.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  log_prob: Callable
  logits: Callable
  head: Head


def autoregressive(
  network: nn.Module, head: Head, *, conditional: bool = False, augment: Callable | None = None
) -> Autoregressive:
  """A density by its factors.

  Args:
    network: causal, see above; of `head.size` outputs an element.
    head: the distribution of an element.
    conditional: the network is told the label.
    augment: `augment(keys, tokens) -> tokens` of a batch in training, a key an example.
  """

  def given(label):
    return label if conditional else None

  def init(key, batch):
    tokens = as_tokens(batch["inputs"], head.levels)
    return network.init({"params": key, "dropout": key}, tokens, given(batch.get("label")), False)

  def log_prob(variables, tokens, label):
    return head.log_prob(jnp.asarray(network.apply(variables, tokens, given(label), False)), tokens)

  def loss(variables, batch, key):
    tokens = as_tokens(batch["inputs"], head.levels)
    if augment is not None:
      tokens = augment(randomness.example_keys(randomness.stream_key(key, "augment"), len(tokens)), tokens)
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    outputs = jnp.asarray(network.apply(variables, tokens, given(batch.get("label")), True, rngs=rngs))
    logs = within(batch, head.log_prob(outputs, tokens))
    return Mean.of(-total(logs), batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    logs = within(batch, log_prob(variables, as_tokens(batch["inputs"], head.levels), batch.get("label")))
    nll, size = Mean.of(-total(logs), batch["mask"]), logs[0].size
    if "length" not in batch:
      return {"nll": nll, "bits_per_dim": Mean(nll.total / (size * np.log(2)), nll.count)}
    time = (batch["mask"] * batch["length"]).sum()
    elements = time * (size // logs.shape[1])
    return {
      "nll": nll,
      "bits_per_dim": Mean(nll.total / np.log(2), elements),
      "nats_per_step": Mean(nll.total, time),
    }

  def logits(variables, tokens, label):
    return head.logits(jnp.asarray(network.apply(variables, tokens, given(label), False)))

  return Autoregressive(init, loss, evaluate, log_prob, logits, head)


def total(logs: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
  """Of every example."""
  return logs.reshape(len(logs), -1).sum(-1)


def within(batch: Any, logs: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
  """0 at and beyond the end of each example, where the batch has lengths."""
  if "length" not in batch:
    return logs
  real = jnp.arange(logs.shape[1]) < batch["length"][:, None]
  return jnp.where(real.reshape(*real.shape, *(1,) * (logs.ndim - 2)), logs, 0)


def transposed(reach: int, levels: int) -> Callable:
  """Pieces of music by up to so many semitones, down or up; level 0 is no note, and notes stay among the levels."""

  def augment(keys, tokens):
    shift = jax.vmap(lambda key: jax.random.randint(key, (), -reach, reach + 1))(keys)
    moved = tokens + shift.reshape(-1, *(1,) * (tokens.ndim - 1))
    return jnp.where(tokens > 0, jnp.clip(moved, 1, levels - 1), 0)

  return augment


def as_tokens(inputs: Any, levels: int) -> Tokens:
  """Levels of numbers from 0 to 1, whose one channel, of grey images and of sound, is no axis of them; integers are
  levels already."""
  if jnp.issubdtype(inputs.dtype, jnp.integer):
    return inputs.astype(jnp.int32)
  return jnp.round(inputs[..., 0] * (levels - 1)).astype(jnp.int32)


def mu_law(sound: Float[np.ndarray, "..."], levels: int = 256) -> Int[np.ndarray, "..."]:
  """Levels of samples from -1 to 1 (van den Oord et al. 2016c, section 2.2)."""
  mu = levels - 1
  companded = np.sign(sound) * np.log1p(mu * np.abs(sound)) / np.log1p(mu)
  return np.clip(np.floor((companded + 1) / 2 * mu + 0.5), 0, mu).astype(np.int32)


def mu_law_inverse(tokens: Any, levels: int = 256) -> Float[np.ndarray, "..."]:
  """Samples of levels."""
  mu = levels - 1
  companded = 2 * np.asarray(tokens, np.float32) / mu - 1
  return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu
