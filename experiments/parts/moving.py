"""Films of moving digits, or one's own, as the families of video take them."""

import ml_collections

from experiments.parts import fields, splits
from research.data import clips, films, moving_mnist, pipeline, remembered
from research.data.dataset import Dataset
from research.errors import UserError


def load(config: ml_collections.ConfigDict, frames: int) -> splits.Splits[Dataset]:
  """Films of digits, none of which is in two of train, validation and test; or clips of one's own films.

  Args:
    config: with the section `film`.
    frames: of a film.

  Raises:
    UserError: no such set, or no such films.
  """
  data, film = config.data, config.film
  if data.path:
    fields.refuse_unread(data, {"path", "validation"})
    parts = remembered.data("clips", lambda: splits.Splits(*clips.load(data.path, film.size, frames, data.validation)))
    return splits.datasets(parts, config, pipeline.normalised(field="frames"))
  style = films.Style(film.size, frames, film.objects, film.side, tuple(film.speeds))
  style.check("config.film")
  make = lambda part, size, **options: films.dataset(part, style, size, **options)
  return splits.procedural(splits.in_memory(data), config, data.films, make)


def published(config: ml_collections.ConfigDict, frames: int) -> Dataset:
  """Moving MNIST's test films, in place of drawn ones.

  Raises:
    UserError: another set is named, there are own films, films are of another size or shorter, or these are not here.
  """
  data, film = config.data, config.film
  if data.path:
    raise UserError(
      "config.data.test_films", data.test_films, "a fifth of your own films is measured on: leave it out."
    )
  if data.test_films != moving_mnist.NAME:
    raise UserError("config.data.test_films", data.test_films, f"choose {moving_mnist.NAME}, or '' for drawn films.")
  if film.size != moving_mnist.SIZE:
    raise UserError("config.film.size", film.size, f"{moving_mnist.NAME} has films of {moving_mnist.SIZE}.")
  if frames > moving_mnist.FRAMES:
    remedy = f"films of {moving_mnist.NAME} have {moving_mnist.FRAMES} frames, known and to come."
    raise UserError("config.film.horizon", film.horizon, remedy)
  return moving_mnist.dataset(data.eval_batch_size, data.data_dir or None)
