"""What is taken of a step's logits: the best token, or a draw from a distribution cut to its likely part.

The order is fixed: repetition penalty, temperature, top-k, top-p, min-p.  Each sees what the one before has left.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from research.errors import UserError

Logits = Float[Array, "batch vocabulary"]
Choose = Callable[[Key[Array, " batch"], Logits, Bool[Array, "batch vocabulary"] | None], Int[Array, " batch"]]
_NEVER = -jnp.inf


def greedy(keys: Key[Array, " batch"], logits: Logits, seen=None) -> Int[Array, " batch"]:
  """The most probable token."""
  del keys, seen
  return logits.argmax(-1).astype(jnp.int32)


def sample(
  temperature: float = 1.0,
  *,
  top_k: int = 0,
  top_p: float = 1.0,
  min_p: float = 0.0,
  repetition_penalty: float = 1.0,
) -> Choose:
  """Draws a token, each row by its own key.

  Args:
    temperature: what logits are divided by; 0 is `greedy`, after the penalty.
    top_k: most tokens that are left; 0 leaves all.  Ties with the last are left too.
    top_p: the least set of the most probable tokens whose mass reaches this share is left (Holtzman et al. 2020).
    min_p: tokens less probable than this share of the most probable one's probability are not (Nguyen et al. 2025).
    repetition_penalty: what the logits of `seen` tokens are divided by where positive, times where negative (Keskar et
      al. 2019); 1 for none.

  Raises:
    UserError: a value out of its range.
  """
  ranges = {
    "temperature": (temperature, temperature >= 0, "0 or more"),
    "top_k": (top_k, top_k >= 0, "0 or more"),
    "top_p": (top_p, 0 < top_p <= 1, "above 0, up to 1"),
    "min_p": (min_p, 0 <= min_p <= 1, "0 to 1"),
    "repetition_penalty": (repetition_penalty, repetition_penalty > 0, "above 0; 1 is none"),
  }
  for field, (value, allowed, remedy) in ranges.items():
    if not allowed:
      raise UserError(field, value, f"give {remedy}.")

  def choose(keys, logits, seen=None):
    logits = logits.astype(jnp.float32)
    if repetition_penalty != 1 and seen is not None:
      logits = penalised(logits, seen, repetition_penalty)
    if temperature == 0:
      return greedy(keys, logits)
    left = filtered(logits / temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    return jax.vmap(jax.random.categorical)(keys, left).astype(jnp.int32)

  return choose


def penalised(logits: Logits, seen: Bool[Array, "batch vocabulary"], penalty: float) -> Logits:
  """Logits in which what has been seen is less likely."""
  return jnp.where(seen, jnp.where(logits > 0, logits / penalty, logits * penalty), logits)


def filtered(logits: Logits, *, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Logits:
  """Logits, -inf where a token is cut off; arguments as `sample`.  At least one is left in every row."""
  if top_k and top_k < logits.shape[-1]:
    least = jax.lax.top_k(logits, top_k)[0][..., -1:]
    logits = jnp.where(logits < least, _NEVER, logits)
  if top_p < 1:
    order = jnp.argsort(logits, axis=-1, descending=True)
    probabilities = jax.nn.softmax(jnp.take_along_axis(logits, order, -1))
    before = jnp.cumsum(probabilities, -1) - probabilities  # the mass of what is more probable
    kept = jnp.put_along_axis(jnp.zeros(logits.shape, bool), order, before < top_p, -1, inplace=False)
    logits = jnp.where(kept, logits, _NEVER)
  if min_p:
    # In logits: p >= min_p * p_max.
    logits = jnp.where(logits < logits.max(-1, keepdims=True) + jnp.log(min_p), _NEVER, logits)
  return logits


def log_probability(logits: Logits, token: Int[Array, " batch"]) -> Float[Array, " batch"]:
  """float32 log p(token) of the logits as the model gave them."""
  logs = jax.nn.log_softmax(logits.astype(jnp.float32))
  return jnp.take_along_axis(logs, token[:, None].astype(jnp.int32), -1)[:, 0]
