"""A VQ-VAE: the experiment of `experiments.vae`; and images as codes, codes as images, for other experiments."""

import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import traverse_util
from jaxtyping import Float, Int

from experiments.command import cli, runs
from experiments.parts import fields, generative, learning, pretrained, splits
from experiments.reports import vq as report_lib
from research.data import cache, pipeline, remembered
from research.data.examples import Examples
from research.errors import UserError
from research.families import vae, vq_vae
from research.networks.autoencoder import VQAutoencoder
from research.training import precision, steps
from research.training.experiment import Experiment

_BATCH = 500


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A VQ-VAE of the config's images.

  Raises:
    UserError: a field is set that it does not use.
  """
  unused = {"data.binarise": config.data.binarise, "data.leave_out": config.data.leave_out}
  for field, value in {**unused, "model.conditional": config.model.conditional}.items():
    if value:
      raise UserError(f"config.{field}", value, "a VQ-VAE does not do it: leave it out.")
  data = generative.load_pixels(config.data)
  sets = splits.datasets(data, config, pipeline.normalised())
  validation = None if sets.validation is None else generative.identified(sets.validation)
  test = generative.identified(sets.test)
  family = family_of(config, data.train.inputs.shape[1:])
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=validation,
    test_data=test,
    report=lambda state: report_lib.report(state, family, config, test),
    predict=lambda state, path: report_lib.predictions(state, family, config, path, data.test, pipeline.normalised()),
    definitions=vq_vae.DEFINITIONS,
  )


def family_of(config: ml_collections.ConfigDict, shape: tuple[int, ...]) -> vq_vae.VQVAE:
  """The VQ-VAE that `config.model` describes, of images of that shape."""
  model, likelihood = config.model.vq, likelihood_of(config.model, dequantise=False)
  sizes: dict[str, Any] = {"code_size": model.code_size, "widths": tuple(model.widths), "blocks": model.blocks}
  height, width, channels = shape
  network = VQAutoencoder(
    (height, width, channels), likelihood.parameters, **sizes, dtype=precision.dtype(config.train.precision)
  )
  return vq_vae.vq_vae(network, likelihood, codes=model.codes, commitment=model.commitment, decay=model.code_decay)


def likelihood_of(model: ml_collections.ConfigDict, dequantise: bool = True) -> vae.Likelihood:
  """p(x | z) by name; a VQ-VAE takes bytes as they are."""
  match model.likelihood:
    case "bernoulli":
      return vae.bernoulli()
    case "gaussian":
      return vae.gaussian(model.std or None, dequantise=dequantise)
    case "logistic":
      return vae.discretised_logistic(model.levels)
  raise UserError("config.model.likelihood", model.likelihood, "choose bernoulli, gaussian or logistic.")


class Fitted(NamedTuple):
  """A VQ-VAE that has been trained.

  Attributes:
    config: of its run, as JSON.
    shape: of an image.
    variables: Flax's, by path.
  """

  config: str
  shape: tuple[int, int, int]
  variables: dict[str, np.ndarray]


class Codec(NamedTuple):
  """Images as codes, and back.

  Attributes:
    levels: entries of the codebook.
    parts: the codes, int32 [example, row, column], of the images that the VQ-VAE was trained, chosen and tested on.
    pictures: `pictures(codes) -> images`, expected pixels from 0 to 1.
  """

  levels: int
  parts: splits.Splits[Examples]
  pictures: Callable[[Int[np.ndarray, "batch row column"]], Float[np.ndarray, "batch height width channel"]]


def codec(data: ml_collections.ConfigDict) -> Codec:
  """The VQ-VAE of the run `data.codes`, or, where that is empty, one of the config `data.vae`, trained once and kept.

  Its images are those of its own config, found by `data.data_dir` and `data.path` where these are given.

  Raises:
    UserError: no such run.
  """
  fields.refuse_unread(data, {"data_dir", "path"})
  fitted = remembered.value("vq_vae", lambda: _of_run(pathlib.Path(data.codes)) if data.codes else _of_config(data))
  config = ml_collections.ConfigDict(runs.with_tuples(json.loads(fitted.config)))
  config.data.update({name: data[name] for name in ("data_dir", "path") if data[name]})
  family = family_of(config, fitted.shape)
  variables = jax.device_put(traverse_util.unflatten_dict(fitted.variables, sep="/"))
  encode = jax.jit(lambda x: family.codes(variables, x.astype(jnp.float32) / 255))
  decode = jax.jit(lambda codes: jnp.clip(family.likelihood.mean(family.decode(variables, codes)), 0, 1))
  places = jax.eval_shape(encode, jax.ShapeDtypeStruct((1, *fitted.shape), np.uint8)).shape[1:]

  def coded(part: Examples) -> Examples:
    if remembered.is_stand_in(part.inputs):
      codes = np.broadcast_to(np.zeros((), np.int32), (len(part), *places))
    else:
      codes = generative.batched(encode, _BATCH, part.inputs).astype(np.int32)
    return Examples(f"codes of {part.name}", codes, part.label, part.class_names)

  parts = generative.load_pixels(config.data).map(coded)
  return Codec(config.model.vq.codes, parts, lambda codes: generative.batched(decode, _BATCH, np.asarray(codes)))


def _of_run(folder: pathlib.Path) -> Fitted:
  config, executor, state = pretrained.loaded(experiment, folder, "config.data.codes", "experiments.vae, a VQ-VAE's")
  return _fitted(config, executor, state)


def _of_config(data: ml_collections.ConfigDict) -> Fitted:
  """Trained, unless it was before."""
  config = cli.load_config(data.vae)
  with config.unlocked():
    config.data.update({name: data[name] for name in ("data_dir", "path") if data[name]})
  if config.model.name != "vq":
    raise UserError("config.data.vae", data.vae, "name the config of a VQ-VAE, one whose model is vq.")
  images = generative.load_pixels(config.data).train
  fingerprint = int(images.inputs[:: max(len(images) // 100, 1)].astype(np.int64).sum()), len(images)
  whole = config.to_dict()
  key = {name: whole[name] for name in ("seed", "model", "optimizer", "train", "data")} | {"images": fingerprint}

  def train() -> dict[str, np.ndarray]:
    logging.warning("Training the VQ-VAE of %s (%s), once.", data.vae, config.train.duration)
    return _fitted(config, *pretrained.trained(experiment, config)).variables

  return Fitted(config.to_json(), images.inputs.shape[1:], dict(cache.cached("vq_vae", key, train)))


def _fitted(config: ml_collections.ConfigDict, executor, state) -> Fitted:
  variables = traverse_util.flatten_dict(steps.variables_of(jax.device_get(state)), sep="/")
  shape = executor.experiment.test_data.resident["inputs"].shape[1:]
  return Fitted(config.to_json(), shape, {name: np.asarray(value) for name, value in variables.items()})
