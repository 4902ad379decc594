"""Small data sets, written as the real ones are."""

import functools
from pathlib import Path

import pytest

from tests import mock_data
from tests.mock_data import encode


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch) -> Path:
  """Every test has a cache of its own."""
  folder = tmp_path / "cache"
  monkeypatch.setenv("GENERA_CACHE", str(folder))
  return folder


@pytest.fixture
def write_prepared(tmp_path):
  """`write(name, {split: [(encoded image, label), ...]}, shape, class_names)` -> data_dir of a prepared TFDS set."""
  return functools.partial(mock_data.write_prepared, tmp_path / "tfds")


@pytest.fixture
def write_images(tmp_path):
  """`write({'train/cat': [pixels, ...], ...})` -> the folder of images."""

  def write(classes, suffix=".png"):
    root = tmp_path / "pictures"
    for name, images in classes.items():
      (root / name).mkdir(parents=True)
      for i, pixels in enumerate(images):
        kind = "PNG" if suffix == ".png" else "JPEG"
        (root / name / f"{i:03}{suffix}").write_bytes(encode(pixels, kind))
    return root

  return write
