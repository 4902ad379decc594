"""Drawing from a diffusion model: plainly, from an image that is only half destroyed, or under a constraint."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.families.diffusion import samplers
from research.families.diffusion.model import Diffusion


class Generator(NamedTuple):
  """Attributes:
  draw: `draw(variables, shape, key, label=None, given=None) -> x` [batch, ...].
  redraw: `redraw(variables, x, key, strength, label=None) -> x`: SDEdit (Meng et al. 2022): the images are diffused to
    the share `strength` of the grid's steps, and sampled from there.
  path: `path(variables, shape, key, count, label=None) -> [count, batch, ...]`: x_t at even steps, noise first.
  evaluations: of the network, an example drawn.
  """

  draw: Callable[..., Array]
  redraw: Callable[..., Array]
  path: Callable[..., Array]
  evaluations: int


def generator(
  model: Diffusion,
  sampler: samplers.Sampler,
  steps: int,
  *,
  spacing: str = "uniform",
  guidance: float = 1.0,
  loop: str = "auto",
  constrain: Callable[[Any], Callable] | None = None,
  repeats: int = 1,
) -> Generator:
  """What draws from a model; keep it, for it compiles once.

  Args:
    model: a diffusion model.
    sampler, steps, spacing: as `samplers.grid` and `samplers.Sampler`.
    guidance: weight of the label's direction; 1 for none.
    loop: as `samplers.chain`.
    constrain: `constrain(given) -> constraint` for `samplers.constrained`, of what `draw` is given.
    repeats: as there.
  """

  samplers.check_grid(steps, spacing)

  def step(args, carry, t, s, key):
    variables, label, given = args
    method = sampler if constrain is None else samplers.constrained(sampler, constrain(given), repeats)
    denoise = model.denoiser(variables, label, guidance)
    return method.step(model.process(variables), denoise, *carry, t, s, key)

  run = samplers.chain(step, loop)
  times_of = lambda variables: samplers.grid(model.process(variables), steps, spacing)

  def noise(variables, shape, key):
    normal = jax.random.normal(randomness.stream_key(key, "prior"), shape)
    return model.process(variables).prior_std() * normal

  def draw(
    variables, shape: Sequence[int], key: Key[Array, ""], label: Int[Array, " batch"] | None = None, given: Any = None
  ) -> Float[Array, "batch ..."]:
    x = noise(variables, shape, key)
    return run((variables, label, given), (x, sampler.init(x)), times_of(variables), key)[0]

  def redraw(variables, x, key, strength: float, label=None):
    if not 0 < strength <= 1:
      raise UserError(
        "strength", strength, "give the share of the steps that is to be done again, above 0 and up to 1."
      )
    times = times_of(variables)[steps - max(1, round(strength * steps)) :]
    fresh = jax.random.normal(randomness.stream_key(key, "diffuse"), x.shape, x.dtype)
    x = model.process(variables).diffuse(x, times[0], fresh)
    return run((variables, label, None), (x, sampler.init(x)), times, key)[0]

  def path(variables, shape, key, count: int, label=None):
    x, times = noise(variables, shape, key), times_of(variables)
    carry, seen, places = (x, sampler.init(x)), [x], jnp.linspace(0, steps, count).round().astype(int).tolist()
    for i, (first, last) in enumerate(itertools.pairwise(places)):
      carry = run((variables, label, None), carry, times[first : last + 1], jax.random.fold_in(key, i))
      seen.append(carry[0])
    return jnp.stack(seen)

  return Generator(draw, redraw, path, steps * sampler.evaluations * repeats * (1 if guidance == 1.0 else 2))
