"""Two domains of images, A and B, that one is to be translated into the other: made of a set of digits, or one's own.

Made: B is a look of the same kind of pictures as A, and a picture's look is a function of its pixels, so what is
measured has a true target.  Without pairs, no picture that is learnt from is in both domains.  One's own: a folder
with two folders of images, `A` and `B`; for pairs, of the same names.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8
from scipy import ndimage

from research.data import images, masks, pipeline, validation
from research.data.dataset import Dataset
from research.data.examples import UNLABELLED, Examples
from research.errors import UserError

Pixels = UInt8[np.ndarray, "image height width channel"]
FIELD = "config.data.path"
SLANT = 0.4  # columns that a row moves to the right of the one below it
_SECOND = 2**32  # added to the seed of domain B's order: seeds are below it
_LOWEST, _HIGHEST = -1.0, 1.0  # of pixels in a batch, the range of tanh


@dataclasses.dataclass(frozen=True)
class Domains:
  """Pictures of both domains.

  Attributes:
    name: for messages.
    a, b: the pictures, bytes; without labels where these are unknown.
    paired: whether each row of `a` is to become that row of `b`.
  """

  name: str
  a: Examples
  b: Examples
  paired: bool


def slanted(pictures: Pixels) -> Pixels:
  """Sheared to the right, `SLANT` of a column a row, about the middle; between pixels linearly, black from beyond."""
  height, sheared = pictures.shape[1], np.empty_like(pictures)
  for row in range(height):
    columns = SLANT * ((height - 1) / 2 - row)
    moved = ndimage.shift(pictures[:, row].astype(np.float32), (0, columns, 0), order=1, mode="grid-constant")
    sheared[:, row] = np.round(moved)
  return sheared


def outlined(pictures: Pixels) -> Pixels:
  """A bright rim around strokes of half their brightness: it tells the inside of a stroke from the ground.

  The rim is the largest of the 3x3 pixels around, less the pixel itself, of strokes that are sharpened.
  Of hollow strokes, all rim, CycleGAN made other digits, and these again the first ones, in three trials of three.
  """
  sharp = np.clip(3 * (pictures.astype(np.int16) - 85), 0, 255).astype(np.uint8)
  return np.maximum(_largest(sharp) - sharp, pictures // 2)


def edges(pictures: Pixels) -> Pixels:
  """A drawing in black and white: pixels below half beside one that is not."""
  bright = np.where(pictures > 127, 255, 0).astype(np.uint8)
  return _largest(bright) - bright


LOOKS: dict[str, Callable[[Pixels], Pixels]] = {
  "upright": lambda pictures: pictures,
  "slanted": slanted,
  "outlined": outlined,
  "slanted_outlined": lambda pictures: outlined(slanted(pictures)),
  "edges": edges,
}


def _largest(pictures: Pixels) -> Pixels:
  """Of the 3x3 pixels around each."""
  return ndimage.maximum_filter(pictures, (1, 3, 3, 1), mode="constant")


def made(examples: Examples, looks: tuple[str, str], size: int, margin: int, paired: bool) -> Domains:
  """Domains of two looks of a set's pictures.

  Args:
    examples: images of bytes.
    looks: of A and of B, each one of `LOOKS`.
    size: side of a picture in pixels, its margin included.
    margin: black pixels on every side of a picture.
    paired: every picture in both domains; else the first half in A and the second in B.

  Raises:
    UserError: no such look, nothing within the margin, or fewer than two pictures where there are no pairs.
  """
  for side, look in zip("ab", looks):
    if look not in LOOKS:
      raise UserError(f"config.domains.{side}", look, f"choose one of {', '.join(LOOKS)}.")
  if size <= 2 * margin:
    raise UserError("config.domains.margin", margin, f"leave a picture within the {size} pixels of a side.")
  if len(examples) < 2 and not paired:
    raise UserError("config.data.name", examples.name, "two domains need two pictures or more.")
  half = len(examples) // 2
  parts = (slice(None), slice(None)) if paired else (slice(half), slice(half, None))
  around = ((0, 0), (margin, margin), (margin, margin), (0, 0))

  def domain(part: slice, look: str) -> Examples:
    chosen = examples.select(part)
    fitted = images.fitted(chosen.inputs, size - 2 * margin, None, examples.name)
    return dataclasses.replace(chosen, inputs=LOOKS[look](np.pad(fitted, around)))

  return Domains(examples.name, *map(domain, parts, looks), paired)


def own(path: str, size: int, channels: int, share: float, paired: bool) -> tuple[Domains, Domains | None, Domains]:
  """One's own domains, to learn from, to choose by and to measure on: a fifth of each, drawn with seed 0, is the last.

  Args:
    path: of a folder with the folders `A` and `B`, each with images.
    size: side that the largest centred square of each image is brought to.
    channels: 1 (grey) or 3 (colour).
    share: of the images that are left, held out to choose by; 0 for none.
    paired: images of one name are a pair.

  Raises:
    UserError: no such folders, fewer than two images in one; of pairs, an image without another of its name, or one of
      another size.
  """
  root = Path(path).expanduser()
  if not path or not all((root / name).is_dir() for name in "AB"):
    names = "of the same names" if paired else "the two domains"
    raise UserError(FIELD, path, f"this experiment reads a folder with two folders of images, A and B, {names}.")
  files_a, files_b = (masks.by_stem(root / name) for name in "AB")
  if paired:
    _check_pairs(root, files_a, files_b)
  decoded = [_decoded(files, size, channels) for files in (files_a, files_b)]
  for name, pictures in zip("AB", decoded):
    if len(pictures) < 2:
      raise UserError(FIELD, str(root / name), "give two images or more: one is to be measured on.")
  parts = [_parts(len(pictures), share) for pictures in decoded]

  def of(part: int, name: str) -> Domains:
    sides = [_unlabelled(f"{root.name} {name}", pictures[index[part]]) for pictures, index in zip(decoded, parts)]
    return Domains(f"{root.name} {name}", *sides, paired)

  return of(0, "train"), of(1, "validation") if share else None, of(2, "test")


def _check_pairs(root: Path, files_a: dict[str, Path], files_b: dict[str, Path]) -> None:
  """Raises UserError where an image has no other of its name, or one of another size."""
  for stem in sorted(files_a.keys() ^ files_b.keys()):
    here, there = ("A", "B") if stem in files_a else ("B", "A")
    remedy = f"{here}/{stem} has no image of its name there: add {stem}.png, or remove it from {here}."
    raise UserError(FIELD, str(root / there), remedy)
  for stem, file in files_a.items():
    of_a, of_b = (images.decode(one, 1, None, str(one)).shape[:2] for one in (file, files_b[stem]))
    if of_a != of_b:
      raise UserError(f"{files_b[stem]}: height and width", of_b, f"give it those of its pair {file}, {of_a}.")


def _decoded(files: dict[str, Path], size: int, channels: int) -> Pixels:
  return np.stack([images.decode(files[stem], channels, size, str(files[stem])) for stem in sorted(files)])


def _parts(count: int, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Which of `count` images to learn from, to choose by and to measure on; the same of as many images."""
  rest, test = validation.fifth(count)
  held = validation.count(share, len(rest))
  return rest[held:], rest[:held], test


def _unlabelled(name: str, pictures: Pixels) -> Examples:
  return Examples(name, pictures, np.zeros(len(pictures), np.int32), UNLABELLED)


def training(domains: Domains, batch_size: int, seed: int) -> Dataset:
  """Endless batches of `a` and `b`, float32 from -1 to 1, and `mask`.

  Pairs are in one order; without them each domain is in an order of its own, and an epoch is a pass over the larger.
  """
  assemble = _signed("a", "b")
  if domains.paired:
    arrays = {"a": domains.a.inputs, "b": domains.b.inputs}
    return pipeline.shuffled(arrays, batch_size, seed=seed, name=domains.name, assemble=assemble)
  sides = {"a": (domains.a, seed), "b": (domains.b, seed + _SECOND)}
  sets = {
    name: pipeline.shuffled({name: part.inputs}, batch_size, seed=of_side, name=domains.name, assemble=_signed(name))
    for name, (part, of_side) in sides.items()
  }

  def feed(step: int) -> dict[str, np.ndarray]:
    return {f"index_{name}": one.feed(step)["index"] for name, one in sets.items()}

  def joined(resident, fed):
    of = lambda name: sets[name].assemble({name: resident[name]}, {"index": fed[f"index_{name}"]})
    return {**of("a"), **of("b")}

  resident = {name: one.resident[name] for name, one in sets.items()}
  return Dataset(domains.name, resident, feed, joined, batch_size, max(one.num_examples for one in sets.values()))


def measured(domains: Domains, batch_size: int) -> Dataset:
  """One pass over both domains; where one is smaller, its rows come again, and `has_a` or `has_b` is 0 for these."""
  sides, arrays = {"a": domains.a.inputs, "b": domains.b.inputs}, {}
  count = max(map(len, sides.values()))
  for name, pictures in sides.items():
    arrays[name] = pictures[np.arange(count) % len(pictures)]
    arrays[f"has_{name}"] = (np.arange(count) < len(pictures)).astype(np.float32)
  return pipeline.sequential(arrays, batch_size, name=domains.name, assemble=_signed("a", "b"))


def _signed(*names: str) -> pipeline.Assemble:
  """`pipeline.rows`, with bytes as -1 to 1 in these fields."""

  def assemble(resident, fed):
    batch = pipeline.rows(resident, fed)
    return {**batch, **{name: signed(batch[name]) for name in names}}

  return assemble


def signed(pictures):
  """Bytes as float32 from -1 to 1."""
  return pictures.astype(jnp.float32) * ((_HIGHEST - _LOWEST) / 255) + _LOWEST
