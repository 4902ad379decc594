"""What the experiments that generate share."""

import jax
import numpy as np
import pytest

from configs import _generative
from experiments import autoregressive, diffusion, flow, gan, vae
from experiments.command import cli
from experiments.parts import generative
from research.data import examples, pipeline
from research.errors import UserError
from tests import mock_data


def config(**fields):
  found = _generative.generative().data
  found.update(fields)
  return found


def test_loads_static_mnist_with_its_own_validation_set(tmp_path, monkeypatch):
  monkeypatch.setenv("GENERA_DATA_DIR", mock_data.write_raw(tmp_path / "raw"))
  splits = generative.load(config(name="binarized_mnist"))
  assert splits.validation is not None
  assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 40, 40]


def test_refuses_what_does_not_fit_into_memory(tmp_path):
  mock_data.write_all(tmp_path)
  fields = {"path": str(tmp_path / "own"), "streamed": True, "image_size": 8}
  with pytest.raises(UserError, match="in memory"):
    generative.load(config(**fields))


def test_refuses_a_normalisation_that_it_would_not_do():
  with pytest.raises(UserError, match=r"data\.normalise.*leave it"):
    generative.load(config(name="digits", normalise="train"))


@pytest.mark.parametrize("experiment", [autoregressive, diffusion, flow, gan, vae])
def test_floats_are_not_taken_for_bytes(experiment, tmp_path):
  """An archive of pixels from 0 to 1 would otherwise be one of nearly black bytes."""
  images = np.random.default_rng(0).random((40, 8, 8, 1), np.float32)
  np.savez(tmp_path / "own.npz", inputs=images, label=np.arange(40) % 2)
  config = cli.load_config(f"{experiment.DEFAULT}:smoke", {"data.path": str(tmp_path / "own.npz"), "data.name": "own"})
  with pytest.raises(UserError, match=r"float32.*images of bytes"):
    experiment.experiment(config)


def test_function_of_every_example_in_order_without_the_padding():
  inputs = np.arange(10, dtype=np.float32)[:, None]
  arrays = {"inputs": inputs, "label": np.arange(10, dtype=np.int32)}
  dataset = generative.identified(pipeline.sequential(arrays, 4, assemble=pipeline.normalised()))
  assert dataset.num_batches == 3
  found = generative.over(dataset, lambda scale, batch: {"x": scale * batch["inputs"], "i": batch["index"]}, 2.0)
  np.testing.assert_array_equal(found["x"], 2 * inputs)
  np.testing.assert_array_equal(found["i"], np.arange(10))


def test_inputs_of_a_user_are_named(tmp_path):
  np.savez(tmp_path / "images.npz", inputs=np.full((3, 4, 4), 255, np.uint8))
  like = examples.checked("like", np.zeros((1, 4, 4, 1), np.uint8), np.zeros(1, int))
  dataset, names = generative.inputs_at(str(tmp_path / "images.npz"), like, 2, pipeline.normalised())
  found = generative.over(dataset, lambda _, batch: batch["inputs"], None)
  np.testing.assert_array_equal(found, np.ones((3, 4, 4, 1)))
  assert names.tolist() == ["0", "1", "2"]
  assert isinstance(generative.load(config(name="digits")).train, examples.Examples)


@pytest.mark.parametrize("size", [1, 3, 4, 10, 16])
def test_what_is_made_in_batches_is_what_is_made_at_once(size):
  x, keys, sizes = np.arange(10.0), jax.random.split(jax.random.key(0), 10), []

  def function(x, keys):
    sizes.append(len(x))
    return {"x": 2 * x, "noise": jax.vmap(jax.random.normal)(keys)}

  found = generative.batched(function, size, x, keys)
  np.testing.assert_array_equal(found["x"], 2 * x)
  np.testing.assert_array_equal(found["noise"], jax.vmap(jax.random.normal)(keys))
  assert set(sizes) == {size}, "one program"
