"""Bytes made continuous: noise u in [0, 1) added to x, so that P(x) = the integral of p(x + u) over u.

For any q, log P(x) >= E[log p(x + u) - log q(u | x)] with u from q: uniform (Theis et al. 2016, section 3.1), or a flow
given the image (Ho et al. 2019, section 3.1).  Images are bytes / 255; what is made of them is (bytes + u) / 256.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research.families.flows.bijection import (
  Bijection,
  PerExample,
  depth_to_space,
  space_to_depth,
  sum_of,
)

Pixels = Float[Array, "batch height width channel"]


class Dequantiser(NamedTuple):
  """A distribution of noise given images.

  Attributes:
    init: `init(key, x) -> params`.
    draw: `draw(params, keys, x) -> noisy, log_q`: images in [0, 1), and the log-density of what was added, in units in
      which the noisy image's numbers are pixels / 256; a key an example.
  """

  init: Callable[[Any, Pixels], Any]
  draw: Callable[[Any, Key[Array, " batch"], Pixels], tuple[Pixels, PerExample]]


def noisy(x: Pixels, noise: Pixels | float) -> Pixels:
  """(bytes + u) / 256 of bytes / 255."""
  return (255 * x + noise) / 256


def _constant(x: Pixels) -> float:
  """log 256 a number: from a density of u to one of u / 256."""
  return float(np.log(256) * np.prod(x.shape[1:]))


def _log_logistic(y: Pixels) -> PerExample:
  """log-density of the standard logistic, which is the slope of the logistic function."""
  return sum_of(jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y))


def uniform() -> Dequantiser:
  """q is uniform."""

  def draw(params, keys, x):
    del params
    noise = jax.vmap(lambda key: jax.random.uniform(key, x.shape[1:]))(keys)
    return noisy(x, noise), jnp.full(len(x), _constant(x))

  return Dequantiser(lambda key, x: {}, draw)


def variational(bijection: Bijection) -> Dequantiser:
  """q is a flow from a standard logistic, given the image, through the logistic function to [0, 1].

  Where the flow starts as the identity, q starts as the uniform one.  (From a normal, densities vanish at the ends of
  [0, 1], and importance weights have an infinite variance.)

  Args:
    bijection: of blocks of 2x2 pixels in channels (`space_to_depth`), from noise to u; context: the image, likewise.
  """

  def init(key, x):
    context = space_to_depth(2 * x - 1)
    return bijection.init(key, jax.random.logistic(jax.random.fold_in(key, 1), context.shape), context)

  def draw(params, keys, x):
    context = space_to_depth(2 * x - 1)
    start = jax.vmap(lambda key: jax.random.logistic(key, context.shape[1:]))(keys)
    y, log_det = bijection.forward(params, start, context)
    log_q = _log_logistic(start) - log_det - _log_logistic(y)  # the last is the slope of the logistic function
    return noisy(x, depth_to_space(jax.nn.sigmoid(y))), log_q + _constant(x)

  return Dequantiser(init, draw)
