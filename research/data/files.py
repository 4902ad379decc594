"""A user's own arrays and images: an `.npz` archive, an `.npy` array, or a folder of images."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from research.data import cache, cells, images, table
from research.data.columns import Columns
from research.data.examples import UNLABELLED, Examples, Stream, checked, choose, held_out, part, stratified_order
from research.errors import UserError

_log = logging.getLogger(__name__)

_INPUTS, _LABELS = ("inputs", "image", "images", "x"), ("label", "labels", "y")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


def arrays(
  path: str | Path,
  split: str = "train",
  *,
  image_size: int | None = None,
  channels: int | None = None,
  labels: bool = True,
) -> Examples:
  """A split of an `.npz` archive, written by `np.savez(path, inputs=..., label=...)`; or of an `.npy` array of inputs.

  Arrays are `inputs` (or `image`, `x`), uint8 or floats [N, ...], and `label` (or `y`), integers [N] from 0, or words
  [N], whose classes are in the order of their names; or none, where `labels` does not ask for them.  For sets
  that come divided the names carry the split, `train_inputs`, `test_label`, or as Keras has it `x_train`, `y_test`.
  Without such names a stratified fifth, drawn with seed 0, is the test split.  `class_names` is optional.  A training
  split is shuffled with seed 0, so that any stretch has the classes in their proportions; others stay in order.

  Images of bytes are brought to `image_size` and `channels` as those of a folder (`images.fitted`).

  Raises:
    UserError: no such file, not an archive, arrays missing, of wrong type or length, or out of range; no such split.
  """
  path = Path(path).expanduser()
  try:
    contents = np.load(path, allow_pickle=False)
    if isinstance(contents, np.ndarray):
      given = {"inputs": contents}
    else:
      with contents as archive:
        given = {key: archive[key] for key in archive.files}
  except FileNotFoundError:
    raise UserError("path", str(path), "there is no such file: give that of an .npz archive.") from None
  except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged archives
    remedy = f"it cannot be read ({error}): write it with np.savez, without arrays of objects."
    raise UserError("path", str(path), remedy) from error
  splits = _divided(given, labels)
  if not splits:
    keys = f"it has {sorted(given)}: give `inputs` and `label`, or `train_inputs`, `train_label`, `test_inputs`, ..."
    raise UserError("path", str(path), keys)
  for key, (inputs, label) in splits.items():
    if inputs.ndim < 2 or label.ndim < 1:
      raise UserError(
        f"{path} {key}: shapes of inputs and labels", (inputs.shape, label.shape), "give [N, ...] and [N]."
      )
  fit = lambda key, inputs: images.fitted(inputs, image_size, channels, f"{path} {key}")
  splits = {key: (fit(key, inputs), label) for key, (inputs, label) in splits.items()}
  names = given.get("class_names")
  if not any(len(label) for _, label in splits.values()):
    names = UNLABELLED
    splits = {key: (inputs, np.zeros(len(inputs), np.int32)) for key, (inputs, _) in splits.items()}
  elif all(label.dtype.kind == "U" for _, label in splits.values()):
    names, splits = _numbered(splits, names, str(path))
  whole = {key: checked(f"{path} {key}", *pair, class_names=names) for key, pair in splits.items()}
  if names is None:  # a class may be absent from one split
    names = max((examples.class_names for examples in whole.values()), key=len)
    whole = {key: checked(f"{path} {key}", *pair, class_names=names) for key, pair in splits.items()}
  if set(whole) == {""}:
    whole = {key: whole[""].select(index) for key, index in held_out(whole[""].label).items()}
  elif "train" in whole:  # it may be sorted
    whole["train"] = whole["train"].select(stratified_order(whole["train"].label, 0))
  chosen = choose(whole, split)
  return chosen.select(part(split, len(chosen)))


def _divided(arrays: dict[str, np.ndarray], labels: bool) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """(inputs, label) by split, labels empty where there are none and need not be; '' where names carry no split."""
  pairs: dict[str, dict[str, np.ndarray]] = {}
  for key, value in arrays.items():
    for kind, names in (("inputs", _INPUTS), ("label", _LABELS)):
      for name in names:
        if key == name:
          pairs.setdefault("", {})[kind] = value
        elif key.endswith(f"_{name}"):
          pairs.setdefault(key.removesuffix(f"_{name}"), {})[kind] = value
        elif key.startswith(f"{name}_"):
          pairs.setdefault(key.removeprefix(f"{name}_"), {})[kind] = value
  if not labels and not any("label" in pair for pair in pairs.values()):
    complete = {split: (pair["inputs"], np.zeros(0)) for split, pair in pairs.items()}
  else:
    complete = {split: (pair["inputs"], pair["label"]) for split, pair in pairs.items() if len(pair) == 2}
  return {"": complete[""]} if "" in complete else complete


def _numbered(splits, names: np.ndarray | None, path: str):
  """Class names, and the splits with words as numbers: in the order of `class_names`, or of the words."""
  names = names if names is not None else np.unique(np.concatenate([label.ravel() for _, label in splits.values()]))
  number = {str(name): i for i, name in enumerate(names)}
  for _, label in splits.values():
    if unknown := set(map(str, label.ravel())) - set(number):
      raise UserError(f"{path}: label", min(unknown), f"`class_names` has {', '.join(number)} alone: add it.")
  numbers = lambda label: np.array([number[str(word)] for word in label.ravel()], np.int32)
  return tuple(number), {key: (inputs, numbers(label)) for key, (inputs, label) in splits.items()}


def folder(
  path: str | Path,
  split: str = "train",
  *,
  image_size: int | None = None,
  channels: int | None = None,
  streamed: bool | None = None,
  memory: int = 2**30,
  labels: bool = True,
) -> Examples | Stream:
  """A split of a folder of images: `path/train/<class>/*.png`, `path/test/<class>/*.jpg`, or `path/<class>/*`.

  Classes are numbered in the order of their names.  Where there is no test folder, a stratified fifth of the training
  images, drawn with seed 0, is the test split.  The training split is shuffled with seed 0, so that any stretch has the
  classes in their proportions; others are in the order of classes and file names.

  Args:
    path: the folder.
    split: 'train', 'test', or the name of another folder beside them; or part of one.
    image_size: height and width to bring the largest centred square of every image to; None if all have one size.
    channels: 1 (grey) or 3 (colour); by default colour, unless all images of all splits are grey.
    streamed: read the images when needed, instead of all at once; by default where they would exceed `memory` bytes.
    memory: see above.
    labels: whether there must be a folder a class; without, images may lie in `path`, `path/train` or `path/test`.

  Raises:
    UserError: no such folder or split, no images in it, sizes that vary without `image_size`, a file that cannot be
      decoded (by its name; when it is read, for streamed ones).
  """
  root = Path(path).expanduser()
  if not root.is_dir():
    raise UserError("path", str(root), "there is no such folder: give one of images by class.")
  files, label, names = _listed(root, split, labels)
  width, height = _look(files[0], images.upright_size)
  channels = channels or _channels(root)
  size = len(files) * channels * (image_size**2 if image_size else width * height)
  name = f"{root} {split}"
  if streamed or (streamed is None and size > memory):
    if image_size is None and width != height:
      raise UserError("image_size", None, "give one: streamed images are brought to one square size.")
    return Stream(name, _Files(files, label), image_size or height, channels, names)
  decoding = [images.DECODING, image_size, channels]
  key = {"folder": [str(root.resolve()), split], "decoding": decoding, "files": cache.fingerprint(files)}

  def build() -> dict[str, np.ndarray]:
    return {"inputs": _decoded(files, image_size, channels)}

  return checked(name, cache.cached(root.name or "images", key, build)["inputs"], label, names)


def has_images(root: Path) -> bool:
  """Whether there is an image anywhere below a folder."""
  return any(file.suffix.lower() in _SUFFIXES for file in root.rglob("*"))


def _listed(root: Path, split: str, labels: bool) -> tuple[list[Path], np.ndarray, tuple[str, ...]]:
  """Files, labels and class names of a split."""
  others = _subfolders(root)
  training = others.pop("train", None)
  by_class = _by_class(training or root, labels)
  if not by_class:
    remedy = f"it has no images: put them into one folder a class, {training or root}/<class>/*.png or *.jpg."
    raise UserError("path", str(root), remedy)
  names = tuple(by_class)
  files, label = _flat(by_class, names)
  if training is not None and "test" in others:
    order = stratified_order(label, 0)
    whole = {"train": ([files[i] for i in order], label[order])}
  else:
    whole = {key: ([files[i] for i in index], label[index]) for key, index in held_out(label).items()}
  if training is not None:
    classes_of = {key: _by_class(folder, labels) for key, folder in others.items()}
    whole |= {key: _flat(classes, names) for key, classes in classes_of.items() if classes}
  files, label = choose(whole, split)
  stretch = part(split, len(files))
  return files[stretch], label[stretch], names


def _subfolders(root: Path) -> dict[str, Path]:
  return {entry.name: entry for entry in sorted(root.iterdir()) if entry.is_dir() and not entry.name.startswith(".")}


def _by_class(root: Path, labels: bool = True) -> dict[str, list[Path]]:
  """Class -> its image files, both in the order of their names; classes without images are none."""
  images_in = lambda folder: sorted(file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES)
  if not labels and (files := images_in(root)):
    return {UNLABELLED[0]: files}
  files_of = {name: images_in(folder) for name, folder in _subfolders(root).items()}
  return {name: files for name, files in files_of.items() if files}


def _flat(by_class: dict[str, list[Path]], names: tuple[str, ...]) -> tuple[list[Path], np.ndarray]:
  unknown = sorted(set(by_class) - set(names))
  if unknown:
    remedy = f"training has the classes {', '.join(names)} alone: remove this folder, or add training images of it."
    raise UserError("class", unknown[0], remedy)
  files = [file for name in names for file in by_class.get(name, [])]
  label = np.array([number for number, name in enumerate(names) for _ in by_class.get(name, [])], np.int32)
  return files, label


def _channels(root: Path) -> int:
  """1 where all images below a folder are grey, whichever split they are of, else 3."""
  files = sorted(file for file in root.rglob("*") if file.suffix.lower() in _SUFFIXES)
  key = {"channels of": str(root.resolve()), "files": cache.fingerprint(files)}
  build = lambda: {"channels": np.array([_look(file, images.channels_of) for file in files])}
  channels = cache.cached(f"{root.name or 'images'}-channels", key, build)["channels"]
  grey = int((channels == 1).sum())
  if 0 < grey < len(files):
    _log.warning(
      "%s: %d of %d images are grey, the others in colour: all are read in colour (channels=1 reads all as grey).",
      root,
      grey,
      len(files),
    )
  return int(channels.max())


def _look(file: Path, property_of: Callable[[Image.Image], Any]) -> Any:
  """A property of an image that is opened and not decoded."""
  try:
    with Image.open(file) as image:
      return property_of(image)
  except OSError as error:
    raise UserError("image", str(file), f"replace or remove this file, which cannot be decoded ({error}).") from error


def _decoded(files: Sequence[Path], image_size: int | None, channels: int, centre: float = 1.0) -> np.ndarray:
  _log.info("Decoding %d images, once.", len(files))
  box = images.centre(centre)
  first = images.decode(files[0], channels, image_size, str(files[0]), box)
  inputs = np.empty((len(files), *first.shape), np.uint8)
  for i, file in enumerate(files):
    pixels = images.decode(file, channels, image_size, str(file), box)
    if pixels.shape != first.shape:
      remedy = f"{file} has another size than {files[0]}: give image_size, and every image is brought to it."
      raise UserError("image_size", image_size, remedy)
    inputs[i] = pixels
  return inputs


class _Files:
  """Random access to encoded image files."""

  def __init__(self, files: Sequence[Path], label: np.ndarray):
    self._files, self._label = files, label

  def __len__(self) -> int:
    return len(self._files)

  def __repr__(self) -> str:
    return f"_Files({len(self)} files, the first {self._files[0]})"

  def __getitem__(self, index: int) -> dict[str, Any]:
    file = self._files[index]
    return {"image": file.read_bytes(), "label": self._label[index], "where": str(file)}


def unlabelled(
  path: str | Path,
  shape: Sequence[int],
  centre: float = 1.0,
  dtype: np.dtype | type | None = None,
  columns: Columns | None = None,
) -> tuple[np.ndarray, list[str]]:
  """What is to be predicted: inputs [example, *shape], and a name for each (the file's, or the row's number).

  Args:
    path: an `.npz` archive with `inputs` (or `image`, `x`), an `.npy` array, one image, a folder with images anywhere
      below it, or a table of what the model was trained on.
    shape: of one input, as the model was trained; images are brought to it.
    centre: share of an image's shorter side that the centred square which is taken has.
    dtype: of the inputs that the model was trained on: an archive's are bytes where these were, else floats, because
      a range cannot be told from values.  None takes both.
    columns: of the table that the model was trained on; None of what was none, of which a table is numbers alone.

  Raises:
    UserError: no such file, nothing readable in it, or inputs of another shape or type.
  """
  path, shape = Path(path).expanduser(), tuple(shape)
  if path.suffix.lower() in cells.SUFFIXES and len(shape) == 1:
    inputs = columns.encode(cells.read(path)) if columns else table.read(path).values.astype(np.float32)
    if inputs.shape[1:] != shape:
      raise UserError(f"--input {path}: columns", inputs.shape[1], f"the model was trained on {shape[0]}.")
    return inputs, [str(row) for row in range(len(inputs))]
  if path.suffix in (".npz", ".npy"):
    given = _inputs(path)
    inputs = checked(f"--input {path}", given, np.zeros(len(given), np.int32)).inputs
    _refuse_another_type(f"--input {path}", given.dtype, dtype)
    # All digits: a model may compute in float64.
    inputs = given.reshape(inputs.shape) if given.dtype.kind == "f" else inputs
    if inputs.dtype == np.uint8 and inputs.ndim == 4 and len(shape) == 3 and shape[0] == shape[1]:
      inputs = images.fitted(inputs, shape[0], shape[-1], f"--input {path}")
    if inputs.shape[1:] != shape:
      raise UserError(f"--input {path}: shape of one input", inputs.shape[1:], f"the model was trained on {shape}.")
    return inputs, [str(row) for row in range(len(inputs))]
  image_files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
  if not image_files:
    raise UserError("--input", str(path), "name an .npz archive, an image, or a folder that has images.")
  if len(shape) != 3:
    raise UserError("--input", str(path), f"the model was trained on vectors {shape}: give an .npz archive or a table.")
  square = shape[0] == shape[1]
  inputs = _decoded(image_files, shape[0] if square else None, shape[-1], centre)
  if inputs.shape[1:] != shape:
    remedy = f"the model was trained on {shape}, which is no square that images could be brought to."
    raise UserError(f"--input {path}: shape of an image", inputs.shape[1:], remedy)
  return inputs, [str(file) for file in image_files]


def _refuse_another_type(name: str, dtype: np.dtype, trained: np.dtype | type | None) -> None:
  """Bytes count as pixels / 255 and floats as they are: one in the other's place would be silently wrong."""
  if trained is None or (dtype == np.uint8) == (trained == np.uint8):
    return
  remedy = "the model was trained on floats: give floats in the same unit, inputs.astype(np.float32)."
  if trained == np.uint8:
    remedy = (
      "the model was trained on bytes: give uint8, 0 to 255; of pixels 0 to 1, (255 * x).round().astype(np.uint8)."
    )
  raise UserError(f"{name}: type of the inputs", str(dtype), remedy)


def _inputs(path: Path) -> np.ndarray:
  try:
    if path.suffix == ".npy":
      return np.load(path, allow_pickle=False)
    with np.load(path, allow_pickle=False) as archive:
      key = next((name for name in _INPUTS if name in archive.files), None)
      if key is None:
        raise UserError("--input", str(path), f"it has {archive.files}: the inputs must be called one of {_INPUTS}.")
      return archive[key]
  except UserError:
    raise
  except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged archives
    raise UserError("--input", str(path), f"it cannot be read as an .npz archive ({error}).") from error
