"""Films of small grey pictures, such as digits, that move straight on and bounce off the sides of the canvas.

In the manner of Moving MNIST (Srivastava et al. 2015, section 4.1).  A film is a function of (seed, place), drawn on
the device inside the step, as scenes are; where a picture is at a time has a closed form.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research import randomness
from research.data import procedural, scenes
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class Style:
  """What films look like.

  Attributes:
    size: side of the canvas, pixels.
    frames: of a film.
    objects: pictures that move in it.
    side: of a picture, pixels.
    speeds: least and largest, pixels a frame.
  """

  size: int = 32
  frames: int = 16
  objects: int = 2
  side: float = 14.0
  speeds: tuple[float, float] = (1.0, 2.5)

  def check(self, field: str) -> None:
    """Raises UserError where nothing can be drawn so; `field` is the section's name."""
    if not 1 <= self.side < self.size:
      raise UserError(f"{field}.side", self.side, f"give 1 to less than the canvas's {self.size}.")
    if not 0 <= self.speeds[0] <= self.speeds[1]:
      raise UserError(f"{field}.speeds", self.speeds, "give the least, 0 or more, and the largest.")
    for name in ("frames", "objects"):
      if getattr(self, name) < 1:
        raise UserError(f"{field}.{name}", getattr(self, name), "give 1 or more.")


def draw(
  pictures: Float[Array, "picture height width"], key: Key[Array, ""], style: Style
) -> Float[Array, "frame size size 1"]:
  """A film, values 0 to 1; where pictures overlap, the brighter is seen."""
  keys = {name: randomness.stream_key(key, name) for name in ("which", "start", "angle", "speed")}
  count, room = style.objects, style.size - style.side
  which = jax.random.randint(keys["which"], (count,), 0, len(pictures))
  start = jax.random.uniform(keys["start"], (count, 2), maxval=room)
  angle = jax.random.uniform(keys["angle"], (count,), maxval=2 * jnp.pi)
  speed = jax.random.uniform(keys["speed"], (count,), minval=style.speeds[0], maxval=style.speeds[1])
  velocity = speed[:, None] * jnp.stack([jnp.sin(angle), jnp.cos(angle)], -1)
  corners = bounced(start + velocity * jnp.arange(style.frames)[:, None, None], room)  # [frame, object, 2]
  place = lambda i, corner: scenes.placed(pictures[i], corner, jnp.asarray(style.side), style.size)
  return jax.vmap(lambda at: jax.vmap(place)(which, at).max(0))(corners)[..., None]


def bounced(position: Float[Array, "..."], room: float) -> Float[Array, "..."]:
  """Where what would be at `position`, were there no sides, is between 0 and `room` after its bounces."""
  return room - jnp.abs(position % (2 * room) - room)


def dataset(
  examples: Examples, style: Style, batch_size: int, *, seed: int, count: int = 0, name: str = "films"
) -> Dataset:
  """Films of grey images: `count` of them in order, the last batch padded; 0 is one after another, no end.

  A batch has `frames` [batch, frame, size, size, 1], values 0 to 1, `index` and `mask`.

  Args:
    examples: grey images of bytes [example, height, width, 1].
    style: of the films.
    batch_size: rows of a batch.
    seed, name: films of another seed or name are others.
    count: for evaluation.

  Raises:
    UserError: examples that are no grey images of bytes.
  """
  return procedural.dataset(
    f"{name} of {examples.name}",
    {"pictures": procedural.grey(examples, "films")},
    lambda resident, key: {"frames": draw(procedural.shades(resident), key, style)},
    batch_size,
    stream=procedural.stream_of(seed, name),
    count=count,
  )
