"""A flow as a model: log p(x) = log p(y) + log |det dy/dx| at y = f(x) (Dinh et al. 2017, equation 3).

A batch has `inputs`, `label`, `mask`, and `index` in evaluation.  All is in nats an example.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research import randomness
from research.families.flows import base as base_lib
from research.families.flows.bijection import Bijection, Event, PerExample
from research.families.flows.dequantisation import Dequantiser
from research.metrics import Mean

DEFINITIONS = {"nll": "negative log-likelihood, of bytes its bound by one draw of the dequantisation; nats an example"}


class Flow(NamedTuple):
  """The functions of a flow; `variables` is `{"params": ...}`.

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    log_prob: `log_prob(variables, x, label, keys) -> [batch]`: of continuous x exact, without keys; of bytes a bound,
      by one draw of the noise by each key.
    noise: `noise(variables, x, label) -> y` of continuous x.
    decode: `decode(variables, y, label) -> x`, of bytes in [0, 1]: the pixel's interval by its floor.
    sample: `sample(variables, keys, label, temperature) -> x`, one example a key.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  log_prob: Callable[..., PerExample]
  noise: Callable[..., Event]
  decode: Callable[..., Event]
  sample: Callable[..., Event]


def flow(
  bijection: Bijection,
  shape: tuple[int, ...],
  *,
  base: base_lib.Base | None = None,
  dequantiser: Dequantiser | None = None,
  num_classes: int = 0,
  context: Callable[[Array], Array] | None = None,
) -> Flow:
  """A density by a bijection.

  Args:
    bijection: from data to noise.
    shape: of the noise of one example.
    base: of the noise; standard normal by default.
    dequantiser: for bytes / 255; None: inputs are continuous.
    num_classes: above 0 the bijection's context is the label, one-hot.
    context: in its place, what the bijection is given of the label: of an observation, the observation.
  """
  base = base or base_lib.normal()
  one_hot = lambda label: jax.nn.one_hot(label, num_classes) if num_classes else None
  given = context or one_hot

  def init(key, batch):
    x, own = batch["inputs"], {}
    if dequantiser is not None:
      own = dequantiser.init(randomness.stream_key(key, "dequantiser"), x)
      x, _ = dequantiser.draw(own, randomness.example_keys(key, len(x)), x)
    stream = lambda name: randomness.stream_key(key, name)
    params = {"flow": bijection.init(stream("bijection"), x, given(batch["label"])), "dequantiser": own}
    return {"params": base_lib.with_base(base, params, key, shape)}

  def density(variables, x, label):
    y, log_det = bijection.forward(variables["params"]["flow"], x, given(label))
    return base.log_prob(variables["params"].get("base"), y) + log_det

  def log_prob(variables, x, label, keys=None):
    if dequantiser is None:
      return density(variables, x, label)
    if keys is None:
      raise ValueError("what is dequantised by noise needs a key an example")
    x, log_q = dequantiser.draw(variables["params"]["dequantiser"], keys, x)
    return density(variables, x, label) - log_q

  def loss(variables, batch, key):
    keys = randomness.example_keys(randomness.stream_key(key, "dequantise"), len(batch["inputs"]))
    logs = log_prob(variables, batch["inputs"], batch["label"], keys)
    return Mean.of(-logs, batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    logs = log_prob(variables, batch["inputs"], batch["label"], evaluation_keys(batch["index"]))
    return {"nll": Mean.of(-logs, batch["mask"])}

  def noise(variables, x, label):
    return bijection.forward(variables["params"]["flow"], x, given(label))[0]

  def decode(variables, y, label):
    x, _ = bijection.inverse(variables["params"]["flow"], y, given(label))
    return x if dequantiser is None else jnp.clip(jnp.floor(256 * x), 0, 255) / 255

  def sample(variables, keys, label, temperature=1.0):
    y = temperature * jax.vmap(lambda key: base.sample(variables["params"].get("base"), key, shape))(keys)
    return decode(variables, y, label)

  return Flow(init, loss, evaluate, log_prob, noise, decode, sample)


def evaluation_keys(index: Array) -> Key[Array, " batch"]:
  """A key for each example by its place in the set: what is measured depends on no batch, device or run."""
  key = randomness.stream_key(jax.random.key(0), "evaluation")
  return jax.vmap(lambda place: jax.random.fold_in(key, place))(index)


def importance_sampled(flow: Flow, variables, batch: Any, samples: int) -> Float[Array, " batch"]:
  """log of the mean of `samples` importance weights p(x + u) / q(u | x), of bytes: from below, and in the limit exact.

  The bound of Burda et al. 2016, equation 8, for the noise of the dequantisation (Ho et al. 2019, section 4).
  """
  keys = evaluation_keys(batch["index"])

  def add(total, i):
    own = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, i)
    return jnp.logaddexp(total, flow.log_prob(variables, batch["inputs"], batch["label"], own)), None

  total, _ = jax.lax.scan(add, jnp.full(len(batch["inputs"]), -jnp.inf), jnp.arange(samples))
  return total - jnp.log(samples)
