"""Video: the next frames of a film, by a convolutional LSTM.

  python -m experiments.video                                          films of moving digits, embedded: two minutes
  python -m experiments.video --config=configs/video/moving_mnist.py --config.data.data_dir=...
  python -m experiments.video --config=configs/video/moving_mnist.py:published      measured on its published films
  python -m experiments.video --config.data.path=my_films              a folder of .gif files, or of folders of frames
  python -m experiments.video --mode=predict --workdir=... --input=my_films      the frames that come next, as GIFs

Srivastava et al. 2015 (moving digits); Shi et al. 2015 (ConvLSTM).
"""

from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import learning, moving
from research.data import clips
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
  model, film = config.model, config.film
  check(config)
  sets = moving.load(config, film.known + film.horizon)
  if config.data.test_films:
    sets = sets._replace(test=moving.published(config, film.known + film.horizon))
  network = ConvLSTM(tuple(model.widths), model.patch, model.kernel, precision.dtype(config.train.precision))
  family = family_lib.video_predictor(network, film.known, film.horizon)
  predict = jax.jit(lambda state, known: family.predict(steps.variables_of(state), known))
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    derive=lambda means: family_lib.derived(means, film.size**2),
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
