"""Films of moving digits, or one's own, as the families of video take them."""

import ml_collections

from experiments.parts import fields, splits
from research.data import clips, films, pipeline, remembered
from research.data.dataset import Dataset


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
