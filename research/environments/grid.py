"""A small grid with a goal: a world whose values are known exactly, by value iteration."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from research.environments.protocol import Environment, Transition, time_limit

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right


def grid(height: int = 4, width: int = 4, max_steps: int = 50) -> Environment:
  """Reward 1 at the last cell, which terminates; episodes begin at any other cell; a wall stops a move.

  Observations are one-hot [height * width].
  """
  cells = height * width
  limits = jnp.array([height - 1, width - 1])
  observe = lambda place: jax.nn.one_hot(place[0] * width + place[1], cells)

  def reset(key):
    cell = jax.random.randint(key, (), 0, cells - 1)
    place = jnp.stack([cell // width, cell % width])
    return place, observe(place)

  def step(key, place, action):
    del key
    place = jnp.clip(place + jnp.asarray(MOVES)[action], 0, limits)
    at_goal = (place == limits).all()
    return Transition(place, observe(place), at_goal.astype(jnp.float32), at_goal, jnp.asarray(False))

  observation = jax.ShapeDtypeStruct((cells,), jnp.float32)
  return time_limit(Environment("grid", reset, step, observation, len(MOVES)), max_steps)


def optimal_values(height: int = 4, width: int = 4, discount: float = 0.9) -> Float[np.ndarray, "cell action"]:
  """The best values of every cell and move, by value iteration (Bellman 1957); those of the goal are 0."""
  values = np.zeros((height * width, len(MOVES)))
  for _ in range(height * width * 10):
    best = values.max(1)
    for cell in range(height * width - 1):
      for action, (down, right) in enumerate(MOVES):
        row = min(max(cell // width + down, 0), height - 1)
        column = min(max(cell % width + right, 0), width - 1)
        after = row * width + column
        values[cell, action] = 1.0 if after == height * width - 1 else discount * best[after]
  return values
