"""Films: motion against a simulation of bounces, and films as a function of (seed, place)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from research.data import clips, films
from research.data.examples import Examples
from research.errors import UserError


def test_bounces_are_those_of_a_walk_in_small_steps():
  room, rng = 7.3, np.random.default_rng(0)
  for _ in range(5):
    start, velocity = rng.uniform(0, room), rng.uniform(-3, 3)
    place, direction, seen, fine = start, velocity / 1000, [], 1000
    for step in range(20 * fine):
      if step % fine == 0:
        seen.append(place)
      place += direction
      if not 0 <= place <= room:
        direction = -direction
        place = -place if place < 0 else 2 * room - place
    closed = films.bounced(jnp.asarray(start + velocity * np.arange(20)), room)
    np.testing.assert_allclose(closed, seen, atol=1e-4)


def square(size=8):
  """Examples of one picture, a white square."""
  return Examples("squares", np.full((1, size, size, 1), 255, np.uint8), np.zeros(1, np.int32), ("square",))


def batches(data, step=0):
  return jax.jit(data.assemble)(dict(data.resident), data.feed(step))


def test_pictures_stay_whole_within_the_canvas_and_move_at_their_speed():
  style = films.Style(size=24, frames=12, objects=1, side=8.0, speeds=(1.5, 1.5))
  frames = np.asarray(batches(films.dataset(square(), style, 16, seed=0))["frames"])[..., 0]
  assert frames.shape == (16, 12, 24, 24)
  np.testing.assert_allclose(frames.sum((2, 3)), 64, rtol=0.1)  # nothing leaves it
  at = np.arange(24) + 0.5
  middle = np.stack([(frames.sum(3) @ at), (frames.sum(2) @ at)], -1) / frames.sum((2, 3))[..., None]
  moved = np.linalg.norm(np.diff(middle, axis=1), axis=-1)
  assert moved.max() < 1.6
  assert np.median(moved) == pytest.approx(1.5, abs=0.05)  # less only where it bounces


def test_a_film_is_a_function_of_seed_and_place():
  style = films.Style(size=16, frames=3, side=8.0)
  frames = lambda size, step, **options: np.asarray(
    batches(films.dataset(square(), style, size, **options), step)["frames"]
  )
  whole = frames(8, 0, seed=1)
  np.testing.assert_array_equal(whole[4:], frames(4, 1, seed=1))
  assert np.abs(whole - frames(8, 0, seed=2)).max() > 0.1
  assert np.abs(whole - frames(8, 0, seed=1, name="test")).max() > 0.1
  measured = films.dataset(square(), style, 4, seed=0, count=6)
  assert measured.num_examples == 6
  np.testing.assert_array_equal(batches(measured, 1)["mask"], [1, 1, 0, 0])


@pytest.mark.parametrize("options", [{"side": 32.0}, {"speeds": (2.0, 1.0)}, {"objects": 0}])
def test_what_cannot_be_drawn_is_refused(options):
  with pytest.raises(UserError, match=f"config.film.{next(iter(options))}"):
    films.Style(**options).check("config.film")


def test_own_films_are_gifs_or_folders_of_frames(tmp_path):
  rng = np.random.default_rng(0)
  true = rng.integers(0, 256, (3, 7, 12, 12), np.uint8)
  for i, film in enumerate(true[:2]):
    pictures = [Image.fromarray(frame) for frame in film]
    pictures[0].save(tmp_path / f"{i}.gif", save_all=True, append_images=pictures[1:])
  (tmp_path / "2").mkdir()
  for i, frame in enumerate(true[2]):
    Image.fromarray(frame).save(tmp_path / "2" / f"{i:02d}.png")
  names = clips.films(str(tmp_path), "path")
  for name, film in zip(names, (true[0], true[1], true[2])) if names[0].name == "0.gif" else []:
    np.testing.assert_array_equal(clips.read(name, 12)[..., 0], film)
  train, validation, test = clips.load(str(tmp_path), 12, 3, 0.0)
  assert validation is None
  assert train.frames.shape == (4, 3, 12, 12, 1)
  assert test.frames.shape == (2, 3, 12, 12, 1)
  with pytest.raises(UserError, match="7 frames"):
    clips.load(str(tmp_path), 12, 8, 0.0)
  with pytest.raises(UserError, match=r"folder of \.gif files"):
    clips.load(str(tmp_path / "nowhere"), 12, 3, 0.0)
