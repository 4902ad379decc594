"""Scenes: small grey pictures, such as digits, placed on a canvas, with the class of every pixel and a box a picture.

A scene is a function of (seed, place), drawn on the device inside the step: no two of a training run are the same, and
none is stored.  Pictures that are learnt from and measured on are disjoint (`splits`), and so are the seeds' streams.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.data import procedural
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError

OPAQUE = 0.5  # of an object's opacity: from there on a pixel belongs to it
PLACES = 8  # that are tried for an object
CLUTTER = 6  # cells along a side of the smooth clutter
COLOURS = {
  "red": (1.0, 0.2, 0.2),
  "green": (0.2, 0.9, 0.2),
  "blue": (0.3, 0.4, 1.0),
  "yellow": (1.0, 0.9, 0.2),
  "magenta": (1.0, 0.3, 1.0),
  "cyan": (0.2, 0.9, 0.9),
}


@dataclasses.dataclass(frozen=True)
class Style:
  """What scenes look like.

  Attributes:
    size: side of the canvas, pixels.
    objects: least and most objects.
    sides: least and largest side of an object's picture, pixels.
    overlap: share of the smaller of two pictures that may be shared, where one of `PLACES` places allows it.
    coloured: objects of one of `COLOURS`; else white.
    cluttered: smooth and fine noise on the ground; else a plain dark grey.
  """

  size: int = 48
  objects: tuple[int, int] = (1, 3)
  sides: tuple[float, float] = (16.0, 26.0)
  overlap: float = 0.15
  coloured: bool = True
  cluttered: bool = True

  def check(self, field: str) -> None:
    """Raises UserError where nothing can be drawn so; `field` is the section's name."""
    if not 1 <= self.objects[0] <= self.objects[1]:
      raise UserError(f"{field}.objects", self.objects, "give the least, 1 or more, and the most.")
    if not 1 <= self.sides[0] <= self.sides[1] <= self.size:
      raise UserError(f"{field}.sides", self.sides, f"give the least and the largest, 1 to the canvas's {self.size}.")


class Objects(NamedTuple):
  """What is to be drawn, each behind those that follow.

  Attributes:
    picture: opacity of each object's own picture.
    label: class of each, from 0.
    colour: which of `COLOURS`.
    side: of the picture on the canvas, pixels.
    corner: of the picture's upper left, down and right, pixels.
    present: whether there is such an object.
  """

  picture: Float[Array, "object height width"]
  label: Int[Array, " object"]
  colour: Int[Array, " object"]
  side: Float[Array, " object"]
  corner: Float[Array, "object 2"]
  present: Float[Array, " object"]


class Scene(NamedTuple):
  """One scene, or with a leading axis several.

  Attributes:
    inputs: from 0 to 1.
    classes: of each pixel, 0 the ground, 1 + label of what is seen there.
    opacity: of each object alone, hidden parts too.
    boxes: top, left, bottom, right of the whole object, hidden parts too, as edges of pixels; zeros of what is absent.
    label: class of each object, from 0.
    colour: which of `COLOURS`.
    present: whether there is such an object.
  """

  inputs: Float[Array, "*batch size size 3"]
  classes: Int[Array, "*batch size size"]
  opacity: Float[Array, "*batch object size size"]
  boxes: Float[Array, "*batch object 4"]
  label: Int[Array, "*batch object"]
  colour: Int[Array, "*batch object"]
  present: Float[Array, "*batch object"]


def draw(
  pictures: Float[Array, "picture height width"], labels: Int[Array, " picture"], key: Key[Array, ""], style: Style
) -> Scene:
  """A scene; later objects hide earlier ones."""
  most = style.objects[1]
  keys = {name: randomness.stream_key(key, name) for name in ("count", "which", "colour", "side", "place", "ground")}
  count = jax.random.randint(keys["count"], (), style.objects[0], most + 1)
  present = (jnp.arange(most) < count).astype(jnp.float32)
  which = jax.random.randint(keys["which"], (most,), 0, len(pictures))
  colour = jax.random.randint(keys["colour"], (most,), 0, len(COLOURS))
  side = jax.random.uniform(keys["side"], (most,), minval=style.sides[0], maxval=style.sides[1])
  corner = _corners(keys["place"], side, style)
  return painted(Objects(pictures[which], labels[which], colour, side, corner, present), keys["ground"], style)


def painted(objects: Objects, key: Key[Array, ""], style: Style) -> Scene:
  """Objects on a ground drawn by `key`."""
  place = lambda picture, corner, side: placed(picture, corner, side, style.size)
  opacity = jax.vmap(place)(objects.picture, objects.corner, objects.side) * objects.present[:, None, None]
  count, label = len(objects.label), objects.label
  paint = jnp.asarray(list(COLOURS.values()))[objects.colour] if style.coloured else jnp.ones((count, 3))
  canvas, classes = _ground(key, style), jnp.zeros((style.size, style.size), jnp.int32)
  for k in range(count):
    cover = opacity[k, ..., None]
    canvas = canvas * (1 - cover) + paint[k] * cover
    classes = jnp.where(opacity[k] > OPAQUE, label[k] + 1, classes)
  return Scene(canvas, classes, opacity, jax.vmap(box)(opacity), label, objects.colour, objects.present)


def placed(
  picture: Float[Array, "height width"], corner: Float[Array, "2"], side: Float[Array, ""], size: int
) -> Float[Array, "size size"]:
  """A picture brought to `side` x `side` pixels, its upper left at `corner` of the canvas, bilinearly; 0 around it."""

  def weights(length: int, start):
    # Centres of pixels, in the picture's own pixels; what each takes of its two neighbours.
    at = (jnp.arange(size) + 0.5 - start) * (length / side) - 0.5
    return jnp.maximum(0, 1 - jnp.abs(at[:, None] - jnp.arange(length)))

  height, width = picture.shape
  return weights(height, corner[0]) @ picture @ weights(width, corner[1]).T


def box(opacity: Float[Array, "height width"]) -> Float[Array, "4"]:
  """Top, left, bottom, right of the opaque pixels, as edges; zeros where there are none."""
  on = opacity > OPAQUE
  edges = []
  for axis in (1, 0):
    line = on.any(axis)
    edges.append((jnp.argmax(line), len(line) - jnp.argmax(line[::-1])))
  (top, bottom), (left, right) = edges
  return jnp.stack([top, left, bottom, right]).astype(jnp.float32) * on.any()


def _corners(key: Key[Array, ""], side: Float[Array, " object"], style: Style) -> Float[Array, "object 2"]:
  """Upper left corners: each the first of `PLACES` places that shares little with those before, or the best of them."""
  unit = jax.random.uniform(key, (len(side), PLACES, 2))
  corners: list = []
  for k in range(len(side)):
    places = unit[k] * (style.size - side[k])
    shared = jnp.full(PLACES, style.overlap)
    for j, corner in enumerate(corners):
      reach = jnp.minimum(places + side[k], corner + side[j]) - jnp.maximum(places, corner)
      area = jnp.prod(jnp.maximum(reach, 0), axis=-1)
      shared = jnp.maximum(shared, area / jnp.minimum(side[k], side[j]) ** 2)
    corners.append(places[jnp.argmin(shared)])
  return jnp.stack(corners)


def _ground(key: Key[Array, ""], style: Style) -> Float[Array, "size size 3"]:
  """Plain: one dark grey.  Cluttered: smooth noise of every colour, with fine noise on it."""
  size, smooth = style.size, randomness.stream_key(key, "smooth")
  if not style.cluttered:
    return jnp.full((size, size, 3), jax.random.uniform(smooth, (), maxval=0.3))
  cells = jax.random.uniform(smooth, (CLUTTER, CLUTTER, 3), maxval=0.45)
  fine = jax.random.uniform(randomness.stream_key(key, "fine"), (size, size, 3), maxval=0.15)
  return jax.image.resize(cells, (size, size, 3), "linear") + fine


def dataset(
  examples: Examples, style: Style, batch_size: int, *, seed: int, count: int = 0, name: str = "scenes"
) -> Dataset:
  """Scenes of labelled grey images: `count` of them in order, the last batch padded; 0 is one after another, no end.

  A batch has `inputs` [batch, size, size, 3], `classes` [batch, size, size], `index` and `mask`, and of `Scene`
  `boxes`, `label` and `present`.

  Args:
    examples: grey images of bytes [example, height, width, 1].
    style: of the scenes.
    batch_size: rows of a batch.
    seed, name: scenes of another seed or name are others.
    count: for evaluation.

  Raises:
    UserError: examples that are no grey images of bytes.
  """

  def one(resident, key):
    scene = draw(procedural.shades(resident), resident["labels"], key, style)
    return {field: getattr(scene, field) for field in ("inputs", "classes", "boxes", "label", "present")}

  return procedural.dataset(
    f"{name} of {examples.name}",
    {"pictures": procedural.grey(examples, "scenes"), "labels": np.asarray(examples.label)},
    one,
    batch_size,
    stream=procedural.stream_of(seed, name),
    count=count,
  )
