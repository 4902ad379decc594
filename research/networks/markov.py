"""Networks inside a hidden Markov model: from the observation before to logits of the next state or observation."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers


class TransitionNetwork(nn.Module):
  """One hidden layer: what the observation before says for each state as the next one.

  Attributes:
    num_states: K.
    hidden: width of the hidden layer.
    dropout, input_dropout: rates behind it and in front of it.
    dtype: compute type; parameters and logits are float32.
  """

  num_states: int
  hidden: int
  dropout: float = 0.0
  input_dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, previous: Float[Array, "batch time feature"], train: bool) -> Float[Array, "batch time state"]:
    x = layers.Dropout(self.input_dropout)(previous, train)
    x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype)(x))
    x = layers.Dropout(self.dropout)(x, train)
    return layers.logits_layer(self.num_states, kernel_init=nn.initializers.normal(0.1 / self.hidden**0.5))(x)


class EmissionNetwork(nn.Module):
  """One hidden layer of the state and the observation before; also of the state alone (Obermeyer et al. 2019, nnHMM).

  Attributes:
    num_states, num_features: K and D.
    hidden: width of the hidden layer, which each state has an embedding in.
    dropout: rate behind it.
    dtype: compute type; parameters and logits are float32.
  """

  num_states: int
  num_features: int
  hidden: int
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, previous: Float[Array, "batch time feature"] | None, train: bool
  ) -> Float[Array, "batch time state feature"] | Float[Array, "state feature"]:
    states = self.param("states", nn.initializers.normal(1.0), (self.num_states, self.hidden))
    x = states.astype(self.dtype)
    if previous is not None:
      x += nn.Dense(self.hidden, dtype=self.dtype)(previous)[:, :, None]
      x = layers.Dropout(self.dropout)(nn.relu(x), train)
    else:
      x = nn.relu(x)
    return layers.logits_layer(self.num_features)(x)
