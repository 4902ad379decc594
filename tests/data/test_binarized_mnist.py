"""Static binarized MNIST: what is read is what was written, and what is wrong is said."""

import numpy as np
import pytest

from research.data import binarized_mnist
from research.errors import UserError


@pytest.fixture
def bits():
  return {split: np.random.default_rng(i).integers(0, 2, (7 + i, 784), np.uint8) for i, split in enumerate("ab")}


@pytest.mark.parametrize("pack", [lambda x: np.packbits(x, axis=1), lambda x: x], ids=["packed", "plain"])
def test_reads_bits_packed_or_not(bits, pack, tmp_path):
  np.savez(tmp_path / "binarized_mnist.npz", **{split: pack(array) for split, array in bits.items()})
  found = binarized_mnist.load("b", str(tmp_path))
  assert found.inputs.shape == (8, 28, 28, 1)
  np.testing.assert_array_equal(found.inputs.reshape(8, 784), 255 * bits["b"])
  assert len(binarized_mnist.load("a[:3]", str(tmp_path))) == 3


def test_finds_the_folder_by_its_variable(bits, tmp_path, monkeypatch):
  (tmp_path / "binarized_mnist").mkdir()
  np.savez(tmp_path / "binarized_mnist" / "binarized_mnist.npz", **bits)
  monkeypatch.setenv("GENERA_DATA_DIR", str(tmp_path))
  assert len(binarized_mnist.load("a")) == 7


@pytest.mark.parametrize("wrong", [np.zeros((3, 50), np.uint8), np.full((3, 784), 7, np.uint8)])
def test_refuses_what_is_no_such_set(wrong, tmp_path):
  np.savez(tmp_path / "binarized_mnist.npz", train=wrong)
  with pytest.raises(UserError, match="784"):
    binarized_mnist.load("train", str(tmp_path))
  with pytest.raises(UserError, match="choose one of train"):
    binarized_mnist.load("validation", str(tmp_path))


def test_refuses_a_file_that_is_no_archive(tmp_path):
  (tmp_path / "binarized_mnist.npz").write_text("not an archive")
  with pytest.raises(UserError, match="cannot be read"):
    binarized_mnist.load("train", str(tmp_path))
