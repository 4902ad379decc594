"""Chords: what each key may see, that a frame's probabilities sum to one, and music as files and back."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import lstm
from experiments.command import cli
from research import randomness
from research.errors import UserError
from research.evaluation import music
from research.families import frames
from research.networks.attention import Style
from research.networks.music import RecurrentNade
from research.networks.recurrent import Recurrent
from research.networks.vision import VisionTransformer
from tests import mock_data

NETWORK = RecurrentNade(Recurrent(6), 3, 5)
FAMILY = frames.frame_model(NETWORK, 3)


@pytest.fixture(scope="module")
def variables():
  batch = {"inputs": jnp.zeros((1, 2, 3))}
  found = jax.jit(FAMILY.init)(jax.random.key(0), batch)
  return jax.tree.map(lambda x: x + 0.5 * jax.random.normal(jax.random.key(x.size), x.shape), found)


def test_probabilities_of_all_frames_sum_to_one(variables):
  every = np.array(list(itertools.product((0, 1), repeat=6)), np.float32).reshape(-1, 2, 3)
  logits = jax.jit(lambda v: NETWORK.apply(v, every, False))(variables)
  logs = every * logits - np.logaddexp(0, logits)
  np.testing.assert_allclose(np.exp(logs.sum((1, 2))).sum(), 1, rtol=1e-4)
  ones = {"length": np.full(64, 2), "mask": np.ones(64)}
  nll = jax.jit(FAMILY.evaluate)(variables, {"inputs": every, **ones})["nll"]
  np.testing.assert_allclose(nll.total, -logs.sum(), rtol=1e-4)
  assert nll.count == 128
  half = jax.jit(FAMILY.evaluate)(variables, {"inputs": every, "length": np.full(64, 1), "mask": np.arange(64) < 9})
  np.testing.assert_allclose(half["nll"].value(), -logs[:9, 0].sum() / 9, rtol=1e-4)


def test_samples_have_the_model_s_probabilities(variables):
  keys = randomness.example_keys(jax.random.key(1), 4000)
  drawn = np.asarray(jax.jit(lambda v, k: FAMILY.sample(v, k, 2, 1.0))(variables, keys))
  assert drawn.shape == (4000, 2, 3)
  every = np.array(list(itertools.product((0, 1), repeat=6)), np.float32).reshape(-1, 2, 3)
  logits = jax.jit(lambda v: NETWORK.apply(v, every, False))(variables)
  expected = np.exp((every * logits - np.logaddexp(0, logits)).sum((1, 2)))
  place = drawn.reshape(4000, 6) @ (2 ** np.arange(5, -1, -1))
  counts = np.bincount(place, minlength=64)
  deviation = np.sqrt(4000 * expected * (1 - expected))
  assert (np.abs(counts - 4000 * expected) < 5 * deviation + 1).all()


def test_transposing_moves_every_note_alike():
  roll = np.zeros((2, 3, 10), np.float32)
  roll[:, :, [3, 5]] = 1
  found = np.asarray(frames.moved(roll, np.array([2, -1])))
  assert np.flatnonzero(found[0, 1]).tolist() == [5, 7]
  assert np.flatnonzero(found[1, 2]).tolist() == [2, 4]


def test_chorales_are_written_and_read_as_midi(tmp_path):
  folder = mock_data.write_raw(tmp_path, "jsb_chorales") + "/jsb_chorales"
  built = lstm.experiment(cli.load_config("configs/lstm/jsb_chorales.py:smoke", {"data.path": folder}))
  data = built.train_data
  init = jax.jit(lambda key, resident, fed: built.learner.init(key, data.assemble(resident, fed)))
  state = init(jax.random.key(0), dict(data.resident), data.feed(0))
  found = built.predict(state, "")
  rolls = found["samples"]
  assert rolls.shape[1:] == (8, 88)
  np.testing.assert_array_equal(music.piano_roll(found["sample-0.mid"]), rolls[0])
  (tmp_path / "own.mid").write_bytes(found["sample-1.mid"])
  assert np.isfinite(built.predict(state, str(tmp_path / "own.mid"))["nll"])
  with pytest.raises(UserError, match="cannot be read"):
    built.predict(state, str(tmp_path / "none.mid"))


def test_patches_divide_the_image_and_have_places():
  network = VisionTransformer(3, Style(features=8, heads=2), 1, 5)
  with pytest.raises(UserError, match="must divide the image"):
    network.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)), False)
  network = VisionTransformer(3, Style(features=8, heads=2, positions="none"), 1, 2)
  x = np.random.default_rng(0).normal(size=(1, 4, 6, 1)).astype(np.float32)
  params = jax.jit(lambda: network.init(jax.random.key(0), x, False))()
  run = jax.jit(lambda x: network.apply(params, x, False))
  # Without its places an image is a bag of patches: with them the order counts.
  assert np.abs(run(x) - run(np.roll(x, 2, 1))).max() > 1e-5
  blank = jax.tree_util.tree_map_with_path(lambda path, p: p * ("positions" not in str(path)), params)
  bag = jax.jit(lambda x: network.apply(blank, x, False))
  np.testing.assert_allclose(bag(x), bag(np.roll(x, 2, 1)), atol=1e-5)
