"""Drawing from a diffusion model: plainly, from an image that is only half destroyed, or under a constraint."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.families.diffusion import samplers
from research.families.diffusion.model import Diffusion

Keys = Key[Array, "*batch"]


class Generator(NamedTuple):
  """Attributes:
  draw: `draw(variables, shape, key, label=None, given=None) -> x` [batch, ...]; one key, or one an example.
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
  guidance_interval: tuple[float, float] = (0.0, 1.0),
  loop: str = "auto",
  constrain: Callable[[Any], Callable] | None = None,
  repeats: int = 1,
) -> Generator:
  """What draws from a model; keep it, for it compiles once.

  Args:
    model: a diffusion model.
    sampler, steps, spacing: as `samplers.grid` and `samplers.Sampler`.
    guidance: weight of the label's direction; 1 for none.
    guidance_interval: from which to which share of the steps, counted from noise, there is guidance (Kynkäänniemi et
      al. 2024); a step without costs half.
    loop: as `samplers.chain`.
    constrain: `constrain(given) -> constraint` for `samplers.constrained`, of what `draw` is given.
    repeats: as there.
  """

  samplers.check_grid(steps, spacing)
  guided = _guided_steps(steps, guidance, guidance_interval)
  times_of = jax.jit(lambda variables: samplers.grid(model.process(variables), steps, spacing))
  denoiser = _guided_denoiser(model, guidance, guided, times_of)

  def step(args, carry, t, s, key):
    variables, label, given = args
    method = sampler if constrain is None else samplers.constrained(sampler, constrain(given), repeats)
    return method.step(model.process(variables), denoiser(variables, label), *carry, t, s, key)

  run = samplers.chain(step, loop)

  @functools.partial(jax.jit, static_argnums=1)
  def noise(variables, shape, key):
    normal = randomness.normal(randomness.stream_key(key, "prior"), shape)
    return model.process(variables).prior_std() * normal

  def draw(
    variables, shape: Sequence[int], key: Keys, label: Int[Array, " batch"] | None = None, given: Any = None
  ) -> Float[Array, "batch ..."]:
    x = noise(variables, tuple(shape), key)
    return run((variables, label, given), (x, sampler.init(x)), times_of(variables), key)[0]

  def redraw(variables, x, key, strength: float, label=None):
    if not 0 < strength <= 1:
      raise UserError(
        "strength", strength, "give the share of the steps that is to be done again, above 0 and up to 1."
      )
    times = times_of(variables)[steps - max(1, round(strength * steps)) :]
    fresh = randomness.normal(randomness.stream_key(key, "diffuse"), x.shape, x.dtype)
    x = model.process(variables).diffuse(x, times[0], fresh)
    return run((variables, label, None), (x, sampler.init(x)), times, key)[0]

  def path(variables, shape, key, count: int, label=None):
    x, times = noise(variables, tuple(shape), key), times_of(variables)
    carry, seen, places = (x, sampler.init(x)), [x], np.linspace(0, steps, count).round().astype(int).tolist()
    for i, (first, last) in enumerate(itertools.pairwise(places)):
      carry = run((variables, label, None), carry, times[first : last + 1], randomness.fold_in(key, i))
      seen.append(carry[0])
    return jnp.stack(seen)

  return Generator(draw, redraw, path, (steps + len(guided)) * sampler.evaluations * repeats)


def _guided_denoiser(model: Diffusion, guidance: float, guided: range, times_of: Callable) -> Callable:
  """`denoiser(variables, label) -> denoise(x, t)`, with guidance in those steps of the grid alone."""

  def denoiser(variables, label):
    with_guidance, without = model.denoiser(variables, label, guidance), model.denoiser(variables, label)
    times = times_of(variables)
    if len(guided) in (0, len(times) - 1):
      return with_guidance if guided else without
    # Between two times of the grid, for another program's rounding of the same time is another.
    middles = jnp.concatenate([jnp.array([jnp.inf]), 0.5 * (times[1:-1] + times[:-2]), jnp.array([-jnp.inf])])
    begin, end = middles[guided.start], middles[guided.stop]
    return lambda x, t: jax.lax.cond((t < begin) & (t > end), with_guidance, without, x, t)

  return denoiser


def _guided_steps(steps: int, guidance: float, interval: tuple[float, float]) -> range:
  """The steps in which there is guidance, rounded to whole ones; none where its weight is 1.

  Raises:
    UserError: the interval is not one within [0, 1].
  """
  low, high = interval
  if not 0 <= low <= high <= 1:
    raise UserError("config.sampler.guidance_interval", tuple(interval), "give two shares, 0 <= from <= to <= 1.")
  return range(round(low * steps), round(high * steps)) if guidance != 1.0 else range(0)
