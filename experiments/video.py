"""Video: the next frames of a film, by a convolutional LSTM.

  python -m experiments.video                                          films of moving digits, embedded: two minutes
  python -m experiments.video --config=configs/video/moving_mnist.py --config.data.data_dir=...
  python -m experiments.video --config.data.path=my_films              a folder of .gif files, or of folders of frames
  python -m experiments.video --mode=predict --workdir=... --input=my_films      the frames that come next, as GIFs

Srivastava et al. 2015 (moving digits); Shi et al. 2015 (ConvLSTM).
"""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, learning, splits
from research.data import clips, films, remembered
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import figures, gifs, similarity
from research.families import video_prediction as family_lib
from research.networks.conv_lstm import ConvLSTM
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report

DEFAULT = "configs/video/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A predictor of films, and what it makes of them."""
  model, film, sets = config.model, config.film, load(config)
  check(config)
  network = ConvLSTM(tuple(model.widths), model.patch, model.kernel, precision.dtype(config.train.precision))
  family = family_lib.video_predictor(network, film.known, film.horizon)
  predict = jax.jit(lambda state, known: family.predict(steps.variables_of(state), known))
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    derive=family_lib.derived,
    report=lambda state: report(state, predict, sets.test, film.known, config.report.samples),
    predict=lambda state, path: predictions(state, predict, path, film),
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, index: {"frames": family.predict(steps.variables_of(state), inputs["frames"])},
      {"frames": np.zeros((1, film.known, film.size, film.size, 1), np.float32)},
    ),
  )


def check(config: ml_collections.ConfigDict) -> None:
  """Raises UserError where frames are too small to measure or cannot be cut into patches, or a kernel has no middle."""
  if config.film.size <= 2 * similarity.RADIUS:
    remedy = f"give {2 * similarity.RADIUS + 1} or more, the window of structural similarity."
    raise UserError("config.film.size", config.film.size, remedy)
  if config.film.size % config.model.patch:
    raise UserError("config.model.patch", config.model.patch, f"it must divide config.film.size, {config.film.size}.")
  if config.model.kernel % 2 == 0:
    raise UserError("config.model.kernel", config.model.kernel, "give an odd number.")


def load(config: ml_collections.ConfigDict) -> splits.Splits[Dataset]:
  """Films of moving digits, none of which is in two of train, validation and test; or clips of one's own films.

  Raises:
    UserError: no such set, or no such films.
  """
  data, film = config.data, config.film
  frames = film.known + film.horizon
  if data.path:
    fields.refuse_unread(data, {"path", "validation"})
    parts = remembered.data("clips", lambda: splits.Splits(*clips.load(data.path, film.size, frames, data.validation)))
    return splits.datasets(parts, config, own_pixels)
  style = films.Style(film.size, frames, film.objects, film.side, tuple(film.speeds))
  style.check("config.film")
  digits = splits.in_memory(data)
  train = films.dataset(digits.train, style, config.train.batch_size, seed=config.seed, name="train")
  # Of the same seed in every run, so that what is measured can be compared.
  measured = lambda part, name: films.dataset(part, style, data.eval_batch_size, seed=0, count=data.films, name=name)
  validation = None if digits.validation is None else measured(digits.validation, "validation")
  return splits.Splits(train, validation, measured(digits.test, "test"))


def own_pixels(resident, fed):
  """Bytes as 0 to 1."""
  return {"frames": resident["frames"][fed["index"]].astype(jnp.float32) / 255, "mask": fed["mask"]}


def report(state, predict, test: Dataset, known: int, samples: int) -> Report:
  """Films of the test set: what came, and below it what was predicted; the known frames move in both."""
  first = jax.jit(lambda resident, fed: test.assemble(resident, fed))(dict(test.resident), test.feed(0))
  true = np.asarray(first["frames"])[:samples]
  guess = np.concatenate([true[:, :known], np.asarray(predict(state, true[:, :known]))], 1)
  rows = np.concatenate([np.stack([film, other]).reshape(-1, *film.shape[1:]) for film, other in zip(true, guess)])
  figure = figures.image_grid(rows, columns=true.shape[1], title=f"films; the same, from frame {known} on predicted")
  return Report(figures={"predictions": figure}, files={"films.gif": gifs.beside(true, guess)})


def predictions(state, predict, path: str, film: ml_collections.ConfigDict) -> dict[str, Any]:
  """What follows the last known frames of each film at `path`, as an array and GIFs.

  Raises:
    UserError: there is no film, or a film is too short.
  """
  names = clips.films(path, "--input")
  known = [clips.read(name, film.size) for name in names]
  for name, frames in zip(names, known):
    if len(frames) < film.known:
      raise UserError("--input", str(name), f"it has {len(frames)} frames: give {film.known} or more.")
  inputs = np.stack([frames[-film.known :] for frames in known]).astype(np.float32) / 255
  frames = np.asarray(predict(state, inputs))
  whole = np.concatenate([inputs, frames], 1)
  written = {f"{i:04d}_{name.stem}.gif": gifs.beside(whole[i : i + 1]) for i, name in enumerate(names)}
  return {"name": np.asarray([str(name) for name in names]), "frames": frames, **written}


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
