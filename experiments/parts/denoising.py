"""Black and white images made noisy, and made clean again by an Ising model: every step is a round of inference.

What a step carries on belongs to a row, an image: q of mean field, messages, or the states of chains.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from experiments.parts import splits
from research import axes, randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import figures
from research.families.graphical_model import belief_propagation, factors, gibbs, mean_field
from research.families.graphical_model.factors import FactorGraph
from research.metrics import Mean
from research.training.experiment import Experiment, Report
from research.training.learner import Learner, State

DEFINITIONS = {
  "error": "share of the pixels that are wrong where each is what is more probable",
  "noisy_error": "share of the pixels that are wrong in the noisy images",
}


class Method(NamedTuple):
  """A way of inference, of one image; `unary` is [pixel, 2].

  Attributes:
    start: `start(unary, key) -> carry`.
    step: `step(unary, carry, key, step) -> carry`.
    marginals: `marginals(unary, carry) -> [pixel, 2]`.
  """

  start: Callable[..., Any]
  step: Callable[..., Any]
  marginals: Callable[..., Float[Array, "pixel 2"]]


@struct.dataclass
class InferenceState(State):
  """State of inference; `carry` is what each image carries on, arrays [image, ...]."""

  carry: Any


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """Images of the test set, their noise, and an Ising model with the coupling of the config."""
  clean, noisy = images(config)
  height, width = clean.shape[1:]
  graph, tables = factors.ising(height, width, config.model.coupling, jnp.float32)
  method = method_of(config.model, graph, tables)
  field = 0.5 * float(np.log((1 - config.data.noise) / config.data.noise))
  unary = lambda batch: field * jnp.stack([1 - 2 * batch["noisy"], 2 * batch["noisy"] - 1], -1)
  flat = lambda x: x.reshape(len(x), -1).astype(np.float32)
  arrays = {"noisy": flat(noisy), "clean": flat(clean), "row": np.arange(len(clean), dtype=np.int32)}
  learner = learner_of(method, unary)
  return Experiment(
    learner=learner,
    train_data=every_row(arrays, splits.batch_size(config, len(clean))),
    test_data=pipeline.sequential(arrays, config.data.eval_batch_size, name="noisy images"),
    report=lambda state: report(state, config, clean, noisy, jax.jit(lambda s: marginals_of(s, method, unary, arrays))),
    definitions=DEFINITIONS,
  )


def images(config: ml_collections.ConfigDict) -> tuple[np.ndarray, np.ndarray]:
  """Clean and noisy images, bool [image, height, width].

  Raises:
    UserError: no images, or a share of noise that says nothing.
  """
  data = config.data
  if not 0 < data.noise < 0.5:
    raise UserError("config.data.noise", data.noise, "give the share of the pixels that are turned over, 0 to 0.5.")
  if data.images < 1 or data.scale < 1:
    field = "images" if data.images < 1 else "scale"
    raise UserError(f"config.data.{field}", data[field], "give 1 or more.")
  inputs = splits.in_memory(data, labels=False).test.inputs
  if inputs.ndim != 4:
    raise UserError("config.data.name", data.name, "name a set of images.")
  grey = np.asarray(inputs[: data.images], np.float32).mean(-1)
  grey = grey / (255 if inputs.dtype == np.uint8 else 1)
  shape = (len(grey), grey.shape[1] * data.scale, grey.shape[2] * data.scale)
  clean = np.asarray(jax.image.resize(jnp.asarray(grey), shape, "linear")) > 0.5
  rng = np.random.Generator(np.random.Philox(key=config.seed))
  return clean, clean ^ (rng.random(clean.shape) < data.noise)


def every_row(arrays: dict[str, np.ndarray], rows: int) -> Dataset:
  """Every row in its place at every step, padded to `rows`; without epochs."""
  count = len(arrays["row"])
  feed = lambda step: pipeline.in_order(count, 0, rows)
  return Dataset("noisy images", arrays, feed, pipeline.rows, rows, 0)


def method_of(model: ml_collections.ConfigDict, graph: FactorGraph, tables) -> Method:
  """The way of inference that a config names."""
  if model.name == "mean_field":
    step = lambda unary, q, key, count: mean_field.sweep(graph, tables, unary, q)
    return Method(lambda unary, key: mean_field.start(graph, unary), step, lambda unary, q: q)
  if model.name == "belief_propagation":
    damping = model.belief_propagation.damping
    if not 0 <= damping < 1:
      raise UserError("config.model.belief_propagation.damping", damping, "give a share of 0 to below 1.")
    return Method(
      lambda unary, key: belief_propagation.start(graph, unary.dtype),
      lambda unary, messages, key, count: belief_propagation.iterate(graph, tables, unary, messages, damping)[0],
      lambda unary, messages: belief_propagation.of_variables(graph, unary, messages),
    )
  return _gibbs(model.gibbs, graph, tables)


def _gibbs(options: ml_collections.ConfigDict, graph: FactorGraph, tables) -> Method:
  """Chains side by side; `counts` has how often each pixel was on and off after the burn-in."""
  if options.chains < 1 or options.burn_in < 0:
    field = "chains" if options.chains < 1 else "burn_in"
    raise UserError(f"config.model.gibbs.{field}", options[field], "give one chain or more, and no negative burn-in.")

  def start(unary, key):
    keys = randomness.place_keys(key, np.arange(options.chains))
    states = jax.vmap(lambda key: gibbs.start(unary, graph, key))(keys)
    return {"states": states, "counts": jnp.zeros_like(unary)}

  def step(unary, carry, key, count):
    keys = randomness.place_keys(key, np.arange(options.chains))
    states = jax.vmap(lambda s, key: gibbs.sweep(graph, tables, unary, s, key))(carry["states"], keys)
    new = jax.nn.one_hot(states, 2, dtype=unary.dtype).sum(0)
    return {"states": states, "counts": carry["counts"] + new * (count >= options.burn_in)}

  def marginals(unary, carry):
    # Before anything is counted, what the chains are now.
    now = jax.nn.one_hot(carry["states"], 2, dtype=unary.dtype).sum(0)
    counts = jnp.where(carry["counts"].sum() > 0, carry["counts"], now)
    return counts / counts.sum(-1, keepdims=True)

  return Method(start, step, marginals)


def learner_of(method: Method, unary: Callable) -> Learner:
  """Rounds of inference of all images; a training metric is how much the marginals still move."""

  def init(key, batch):
    keys = jax.vmap(lambda row: jax.random.fold_in(randomness.stream_key(key, "start"), row))(batch["row"])
    return InferenceState.create(key, carry=jax.vmap(method.start)(unary(batch), keys))

  def update(state, batch):
    keys = randomness.example_keys(randomness.stream_key(state.key, "sweep", state.step), len(batch["mask"]))
    old, given = axes.mine(state.carry), unary(batch)
    new = jax.vmap(method.step, (0, 0, 0, None))(given, old, keys, state.step)
    moved = jnp.abs(jax.vmap(method.marginals)(given, new) - jax.vmap(method.marginals)(given, old)).mean((1, 2))
    return state.replace(step=state.step + 1, carry=axes.whole(new)), {"moved": Mean.of(moved, batch["mask"])}

  def evaluate(state, batch):
    carry = jax.tree.map(lambda x: x[batch["row"]], state.carry)
    on = jax.vmap(method.marginals)(unary(batch), carry)[..., 1] > 0.5
    wrong = lambda image: Mean.of((image != (batch["clean"] > 0.5)).mean(-1), batch["mask"])
    return {"error": wrong(on), "noisy_error": wrong(batch["noisy"] > 0.5)}

  return Learner(init, update, evaluate)


def marginals_of(state: InferenceState, method: Method, unary: Callable, arrays) -> Float[Array, "image pixel"]:
  """How probable each pixel of each image is to be on."""
  given = unary({"noisy": jnp.asarray(arrays["noisy"])})
  carry = jax.tree.map(lambda x: x[: len(given)], state.carry)
  return jax.vmap(method.marginals)(given, carry)[..., 1]


def report(state, config: ml_collections.ConfigDict, clean, noisy, marginals: Callable) -> Report:
  """Clean and noisy images, how probable each pixel is to be on, and the images that were made of them."""
  count = min(config.report.samples, len(clean))
  probable = np.asarray(marginals(state)).reshape(clean.shape)[:count]
  rows = np.concatenate([clean[:count], noisy[:count], probable, probable > 0.5]).astype(np.float32)
  title = f"clean; noisy; probability of each pixel by {config.model.name.replace('_', ' ')}; more probable"
  return Report(figures={"denoised": figures.image_grid(rows, columns=count, title=title)})
