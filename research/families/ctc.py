"""Connectionist temporal classification (Graves et al. 2006): labels of a sequence whose places are not known.

p(labels | x) is the sum over all paths, a label or the blank at each step, that become the labels once repetitions are
merged and blanks taken out.  Output 0 is the blank.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from research import randomness
from research.metrics import Mean

BLANK = 0
DEFINITIONS = {
  "loss": "mean over strings of -log p(labels | sound), summed over all alignments (CTC), nats a string",
  "exact": "share of strings that greedy decoding transcribes without an error",
}


class Transcriber(NamedTuple):
  """The functions of a transcriber; a batch has `inputs`, `length`, `labels` (0 is padding) and `mask` [batch]."""

  init: Callable
  loss: Callable
  evaluate: Callable
  log_probabilities: Callable


def transcriber(network: nn.Module) -> Transcriber:
  """A transcriber over any network `(inputs, length, train) -> logits [batch, step, output], steps [batch]`."""

  def applied(variables, batch, train: bool, rngs=None):
    logits, steps = network.apply(variables, batch["inputs"], batch["length"], train, rngs=rngs)
    return jnp.asarray(logits), jnp.asarray(steps)

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["inputs"], batch["length"], False)

  def loss(variables, batch, key):
    logits, steps = applied(variables, batch, True, {"dropout": randomness.stream_key(key, "dropout")})
    return Mean.of(nll(logits, steps, batch["labels"]), batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    logits, steps = applied(variables, batch, False)
    decoded, labels = greedy(logits, steps), batch["labels"]
    width = max(decoded.shape[1], labels.shape[1])
    wide = lambda x: jnp.pad(x, ((0, 0), (0, width - x.shape[1])))
    exact = (wide(decoded) == wide(labels)).all(1).astype(jnp.float32)
    return {"loss": Mean.of(nll(logits, steps, labels), batch["mask"]), "exact": Mean.of(exact, batch["mask"])}

  def log_probabilities(variables, batch):
    """float32 [batch, step, output], and the steps of each."""
    logits, steps = applied(variables, batch, False)
    return jax.nn.log_softmax(logits), steps

  return Transcriber(init, loss, evaluate, log_probabilities)


def nll(
  logits: Float[Array, "batch step output"], steps: Int[Array, " batch"], labels: Int[Array, "batch label"]
) -> Float[Array, " batch"]:
  """-log p(labels | x), of the first `steps` of each row; labels are above 0, 0 is padding (equations 6 to 8)."""
  beyond = (jnp.arange(logits.shape[1]) >= steps[:, None]).astype(jnp.float32)
  return optax.ctc_loss(logits, beyond, labels, (labels == 0).astype(jnp.float32), blank_id=BLANK)


def greedy(logits: Float[Array, "batch step output"], steps: Int[Array, " batch"]) -> Int[Array, "batch step"]:
  """The labels of the most probable path, 0 behind them (best path decoding, section 3.2)."""
  path = jnp.where(jnp.arange(logits.shape[1]) < steps[:, None], logits.argmax(-1), BLANK)
  before = jnp.pad(path, ((0, 0), (1, 0)))[:, :-1]
  kept = (path != BLANK) & (path != before)
  order = jnp.argsort(~kept, axis=1, stable=True)
  return jnp.take_along_axis(jnp.where(kept, path, 0), order, 1).astype(jnp.int32)


def prefix_beam_search(logs: Float[np.ndarray, "step output"], beams: int) -> tuple[tuple[int, ...], float]:
  """The most probable labels, nearly, and log p of those of their paths that were kept (Hannun et al. 2014).

  A beam is a prefix of labels, with the mass of its paths that end in a blank, and of those that end in its last label:
  from the first alone the same label may come again.
  """
  mass = {(): (0.0, -math.inf)}
  for step in logs:
    new: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
    for prefix, (blank, label) in mass.items():
      total = np.logaddexp(blank, label)
      held = new[prefix]
      held[0] = np.logaddexp(held[0], total + step[BLANK])
      if prefix:
        held[1] = np.logaddexp(held[1], label + step[prefix[-1]])
      for output in range(len(step)):
        if output != BLANK:
          longer = new[(*prefix, output)]
          before = blank if prefix and output == prefix[-1] else total
          longer[1] = np.logaddexp(longer[1], before + step[output])
    best = sorted(new.items(), key=lambda item: -np.logaddexp(item[1][0], item[1][1]))[:beams]
    mass = {prefix: (pair[0], pair[1]) for prefix, pair in best}
  prefix, pair = max(mass.items(), key=lambda item: np.logaddexp(*item[1]))
  return prefix, float(np.logaddexp(*pair))
