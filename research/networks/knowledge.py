"""Vectors of entities and relations, and what a fact scores by them."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError

MODELS = ("transe", "distmult")


class Embeddings(nn.Module):
  """A vector of each entity and relation.

  Attributes:
    entities, relations: how many.
    features: of a vector.
    model: `transe`, -|h + r - t| (Bordes et al. 2013, L1), or `distmult`, sum of h r t (Yang et al. 2015).
  """

  entities: int
  relations: int
  features: int
  model: str = "transe"

  @nn.compact
  def __call__(self, head, relation, tail) -> Float[Array, "row 2 entity"]:
    init = nn.initializers.normal(1 / self.features**0.5)
    entity = self.param("entity", init, (self.entities, self.features))
    r = self.param("relation", init, (self.relations, self.features))[relation]
    h, t = entity[head], entity[tail]
    if self.model == "distmult":
      return jnp.stack([(h * r) @ entity.T, (t * r) @ entity.T], 1)
    distance = lambda point: -jnp.abs(point[:, None] - entity).sum(-1)
    return jnp.stack([distance(h + r), distance(t - r)], 1)


def network_of(name: str, entities: int, relations: int, features: int) -> Embeddings:
  """The model of that name.

  Raises:
    UserError: there is none.
  """
  if name not in MODELS:
    raise UserError("config.model.name", name, f"choose one of {', '.join(MODELS)}.")
  return Embeddings(entities, relations, features, name)
