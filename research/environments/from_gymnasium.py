"""Any environment of Gymnasium in this protocol (extra `gymnasium`), stepped on the host.

Our environments are pure functions of a state that is saved; Gymnasium's are objects that cannot be saved.  So the
state here is what an episode follows from, its seed and its actions so far, and the host keeps the objects: it steps
the one that has just come to that state, and where there is none, as after a resume, plays the actions again.  The
same state thus leads to the same transition, always, provided that the seed decides all that is random; where it does
not, `load` says so.
"""

import collections
import itertools
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jaxtyping import Array, Int, UInt32

from research.environments.protocol import Environment, Transition
from research.errors import UserError

PREFIX = "gymnasium:"
SLOW = 10.0  # seconds of one step
_FIELD = "config.environment.name"


class Course(NamedTuple):
  """An episode so far: `actions[:time]`, begun from `seed`."""

  seed: UInt32[Array, ""]
  time: Int[Array, ""]
  actions: Int[Array, " step"]


def load(name: str, bins: int = 0) -> Environment:
  """`gymnasium:ID`, with the limit of time that it is registered with.

  Args:
    name: the id behind the prefix.
    bins: of continuous actions, how many values of each component are chosen from, evenly between its bounds.

  Raises:
    UserError: Gymnasium is not installed or has no such environment; or its actions, observations or limit do not fit.
  """
  host = _Host(name, bins)
  limit, observation = host.limit, host.observation
  shapes = (observation, *(jax.ShapeDtypeStruct((), t) for t in (np.float32, bool, bool)))

  def reset(key):
    seed = jax.random.bits(key) >> 1
    course = Course(seed, jnp.zeros((), jnp.int32), jnp.full(limit, -1, host.action_type))
    return course, jax.pure_callback(host.first, observation, seed, vmap_method="broadcast_all")

  def step(key, course, action):
    del key  # what is random follows from the seed
    action = jnp.asarray(action, host.action_type)
    seen, reward, terminated, truncated = jax.pure_callback(
      host.step, shapes, *course, action, vmap_method="broadcast_all"
    )
    after = course._replace(time=course.time + 1, actions=course.actions.at[course.time].set(action))
    return Transition(after, seen, reward, terminated, truncated)

  return Environment(name, reset, step, observation, host.num_actions, limit)


class _Host:
  """The objects, each known by the course of its episode, and what is asked of them."""

  def __init__(self, name: str, bins: int):
    self.name, self._make = name, _maker(name)
    world = self._make()
    spec = world.spec
    if spec is None or not spec.max_episode_steps:
      raise UserError(_FIELD, name, "it has no limit of time: register it with max_episode_steps.")
    self.limit = int(spec.max_episode_steps)
    self._actions = _actions(name, world.action_space, bins)
    self.num_actions = len(self._actions)
    self.action_type = np.int16 if self.num_actions < 2**15 else np.int32
    self._flat = _flattener(name, world.observation_space)
    self._lock = threading.Lock()  # devices call from threads of their own
    self._idle, self._kept = [world], 4096
    self._live: collections.OrderedDict[tuple[int, bytes], Any] = collections.OrderedDict()
    self._over: collections.OrderedDict[tuple[int, bytes], tuple] = collections.OrderedDict()
    first, again = (self._rehearsed() for _ in range(2))
    self.observation = jax.ShapeDtypeStruct(first[0].shape, first[0].dtype)
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again)):
      logging.warning("%s: its seed does not decide its course; a resumed run goes on with other episodes.", name)

  def first(self, seed) -> np.ndarray:
    """Observations at the beginning of the episodes of `seed` [...]."""
    seed = np.asarray(seed)
    with self._lock:
      seen = [self._begun(int(s))[1] for s in seed.ravel()]
    return np.stack(seen).reshape(*seed.shape, *self.observation.shape)

  def step(self, seed, time, actions, action):
    """(observation, reward, terminated, truncated) [...], each after one more action of its course."""
    seed, time, action = np.asarray(seed), np.asarray(time), np.asarray(action)
    rows = zip(seed.ravel(), time.ravel(), np.asarray(actions).reshape(-1, self.limit), action.ravel(), strict=True)
    with self._lock:
      steps = [self._stepped(int(s), past[: max(int(t), 0)], int(a)) for s, t, past, a in rows]
    seen, reward, terminated, truncated = (np.stack(field) for field in zip(*steps, strict=True))
    shape = seed.shape
    numbers = reward.astype(np.float32), terminated.astype(bool), truncated.astype(bool)
    return seen.reshape(*shape, *self.observation.shape), *(field.reshape(shape) for field in numbers)

  def _stepped(self, seed: int, past: np.ndarray, action: int):
    """After the end of an episode all stays as it was, without reward: evaluation waits for other rows."""
    key = (seed, past.tobytes())
    if key in self._over:
      return self._over[key]
    world = self._live.pop(key, None) or self._replayed(seed, past)
    where = f"step {len(past) + 1} of the episode of seed {seed}"
    seen, reward, terminated, truncated, _ = self._asked(lambda: world.step(self._actions[action]), where)
    seen = self._checked(seen)
    if not np.isfinite(reward):
      raise UserError(f"{self.name}: reward at {where}", reward, "an agent learns from finite rewards: mend it.")
    after = seed, np.append(past, self.action_type(action)).tobytes()
    if terminated or truncated:
      self._idle.append(world)
      self._over[after] = seen, 0.0, terminated, truncated
      if len(self._over) > self._kept:
        self._over.popitem(last=False)
    else:
      self._live[after] = world
      if len(self._live) > self._kept:  # courses that nobody goes on with, such as a report's
        self._idle.append(self._live.popitem(last=False)[1])
    return seen, reward, terminated, truncated

  def _replayed(self, seed: int, past: np.ndarray):
    """A world that has come to where these actions lead."""
    world, _ = self._begun(seed)
    self._idle.remove(world)
    for action in past.tolist():
      world.step(self._actions[action])
    return world

  def _begun(self, seed: int):
    """A world at the beginning of the episode of `seed`, which stays among the idle ones, and what is seen of it."""
    if not self._idle:
      self._idle.append(self._make())
    world = self._idle[-1]
    return world, self._checked(self._asked(lambda: world.reset(seed=seed), f"reset by seed {seed}")[0])

  def _asked(self, call: Callable[[], Any], where: str) -> Any:
    """What the environment answers; a slow answer is told.

    Raises:
      UserError: it fails, as one does whose process is lost.
    """
    begin = time.monotonic()
    try:
      answer = call()
    except Exception as error:  # the environment's own code, whatever it raises
      remedy = f"the environment fails ({type(error).__name__}: {error}): mend it, or start what it speaks to again."
      raise UserError(self.name, where, remedy) from error
    if time.monotonic() - begin > SLOW:
      logging.warning("%s: %s took %.0f s; training waits for it.", self.name, where, time.monotonic() - begin)
    return answer

  def _checked(self, seen) -> np.ndarray:
    seen = self._flat(seen)
    expected = getattr(self, "observation", None)
    if expected is not None and seen.shape != expected.shape:
      remedy = f"its observations had been {expected.shape}: an agent sees one shape."
      raise UserError(f"{self.name}: shape of an observation", seen.shape, remedy)
    return seen

  def _rehearsed(self) -> list[np.ndarray]:
    """What the first steps of an episode show."""
    world, seen = self._begun(0)
    rows = [seen]
    for step in range(min(10, self.limit)):
      seen, _, terminated, truncated, _ = world.step(self._actions[step % self.num_actions])
      rows.append(self._checked(seen))
      if terminated or truncated:
        break
    return rows


def _maker(name: str) -> Callable[[], Any]:
  try:
    import gymnasium
  except ImportError as error:
    raise UserError(_FIELD, name, "pip install genera[gymnasium].") from error

  def make():
    try:
      return gymnasium.make(name.removeprefix(PREFIX))
    except gymnasium.error.Error as error:
      raise UserError(_FIELD, name, f"Gymnasium cannot make it: {error}") from error

  return make


def _actions(name: str, space, bins: int) -> list[Any]:
  """What the environment is given for each action's number."""
  from gymnasium import spaces

  if isinstance(space, spaces.Discrete):
    return [int(space.start) + i for i in range(int(space.n))]
  if isinstance(space, spaces.Box) and bins > 1 and np.isfinite([space.low, space.high]).all():
    values = np.linspace(space.low.ravel(), space.high.ravel(), bins).T
    if bins ** len(values) <= 10_000:
      table = itertools.product(*values.tolist())
      return [np.array(row, space.dtype).reshape(space.shape) for row in table]
  remedy = "agents choose among actions: set config.environment.bins to the values of each component, 2 or more."
  raise UserError(_FIELD, f"{name}, whose actions are {space} (bins {bins})", remedy)


def _flattener(name: str, space) -> Callable[[Any], np.ndarray]:
  """Observations as one float32 array: images as shares of 255, numbers as they are, all else as Gymnasium flattens."""
  from gymnasium import spaces

  if isinstance(space, spaces.Box):
    unit = np.float32(255 if space.dtype == np.uint8 and len(space.shape) == 3 else 1)
    return lambda seen: np.asarray(seen, np.float32) / unit
  if not space.is_np_flattenable:
    raise UserError(_FIELD, name, f"its observations, {space}, are no arrays of one size.")
  return lambda seen: np.asarray(spaces.flatten(space, seen), np.float32)
