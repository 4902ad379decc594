"""Base distributions of flows: what data are taken to."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research.errors import UserError
from research.families.flows.bijection import Event, PerExample, sum_of


class Base(NamedTuple):
  """A distribution of independent numbers.

  Attributes:
    log_prob: `log_prob(y) -> [batch]`, nats.
    sample: `sample(key, shape) -> y` of that shape, one example.
  """

  log_prob: Callable[[Event], PerExample]
  sample: Callable[[Key[Array, ""], tuple[int, ...]], Float[Array, "*event"]]


def normal() -> Base:
  """Standard normal."""
  log_prob = lambda y: sum_of(-0.5 * jnp.square(y) - 0.5 * np.log(2 * np.pi))
  return Base(log_prob, lambda key, shape: jax.random.normal(key, shape))


def logistic() -> Base:
  """Standard logistic, whose tails are heavier."""
  log_prob = lambda y: sum_of(jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y))
  return Base(log_prob, lambda key, shape: jax.random.logistic(key, shape))


def by_name(name: str) -> Base:
  """The base that a config names.

  Raises:
    UserError: there is none.
  """
  bases = {"normal": normal, "logistic": logistic}
  if name not in bases:
    raise UserError("config.model.base", name, f"choose one of {', '.join(bases)}.")
  return bases[name]()
