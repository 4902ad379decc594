"""Image files of every mode become the same 8 bits, upright and over white, or are refused by name."""

import io

import numpy as np
import pytest
from PIL import Image

from research.data import files, images, sources
from research.data.examples import Examples
from research.errors import UserError

RAMP = np.arange(0, 256, dtype=np.uint8).reshape(8, 32)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


def decoded(image: Image.Image, channels: int = 1, size=None, kind: str = "PNG", **options) -> np.ndarray:
  return images.decode(encoded(image, kind, **options), channels, size, "here")


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_brought_to_eight_by_value(channels, size):
  values = (257 * RAMP[:, :8].astype(np.int64)).astype(np.uint16)
  found = decoded(Image.fromarray(values), channels, size)
  np.testing.assert_array_equal(found, np.repeat(RAMP[:, :8, None], channels, -1))
  between = np.array([[128, 129, 65406, 65407]], np.uint16)  # halves of the step of 257, and a little less
  np.testing.assert_array_equal(decoded(Image.fromarray(between))[..., 0], [[0, 1, 254, 255]])


def test_one_bit_and_palette():
  bits = np.array([[True, False], [False, True]])
  np.testing.assert_array_equal(decoded(Image.fromarray(bits))[..., 0], 255 * bits)
  palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
  palette.putpalette([10, 20, 30, 200, 100, 50])
  np.testing.assert_array_equal(decoded(palette, 3), [[[10, 20, 30], [200, 100, 50]]])


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "RGB"])
def test_what_is_transparent_is_white(mode):
  if mode == "P":
    image, options = Image.fromarray(np.array([[0, 1]], np.uint8), "P"), {"transparency": 0}
    image.putpalette([0, 0, 0, 100, 100, 100])
  elif mode == "RGB":  # one colour that stands for transparent
    image, options = Image.fromarray(np.array([[[0, 0, 0], [100] * 3]], np.uint8)), {"transparency": (0, 0, 0)}
  else:
    colours = [[0, 0], [100, 255], [0, 51]] if mode == "LA" else [[0] * 4, [100] * 3 + [255], [0, 0, 0, 51]]
    image, options = Image.fromarray(np.array([colours], np.uint8)), {}
  for channels in (1, 3):
    found = decoded(image, channels, **options)
    expected = [255, 100, 204][: image.size[0]]  # one fifth black over white
    np.testing.assert_array_equal(found, np.repeat(np.array(expected)[None, :, None], channels, -1))


def test_cmyk_is_brought_to_colour():
  inks = np.zeros((8, 8, 4), np.uint8)
  inks[..., 0] = 255  # cyan
  found = decoded(Image.fromarray(inks, "CMYK"), 3, kind="TIFF")
  np.testing.assert_array_equal(found, np.broadcast_to([0, 255, 255], (8, 8, 3)))


@pytest.mark.parametrize("size", [None, 8])
@pytest.mark.parametrize(("orientation", "turn"), [(3, lambda x: x[::-1, ::-1]), (6, lambda x: np.rot90(x, -1))])
def test_stands_upright_as_exif_says(orientation, turn, size):
  exif = Image.Exif()
  exif[0x0112] = orientation
  stored = RAMP[:, :8] if size else RAMP
  image = Image.open(io.BytesIO(encoded(Image.fromarray(stored), exif=exif)))
  np.testing.assert_array_equal(images.decode(encoded(image, exif=exif), 1, size, "here")[..., 0], turn(stored))
  assert images.upright_size(image) == turn(stored).shape[::-1]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_values_without_a_range_are_refused_by_name(kind):
  with pytest.raises(UserError, match=r"mode [FI].*8 or 16 bits") as error:
    decoded(Image.fromarray(RAMP.astype(kind)), kind="TIFF")
  assert error.value.value == "here"


def write(root, grey: bool, number: int):
  root.mkdir(parents=True, exist_ok=True)
  Image.fromarray(RAMP[:, :8] if grey else np.stack([RAMP[:, :8]] * 3, -1)).save(root / f"{number}.png")


def test_a_folder_of_grey_and_colour_has_one_number_of_channels_in_all_splits(tmp_path, caplog):
  for number in range(3):
    write(tmp_path / "train" / "a", True, number)
  write(tmp_path / "test" / "a", False, 0)
  found = [sources.load(path=str(tmp_path), split=split) for split in ("train", "test")]
  assert [part.inputs.shape[1:] for part in found if isinstance(part, Examples)] == [(8, 8, 3)] * 2
  assert "3 of 4 images are grey" in caplog.text
  grey = sources.load(path=str(tmp_path), split="test", channels=1)
  assert isinstance(grey, Examples)
  assert grey.inputs.shape[1:] == (8, 8, 1)


def test_a_grey_folder_is_grey(tmp_path, caplog):
  for split in ("train", "test"):
    write(tmp_path / split / "a", True, 0)
  assert files.folder(tmp_path).inputs.shape[1:] == (8, 8, 1)
  assert not caplog.text


def test_images_of_an_archive_are_brought_to_size_and_channels_as_files_are(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (10, 12, 9), dtype=np.uint8)
  np.savez(tmp_path / "own.npz", inputs=pixels, label=np.arange(10) % 2)
  found = files.arrays(tmp_path / "own.npz", "all", image_size=6, channels=3)
  expected = [images.decode(encoded(Image.fromarray(image)), 3, 6, "here") for image in pixels]
  np.testing.assert_array_equal(found.inputs, expected)
  inputs, _ = files.unlabelled(tmp_path / "own.npz", (6, 6, 3))
  np.testing.assert_array_equal(inputs, expected)


@pytest.mark.parametrize(
  ("inputs", "asked", "field"),
  [
    (np.zeros((4, 3), np.float32), {"image_size": 8}, "image_size"),
    (np.zeros((4, 6, 6), np.float32), {"image_size": 8, "channels": 3}, "image_size"),
    (np.zeros((4, 6, 6), np.float32), {"channels": 3}, "channels"),
    (np.zeros((4, 6, 6, 4), np.uint8), {"image_size": 8}, "image_size"),
    (np.zeros((4, 6, 6), np.uint8), {"channels": 2}, "channels"),
  ],
)
def test_what_cannot_be_brought_to_it_is_refused(tmp_path, inputs, asked, field):
  np.savez(tmp_path / "own.npz", inputs=inputs, label=np.arange(4) % 2)
  with pytest.raises(UserError, match=r"own\.npz|give 1") as error:
    files.arrays(tmp_path / "own.npz", **asked)
  assert error.value.field == field


@pytest.mark.parametrize("bad", [np.full((2, 4), np.nan), np.zeros((2, 4), np.int64)])
def test_new_inputs_are_checked_as_training_ones(tmp_path, bad):
  np.savez(tmp_path / "new.npz", inputs=bad)
  with pytest.raises(UserError, match="--input"):
    files.unlabelled(tmp_path / "new.npz", (4,))


@pytest.mark.parametrize(("given", "trained"), [(np.float32, np.uint8), (np.float64, np.uint8), (np.uint8, np.float32)])
def test_inputs_of_another_type_than_in_training_are_refused(tmp_path, given, trained):
  """Bytes count as pixels / 255 and floats as they are: 0 to 255 as floats were 255 times too large."""
  path = tmp_path / "new.npz"
  np.savez(path, inputs=np.full((2, 4, 4), 200, given))
  with pytest.raises(UserError, match="trained on") as refused:
    files.unlabelled(path, (4, 4, 1), dtype=trained)
  assert (refused.value.field, refused.value.value) == (
    f"--input {path}: type of the inputs",
    np.dtype(given).name,
  )
  assert files.unlabelled(path, (4, 4, 1), dtype=given)[0].shape == (2, 4, 4, 1)
