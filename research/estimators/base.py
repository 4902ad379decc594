"""What scikit-learn's interface to the families shares: float64, keys, and one loop for those that iterate."""

import contextlib
import functools
import math
import numbers
from collections.abc import Collection

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from sklearn.utils import check_random_state

from research.errors import UserError
from research.metrics import Mean
from research.training.learner import Batch, Learner, State

# Rows that go through at once: their temporaries fit into a processor's cache.
BLOCK = 512
SMALL = 64  # the least number of rows that data are filled up to


def float64() -> contextlib.AbstractContextManager:
  """Within it 64-bit numbers exist, for this thread alone: two wrappers may be fitted by two threads."""
  return jax.enable_x64(True)


@contextlib.contextmanager
def unchanged_where_it_fails(estimator):
  """A fit that fails within leaves the estimator as it was, an earlier fit included."""
  before = dict(estimator.__dict__)
  try:
    yield
  except Exception:
    estimator.__dict__ = before
    raise


def key_of(random_state) -> Key[Array, ""]:
  """The key of a scikit-learn `random_state`: None, an integer, or a NumPy generator, which is drawn from."""
  return jax.random.key(check_random_state(random_state).randint(2**31))


def filled_size(rows: int) -> int:
  """Rows to fill up to, a power of two or a number of blocks: few shapes are few compiled programs."""
  return max(SMALL, 1 << (rows - 1).bit_length()) if rows <= BLOCK else -(-rows // BLOCK) * BLOCK


def filled(X: Float[np.ndarray, "row feature"], rows: int) -> Float[np.ndarray, "rows feature"]:
  """X, filled up with copies of its first row."""
  return np.concatenate([X, np.repeat(X[:1], rows - len(X), axis=0)])


def fit(
  learner: Learner, batch: Batch, *, key: Key[Array, ""], max_iterations: int, tolerance: float, metric: str
) -> tuple[State, Float[Array, " max_iterations"]]:
  """Updates on one batch, the whole data set, until a metric gains less than `tolerance`.

  One compiled program for equal shapes and the *same* learner: build it once per set of hyper-parameters, for instance
  by a function under `functools.lru_cache`.  May itself be mapped by `jax.vmap`, over keys for several starts.

  Args:
    learner: of which `update` is deterministic or nearly so, as that of EM.
    batch: with its `mask`.
    key: of the initialisation and of the run.
    max_iterations: updates at most; 0 for the start alone.
    tolerance: an update that adds less to the metric is the last one; `-inf` never stops.
    metric: the name of one of `update`'s metrics, to be maximised.  It describes the state *before* its update.

  Returns:
    The state after the last update, whose `step` is the number of updates; and the metric at each of them, then NaN.
    A metric that is not finite ends the loop: look at the last entry, and at `state.skipped`.
  """
  return _fit(learner, batch, key, tolerance, max_iterations, metric)


@functools.partial(jax.jit, static_argnames=("learner", "max_iterations", "metric"))
def _fit(learner, batch, key, tolerance, max_iterations, metric):
  start = learner.init(key, batch)
  if not max_iterations:
    return start, jnp.zeros(0)
  dtype = jax.eval_shape(lambda: learner.update(start, batch)[1][metric].value()).dtype

  def wanted(carry):
    state, _, gain, _ = carry
    # A comparison with NaN is false.
    return (state.step < max_iterations) & (gain >= tolerance)

  def iterate(carry):
    state, before, _, trace = carry
    new, metrics = learner.update(state, batch)
    value = metrics[metric].value().astype(dtype)
    return new, value, value - before, trace.at[state.step].set(value)

  infinite = jnp.asarray(jnp.inf, dtype)
  trace = jnp.full(max_iterations, jnp.nan, dtype)
  state, _, _, trace = jax.lax.while_loop(wanted, iterate, (start, -infinite, infinite, trace))
  return state, trace


def check_number(field: str, value, least: float = -math.inf, *, whole: bool = False) -> None:
  """Raises UserError where a value is not one number from `least` on, with `whole` a whole one."""
  kind = numbers.Integral if whole else numbers.Real
  if not isinstance(value, kind) or isinstance(value, bool) or not least <= value < math.inf:
    noun = "whole number" if whole else "number"
    raise UserError(field, value, f"give a {noun}" + (f", {least} or more." if least > -math.inf else "."))


def check_choice(field: str, value, choices: Collection[str]) -> None:
  """Raises UserError where a value is none of `choices`."""
  if not isinstance(value, str) or value not in choices:
    raise UserError(field, value, f"choose one of {', '.join(choices)}.")


def shaped(name: str, value, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
  """An array of that shape, None for any length.

  Raises:
    UserError: it has another shape, or is not of finite numbers.
  """
  try:
    array = np.asarray(value, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(name, value, "give an array of numbers.") from error
  if array.ndim != len(shape) or any(length not in (None, own) for own, length in zip(array.shape, shape)):
    lengths = " x ".join("any" if length is None else str(length) for length in shape)
    raise UserError(name, f"of shape {array.shape}", f"give one of {lengths}." if shape else "give a number.")
  if not array.size or not np.isfinite(array).all():
    raise UserError(name, array.tolist(), "give finite numbers.")
  return array


def hashable(name: str, value, shape: tuple[int, ...] | None = None, *, least: float = -math.inf):
  """Hyper-parameters as numbers and tuples of them, so that programs can be looked up by them.

  Raises:
    UserError: it is no finite number and no array of them, one is below `least`, or it does not broadcast to `shape`.
  """
  try:
    array = np.asarray(value, np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(name, value, "give a number, or an array of numbers.") from error
  if not array.size or not np.isfinite(array).all():
    raise UserError(name, value, "give finite numbers.")
  if (array < least).any():
    raise UserError(name, value, f"give {least} or more.")
  try:
    np.broadcast_to(array, array.shape if shape is None else shape)
  except ValueError as error:
    remedy = f"give a number, or an array that broadcasts to {shape}."
    raise UserError(name, f"of shape {array.shape}", remedy) from error
  tuples = lambda nested: tuple(map(tuples, nested)) if isinstance(nested, list) else nested
  return tuples(array.tolist())


def negated(learner: Learner, metric: str) -> Learner:
  """With a training metric `gain`, which rises where `metric` falls."""

  def update(state, batch):
    new, metrics = learner.update(state, batch)
    value = metrics[metric]
    return new, {"gain": Mean(-value.total, value.count)}

  return learner._replace(update=update)
