"""A diffusion model: a process, a network and what it predicts become init, loss, evaluate and a denoiser."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.families.diffusion import loss as loss_lib
from research.families.diffusion import parameterisation
from research.families.diffusion import process as process_lib
from research.families.diffusion.process import Process, Time, along
from research.metrics import Mean

DEFINITIONS = {"loss": "mean over examples, dimensions and times of the weighted squared error that training minimises"}
LEVEL_RANGE = 20.0  # λ beyond which the network is not told any more


class Diffusion(NamedTuple):
  """The functions of a diffusion model.

  A batch has `inputs`, `mask`, `label` where it is conditional, and in evaluation `index`, their places in the set.

  Attributes:
    init, loss, evaluate: for `gradient_learner`.
    process: `process(variables) -> Process`.
    denoiser: `denoiser(variables, label=None, guidance=1.0) -> denoise(x, t) -> Prediction`; `guidance` is a number,
      not an array: 1 costs one evaluation of the network, any other two.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  process: Callable[[Any], Process]
  denoiser: Callable


def level(log_snr: Time) -> Time:
  """How the network is told the noise: from 0 at λ = 20 to 1,000 at λ = -20, as step numbers are."""
  return 500 - (500 / LEVEL_RANGE) * jnp.clip(log_snr, -LEVEL_RANGE, LEVEL_RANGE)


def diffusion(
  network: nn.Module,
  process: str,
  *,
  predicts: str = "noise",
  weighting: str = "output",
  times: str = "uniform",
  data_std: float = 1.0,
  num_classes: int = 0,
  label_dropout: float = 0.1,
  without: Int[Array, "..."] | None = None,
) -> Diffusion:
  """A diffusion model over any network `(x, level, label, train) -> output`, output of x's shape.

  A label is a class, or anything else of one shape for all examples, such as the tokens of a caption.

  Args:
    network: a Flax module; `level` is float [batch] in [0, 1000] (`level`), `label` int [batch, ...] or None.
    process: linear, cosine, edm, rectified_flow or learned.
    predicts: one of `parameterisation.NAMES`.
    weighting, times: as `loss.weight` and `loss.draw_times`.
    data_std: of the data; inputs are scaled to unit variance at every time (Karras et al. 2022, table 1, c_in).
    num_classes: above 0 the network is told the label, or `num_classes` for none.
    label_dropout: share of training examples whose label is withheld, for guidance (Ho & Salimans 2021).
    without: of labels that are no classes, the one that stands for none; None where they are, or there are none.

  Raises:
    UserError: no such process, parameterisation, weighting or distribution of times.
  """
  parameterisation.check(predicts)
  constant = _fixed(process, weighting, times)
  output = _scaled(network, data_std)
  nothing = jnp.asarray(num_classes) if num_classes else without
  errors = _errors(output, predicts, weighting, data_std)

  def process_of(variables) -> Process:
    return constant or process_lib.learned(variables["params"]["schedule"])

  def init(key, batch):
    x = batch["inputs"]
    label = None if nothing is None else batch["label"]
    collections = network.init({"params": key, "dropout": key}, x, jnp.zeros(len(x)), label, train=False)
    variables: dict[str, dict] = {name: {"network": value} for name, value in collections.items()}
    if constant is None:
      variables["params"]["schedule"] = process_lib.init_schedule(randomness.stream_key(key, "schedule"))
    return variables

  def loss(variables, batch, key):
    label = None
    if nothing is not None:
      keys = randomness.example_keys(randomness.stream_key(key, "label"), len(batch["inputs"]))
      dropped = jax.vmap(lambda key: jax.random.bernoulli(key, label_dropout))(keys)
      label = jnp.where(along(dropped, batch["label"]), nothing, batch["label"])
    options = {"train": True, "rngs": {"dropout": randomness.stream_key(key, "dropout")}}
    per_example = _moving_schedule(errors, process_of) if constant is None else errors
    noising = Drawn.of_step(key, len(batch["inputs"]), times)
    value = per_example(variables, process_of(variables), batch["inputs"], noising, label, **options)
    return Mean.of(value, batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    label, noising = None if nothing is None else batch["label"], Drawn.of_places(batch["index"], times)
    losses = errors(variables, process_of(variables), batch["inputs"], noising, label, train=False)
    return {"loss": Mean.of(losses, batch["mask"])}

  def denoiser(variables, label=None, guidance=1.0):
    return _denoiser(output, process_of(variables), variables, predicts, data_std, nothing, label, guidance)

  return Diffusion(init, loss, evaluate, process_of, denoiser)


def _fixed(process: str, weighting: str, times: str) -> Process | None:
  """The process of that name, None for the learned one, once weighting and times are known to suit it."""
  constant = None if process == "learned" else process_lib.fixed(process)
  loss_lib.check(weighting, times, constant or process_lib.learned(process_lib.init_schedule(jax.random.key(0))))
  if constant is None and weighting != "elbo":
    raise UserError("config.train.weighting", weighting, "a learned schedule needs the bound that it varies: elbo.")
  return constant


def _scaled(network: nn.Module, data_std: float) -> Callable:
  """`output(variables, process, x, t, label, **options)`: the network on inputs of unit variance, told the noise."""

  def output(variables, process, x, t, label, **options):
    scale = jax.lax.rsqrt(jnp.square(process.alpha(t) * data_std) + jnp.square(process.sigma(t)))
    scaled, told = along(scale, x) * x, jnp.broadcast_to(level(process.log_snr(t)), x.shape[:1])
    own = {name: value["network"] for name, value in variables.items() if "network" in value}
    return network.apply(own, scaled, told, label, **options)

  return output


class Drawn(NamedTuple):
  """What is random in a loss.

  Attributes:
    keys: of the noise, one an example.
    times: `times(process) -> t` [batch].
  """

  keys: Key[Array, " batch"]
  times: Callable[[Process], Time]

  @classmethod
  def of_step(cls, key: Key[Array, ""], count: int, times: str) -> "Drawn":
    """Of one of training's steps."""
    draw_times = lambda process: loss_lib.draw_times(randomness.stream_key(key, "time"), count, times, process)
    return cls(randomness.example_keys(randomness.stream_key(key, "noise"), count), draw_times)

  @classmethod
  def of_places(cls, places: Int[Array, " batch"], times: str) -> "Drawn":
    """Of evaluation: an example has the same at every one, in whatever batch, so that their values can be compared."""
    keys = randomness.evaluation_keys(places, "evaluate")
    return cls(keys, lambda process: loss_lib.evaluation_times(places, times, process))


def _errors(output: Callable, predicts: str, weighting: str, data_std: float) -> Callable:
  """`errors(variables, process, x, drawn, label, **options)` [batch]: weighted squares, mean over dimensions."""

  def errors(variables, process, x, noising: Drawn, label, **options) -> Float[Array, " batch"]:
    noise = randomness.normal(noising.keys, x.shape, x.dtype)
    t = noising.times(process).astype(x.dtype)
    target = parameterisation.target(predicts, process, t, x, noise, data_std)
    prediction = output(variables, process, process.diffuse(x, t, noise), t, label, **options)
    square = jnp.square(prediction - target).reshape(len(x), -1).mean(-1)
    return loss_lib.weight(weighting, process, t, predicts, data_std) * square

  return errors


def _moving_schedule(errors: Callable, process_of: Callable) -> Callable:
  """The errors, whose gradient moves the network; and their squares, whose gradient moves the schedule alone.

  The schedule changes nothing but the loss's variance (Kingma et al. 2021, section 5.1 and appendix I.2).
  """

  def both(variables, process, x, noising, label, **options):
    frozen = jax.tree.map(jax.lax.stop_gradient, variables)
    value = errors(variables, process_of(frozen), x, noising, label, **options)
    square = jnp.square(errors(frozen, process, x, noising, label, **options))
    return value + (square - jax.lax.stop_gradient(square))

  return both


def _denoiser(output, process, variables, predicts, data_std, nothing, label, guidance):
  """`denoise(x, t)`; with guidance w the output is o(none) + w (o(label) - o(none)) (Ho & Salimans 2021, eq. 6)."""

  nobody = lambda x: jnp.broadcast_to(nothing, (len(x), *nothing.shape))

  def denoise(x, t):
    if nothing is None:
      prediction = output(variables, process, x, t, None, train=False)
    elif label is None:
      prediction = output(variables, process, x, t, nobody(x), train=False)
    elif guidance == 1.0:
      prediction = output(variables, process, x, t, label, train=False)
    else:
      twice = lambda a, b: jnp.concatenate([a, b])
      times = twice(t, t) if t.ndim else t
      both = output(variables, process, twice(x, x), times, twice(nobody(x), label), train=False)
      without, with_label = jnp.split(both, 2)
      prediction = without + guidance * (with_label - without)
    return parameterisation.solve(predicts, process, t, x, prediction, data_std)

  return denoise
