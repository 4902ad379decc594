"""Gymnax's environments in this protocol (extra `rl`): Acrobot, MountainCar, Catch, the games of MinAtar.

Young & Tian's protocol for MinAtar (2019) is not Gymnax's default: all six actions, sticky actions with probability
0.1, and no limit of time.  It is what `minatar` sets.
"""

import jax
import jax.numpy as jnp

from research.environments.protocol import Environment, Transition, sticky_actions, time_limit
from research.errors import UserError

LIMITS = {"Acrobot-v1": 500, "MountainCar-v0": 200, "Catch-bsuite": 0}  # steps, Gymnasium's; Catch ends by itself
GAMES = ("asterix", "breakout", "freeway", "seaquest", "space_invaders")
STICKY = 0.1
_NEVER = 2**30


def load(name: str) -> Environment:
  """An environment of Gymnax by its id, or a game of MinAtar by its name, in the published protocol.

  Raises:
    UserError: Gymnax is not installed, or has no such environment.
  """
  if name in GAMES:
    title = "".join(word.capitalize() for word in name.split("_"))
    # Freeway lasts 2,500 frames by its own rule, which Gymnax counts with the state; the others have none.
    return sticky_actions(_adapted(f"{title}-MinAtar", use_minimal_action_set=False), STICKY)
  if name not in LIMITS:
    raise UserError("config.environment.name", name, f"there are {', '.join(('cart_pole', 'grid', *LIMITS, *GAMES))}.")
  environment = _adapted(name)
  return time_limit(environment, LIMITS[name]) if LIMITS[name] else environment


def _adapted(name: str, **options) -> Environment:
  try:
    import gymnax
  except ImportError as error:
    raise UserError("config.environment.name", name, "it is one of Gymnax's: pip install genera[rl].") from error
  game, params = gymnax.make(name, **options)
  params = params.replace(max_steps_in_episode=_NEVER)  # limits of time are ours, and are no termination
  compact = lambda observation: observation.astype(bool) if "MinAtar" in name else observation

  def reset(key):
    observation, state = game.reset_env(key, params)
    return jax.tree.map(_strong, state), compact(observation)

  def step(key, state, action):
    observation, after, reward, terminated, _ = game.step_env(key, state, action, params)
    after = jax.tree.map(lambda new, old: jnp.asarray(new, jnp.result_type(old)), after, state)
    return Transition(
      after, compact(observation), jnp.float32(reward), jnp.asarray(terminated, bool), jnp.asarray(False)
    )

  observation = jax.eval_shape(reset, jax.random.key(0))[1]
  return Environment(name, reset, step, observation, game.num_actions)


def _strong(leaf) -> jax.Array:
  """An array of a fixed dtype: Gymnax's first states hold Python numbers."""
  leaf = jnp.asarray(leaf)
  return leaf.astype(leaf.dtype)
