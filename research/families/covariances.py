"""Covariance matrices of a mixture of Gaussians: full, tied, diagonal, spherical.

Each kind is held as the Cholesky factor U of the *precision*, Λ = U Uᵀ: upper triangular for `full` [K, D, D] and
`tied` [D, D], inverse standard deviations for `diag` [K, D] and `spherical` [K].  The squared Mahalanobis distance of a
point is then |(x - μ) U|², one matrix product for all points, and ½ log|Λ| is a sum of logarithms; what is expensive
and sequential, the factorisation, happens once an M-step and component, not once a point.

Points and means come centred (see `gaussian_mixture`), so that squares do not cancel.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from research.errors import UserError

Points = Float[Array, "batch features"]
Responsibilities = Float[Array, "batch components"]
Means = Float[Array, "components features"]
Counts = Float[Array, " components"]
Moments = Float[Array, "..."]
Factor = Float[Array, "..."]


class Covariances(NamedTuple):
  """One kind of covariance, in the shape `(...)` that the kind has: see the module.

  Attributes:
    distances: `(points, means, factor) -> [batch, components]`, squared Mahalanobis distances.
    half_log_determinant: `(factor, features) -> [components]` or [] where tied: ½ log|Λ|.
    second_moments: `(responsibilities, points) -> (...)`: Σₙ rₙₖ xₙ xₙᵀ, as much of it as the kind needs.
    maximum_likelihood: `(counts, means, second_moments) -> (...)`: Bishop 2006, eq. 9.19.
    regularise: `(covariances, amount) -> (...)`: `amount` added to every variance.
    factorise: `(covariances) -> factor`; entries that are not finite where a matrix is not positive definite.
    expand: `(factor) -> (...)`, the covariances themselves.
    colour: `(factor, component, noise [batch, features]) -> [batch, features]`: standard normal noise to that of the
      components' covariances.
    num_parameters: `(components, features) -> int`, free parameters.
    per_component: whether `(...)` begins with the components.
  """

  distances: Callable[[Points, Means, Factor], Responsibilities]
  half_log_determinant: Callable[[Factor, int], Array]
  second_moments: Callable[[Responsibilities, Points], Moments]
  maximum_likelihood: Callable[[Counts, Means, Moments], Array]
  regularise: Callable[[Array, float], Array]
  factorise: Callable[[Array], Factor]
  expand: Callable[[Factor], Array]
  colour: Callable[[Factor, Int[Array, " batch"], Points], Points]
  num_parameters: Callable[[int, int], int]
  per_component: bool = True

  def keep_defined(self, new: Factor, old: Factor, alive: Bool[Array, " components"]) -> Factor:
    """`new`, but `old` for components that are not alive or whose covariance had no Cholesky factor."""
    axes = tuple(range(1 if self.per_component else 0, new.ndim))
    defined = jnp.isfinite(new).all(axes, keepdims=True)
    if self.per_component:
      defined &= alive.reshape(-1, *(1 for _ in axes))
    return jnp.where(defined, new, old)


def _transformed(points, means, factor):
  """(x - μ) U of every point and component, [batch, components, features]: one product, whose blocks are components."""
  return jnp.einsum("nd,kde->nke", points, factor) - jnp.einsum("kd,kde->ke", means, factor)


def _full_distances(points, means, factor):
  return jnp.square(_transformed(points, means, factor)).sum(-1)


def _full_second_moments(responsibilities, points):
  return jnp.einsum("nkd,ne->kde", responsibilities[:, :, None] * points[:, None], points)


def _full_maximum_likelihood(counts, means, second_moments):
  return second_moments / counts[:, None, None] - means[:, :, None] * means[:, None]


def _matrix_regularise(covariances, amount):
  return covariances + amount * jnp.eye(covariances.shape[-1], dtype=covariances.dtype)


def _matrix_factorise(covariances):
  lower = jnp.linalg.cholesky(covariances)
  identity = jnp.broadcast_to(jnp.eye(lower.shape[-1], dtype=lower.dtype), lower.shape)
  return jnp.swapaxes(jax.lax.linalg.triangular_solve(lower, identity, left_side=True, lower=True), -1, -2)


def _inverse_factor(factor):
  """U⁻¹, so that Σ = U⁻ᵀ U⁻¹."""
  identity = jnp.broadcast_to(jnp.eye(factor.shape[-1], dtype=factor.dtype), factor.shape)
  return jax.lax.linalg.triangular_solve(factor, identity, left_side=True, lower=False)


def _matrix_expand(factor):
  inverse = _inverse_factor(factor)
  return jnp.swapaxes(inverse, -1, -2) @ inverse


def _matrix_half_log_determinant(factor, features):
  del features
  return jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)


def _full_colour(factor, component, noise):
  coloured = jnp.einsum("ne,ked->nkd", noise, _inverse_factor(factor))
  return jnp.take_along_axis(coloured, component[:, None, None], axis=1)[:, 0]


FULL = Covariances(
  distances=_full_distances,
  half_log_determinant=_matrix_half_log_determinant,
  second_moments=_full_second_moments,
  maximum_likelihood=_full_maximum_likelihood,
  regularise=_matrix_regularise,
  factorise=_matrix_factorise,
  expand=_matrix_expand,
  colour=_full_colour,
  num_parameters=lambda components, features: components * features * (features + 1) // 2,
)


def _tied_distances(points, means, factor):
  difference = (points @ factor)[:, None] - means @ factor
  return jnp.square(difference).sum(-1)


def _tied_second_moments(responsibilities, points):
  return (responsibilities.sum(-1, keepdims=True) * points).T @ points


def _tied_maximum_likelihood(counts, means, second_moments):
  return (second_moments - (counts[:, None] * means).T @ means) / counts.sum()


TIED = Covariances(
  distances=_tied_distances,
  half_log_determinant=_matrix_half_log_determinant,
  second_moments=_tied_second_moments,
  maximum_likelihood=_tied_maximum_likelihood,
  regularise=_matrix_regularise,
  factorise=_matrix_factorise,
  expand=_matrix_expand,
  colour=lambda factor, component, noise: noise @ _inverse_factor(factor),
  num_parameters=lambda components, features: features * (features + 1) // 2,
  per_component=False,
)


def _diagonal_distances(points, means, factor):
  # The square multiplied out: two products in place of an array [batch, components, features].
  precision = jnp.square(factor)
  squares = jnp.square(points) @ precision.T - 2 * points @ (means * precision).T
  return jnp.maximum(squares + (jnp.square(means) * precision).sum(-1), 0)


DIAGONAL = Covariances(
  distances=_diagonal_distances,
  half_log_determinant=lambda factor, features: jnp.log(factor).sum(-1),
  second_moments=lambda responsibilities, points: responsibilities.T @ jnp.square(points),
  maximum_likelihood=lambda counts, means, moments: jnp.maximum(moments / counts[:, None] - jnp.square(means), 0),
  regularise=lambda covariances, amount: covariances + amount,
  factorise=lambda covariances: covariances**-0.5,
  expand=lambda factor: factor**-2,
  colour=lambda factor, component, noise: noise / factor[component],
  num_parameters=lambda components, features: components * features,
)


def _spherical_distances(points, means, factor):
  squares = jnp.square(points).sum(-1, keepdims=True) - 2 * points @ means.T + jnp.square(means).sum(-1)
  return jnp.maximum(squares, 0) * jnp.square(factor)


def _spherical_maximum_likelihood(counts, means, second_moments):
  variances = (second_moments / counts - jnp.square(means).sum(-1)) / means.shape[-1]
  return jnp.maximum(variances, 0)


SPHERICAL = Covariances(
  distances=_spherical_distances,
  half_log_determinant=lambda factor, features: features * jnp.log(factor),
  second_moments=lambda responsibilities, points: responsibilities.T @ jnp.square(points).sum(-1),
  maximum_likelihood=_spherical_maximum_likelihood,
  regularise=lambda covariances, amount: covariances + amount,
  factorise=lambda covariances: covariances**-0.5,
  expand=lambda factor: factor**-2,
  colour=lambda factor, component, noise: noise / factor[component][:, None],
  num_parameters=lambda components, features: components,
)

KINDS = {"full": FULL, "tied": TIED, "diag": DIAGONAL, "spherical": SPHERICAL}


def kind(name: str, field: str = "covariance") -> Covariances:
  """The kind of that name.

  Args:
    name: full, tied, diag or spherical, as scikit-learn names them.
    field: where the name comes from, for the message.

  Raises:
    UserError: there is no such kind.
  """
  if name not in KINDS:
    raise UserError(field, name, f"choose one of {', '.join(KINDS)}.")
  return KINDS[name]
