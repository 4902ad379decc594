"""Base distributions of flows: what data are taken to."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research import randomness
from research.errors import UserError
from research.families.flows.bijection import Event, PerExample, sum_of


class Base(NamedTuple):
  """A distribution.

  Attributes:
    log_prob: `log_prob(params, y) -> [batch]`, nats.
    sample: `sample(params, key, shape) -> y` of that shape, one example.
    init: `init(key, shape) -> params`; None where there is nothing to learn.
  """

  log_prob: Callable[[Any, Event], PerExample]
  sample: Callable[[Any, Key[Array, ""], tuple[int, ...]], Float[Array, "*event"]]
  init: Callable[[Key[Array, ""], tuple[int, ...]], Any] | None = None


def normal() -> Base:
  """Standard normal."""
  log_prob = lambda _, y: sum_of(-0.5 * jnp.square(y) - 0.5 * np.log(2 * np.pi))
  return Base(log_prob, lambda _, key, shape: jax.random.normal(key, shape))


def logistic() -> Base:
  """Standard logistic, whose tails are heavier."""
  log_prob = lambda _, y: sum_of(jax.nn.log_sigmoid(y) + jax.nn.log_sigmoid(-y))
  return Base(log_prob, lambda _, key, shape: jax.random.logistic(key, shape))


def mixture(components: int) -> Base:
  """Gaussians of full covariance over vectors, learnt with the flow (Izmailov et al. 2020, there without covariances).

  Parameters are as `mixture_params` has them; they begin as unit Gaussians about centres drawn from one.
  """

  def init(key, shape):
    means = jax.random.normal(key, (components, *shape))
    return mixture_params(jnp.zeros(components), means, jnp.tile(jnp.eye(*shape), (components, 1, 1)))

  def log_prob(params, y):
    white = jnp.einsum("bkd,kde->bke", y[:, None] - params["means"], factors(params))
    log_dets = params["log_diagonals"].sum(-1) - 0.5 * y.shape[-1] * np.log(2 * np.pi)
    logs = jax.nn.log_softmax(params["logits"]) + log_dets - 0.5 * jnp.square(white).sum(-1)
    return jax.nn.logsumexp(logs, axis=-1)

  def sample(params, key, shape):
    which, normal = jax.random.split(key)
    k = jax.random.categorical(which, params["logits"])
    white = jax.random.normal(normal, shape)
    return params["means"][k] + jax.scipy.linalg.solve_triangular(factors(params)[k].T, white, lower=False)

  def factors(params):
    diagonals = jax.vmap(jnp.diag)(jnp.exp(params["log_diagonals"]))
    return jnp.tril(params["factors"], -1) + diagonals

  return Base(log_prob, sample, init)


def mixture_params(
  logits: Float[Array, " component"],
  means: Float[Array, "component feature"],
  factors: Float[Array, "component feature feature"],
) -> dict[str, Array]:
  """The parameters of `mixture`; `factors` are the lower-triangular ones of the precisions (Cholesky)."""
  log_diagonals = jnp.log(jnp.diagonal(factors, axis1=1, axis2=2))
  return {"logits": logits, "means": means, "factors": jnp.tril(factors, -1), "log_diagonals": log_diagonals}


def with_base(base: Base, params: dict[str, Any], key: Key[Array, ""], shape: tuple[int, ...]) -> dict[str, Any]:
  """A flow's parameters and, by the name `base`, those of what data are taken to, where it has any."""
  return params if base.init is None else {**params, "base": base.init(randomness.stream_key(key, "base"), shape)}


def by_name(name: str, components: int = 1) -> Base:
  """The base that a config names; `components` are those of a mixture.

  Raises:
    UserError: there is none.
  """
  bases = {"normal": normal, "logistic": logistic, "mixture": lambda: mixture(components)}
  if name not in bases:
    raise UserError("config.model.base", name, f"choose one of {', '.join(bases)}.")
  return bases[name]()
