"""Environments by name, and a user's own from a file; pictures of what is seen."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from research.environments import worlds
from research.errors import UserError
from research.evaluation import games

OWN = """
import jax
import jax.numpy as jnp
from research.environments.protocol import Environment, Transition

def environment():
  step = lambda key, state, action: Transition(state, state, jnp.float32(action), state[0] > 0, jnp.asarray(False))
  return Environment("mine", lambda key: (jnp.zeros(2), jnp.zeros(2)), step, jax.ShapeDtypeStruct((2,), jnp.float32), 3)
"""


def test_own_environment_from_a_file(tmp_path):
  (tmp_path / "world.py").write_text(OWN)
  world = worlds.load("own", str(tmp_path / "world.py"))
  assert (world.name, world.num_actions) == ("mine", 3)
  state, _ = world.reset(jax.random.key(0))
  assert float(world.step(jax.random.key(0), state, 2).reward) == 2


@pytest.mark.parametrize(
  ("text", "remedy"),
  [
    (None, "name the Python file"),
    ("x = 1", "AttributeError"),
    ("def environment():\n  return 3", "not int"),
    ("1/0", "division"),
  ],
)
def test_what_is_no_environment_is_refused(tmp_path, text, remedy):
  file = tmp_path / "world.py"
  if text is not None:
    file.write_text(text)
  with pytest.raises(UserError, match=remedy):
    worlds.load("own", str(file))


def test_a_path_that_nothing_reads_is_refused():
  with pytest.raises(UserError, match="reads no file"):
    worlds.load("cart_pole", "world.py")


@pytest.mark.parametrize(
  ("name", "shape"), [("cart_pole", (4,)), ("breakout", (10, 10, 4)), ("x", (6,)), ("catch", (10, 5))]
)
def test_an_episode_is_a_film_of_its_length(name, shape):
  seen = np.random.default_rng(0).normal(size=(7, *shape)).astype(np.float32)
  film = Image.open(io.BytesIO(games.gif(name, seen, frames=5)))
  assert getattr(film, "n_frames", 1) == 5


def test_a_channel_has_its_colour():
  seen = np.zeros((10, 10, 4), bool)
  seen[3, 4, 2] = True
  picture = games.picture("breakout", seen)
  assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 2
  assert (picture[24 * 3 + 5, 24 * 4 + 5] != picture[0, 0]).any()
