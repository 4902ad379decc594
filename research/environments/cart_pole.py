"""CartPole (Barto, Sutton & Anderson 1983), as Gymnasium's CartPole-v1: a pole on a cart, pushed left or right."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.environments.protocol import Environment, Transition, time_limit

GRAVITY = 9.8  # m/s²
CART_MASS, POLE_MASS = 1.0, 0.1  # kg
HALF_LENGTH = 0.5  # of the pole, m
FORCE = 10.0  # N
SECONDS = 0.02  # a step
MAX_POSITION = 2.4  # m
MAX_ANGLE = 12 * 2 * math.pi / 360  # rad
MAX_STEPS = 500


def dynamics(state: Float[Array, "4"], action) -> Float[Array, "4"]:
  """The state (position, velocity, angle, angular velocity) after one Euler step of the equations of motion."""
  _, velocity, angle, spin = state
  force = jnp.where(action == 1, FORCE, -FORCE)
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  total_mass, pole_moment = CART_MASS + POLE_MASS, POLE_MASS * HALF_LENGTH
  push = (force + pole_moment * spin**2 * sin) / total_mass
  turn = (GRAVITY * sin - cos * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS * cos**2 / total_mass))
  acceleration = push - pole_moment * turn * cos / total_mass
  return state + SECONDS * jnp.stack([velocity, acceleration, spin, turn])


def cart_pole(max_steps: int = MAX_STEPS) -> Environment:
  """Reward 1 a step; terminated where the cart leaves the track or the pole leans more than 12 degrees."""

  def reset(key):
    state = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
    return state, state

  def step(key, state, action):
    del key
    state = dynamics(state, action)
    terminated = (jnp.abs(state[0]) > MAX_POSITION) | (jnp.abs(state[2]) > MAX_ANGLE)
    return Transition(state, state, jnp.ones(()), terminated, jnp.asarray(False))

  observation = jax.ShapeDtypeStruct((4,), jnp.float32)
  return time_limit(Environment("cart_pole", reset, step, observation, 2), max_steps)
