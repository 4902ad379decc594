"""A normalizing flow with scikit-learn's interface for densities: `fit`, `score_samples`, `score`, `sample`.

  NormalizingFlow(random_state=0).fit(X).score_samples(X_new)

Rows are whitened by their mean and covariance first, so that what the flow starts from, the identity, is the best
Gaussian; a part of the rows says when to stop.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from research.errors import UserError
from research.estimators import base
from research.families.flows import bijection as b
from research.families.flows import elementwise
from research.families.flows import model as family_lib
from research.networks.coupling import ResidualMLP
from research.training import steps

INTERVAL = 25  # updates between two looks at the rows that say when to stop


@functools.lru_cache(maxsize=64)
def _program(features: int, layers: int, width: int, bins: int, learning_rate: float, decay: float):
  """The flow, and its learner on batches of rows, shared by all estimators of equal hyper-parameters."""
  network, function = functools.partial(ResidualMLP, width=width, blocks=1), elementwise.rational_quadratic(bins)
  parts = []
  for i in range(layers):
    parts += [b.linear(features, seed=i)] if i else []
    parts.append(b.coupling(network, function, b.halves(i % 2 == 1)))
  flow = family_lib.flow(b.chain(parts), (features,))
  learner = steps.gradient_learner(
    init=flow.init,
    loss=flow.loss,
    evaluate=flow.evaluate,
    optimizer=optax.chain(optax.clip_by_global_norm(5.0), optax.adamw(learning_rate, weight_decay=decay)),
    ema_decay=0.99,
  )
  return flow, learner


@functools.partial(jax.jit, static_argnames=("learner", "size", "intervals", "patience"))
def _fit(learner, key, train, held, noise, size, intervals, patience):
  """Updates on batches of `size` rows, until the held-out rows have not gained for `patience` intervals.

  Returns the best state's variables, its held-out log-likelihood, and the intervals done.
  """
  batch = lambda x: {"inputs": x, "label": jnp.zeros(len(x), jnp.int32), "mask": jnp.ones(len(x))}
  measure = lambda state: -learner.evaluate(state, {**batch(held), "index": jnp.arange(len(held))})["nll"].value()
  start = learner.init(key, batch(train))

  def update(i, state):
    own = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
    rows = train[jax.random.randint(own, (size,), 0, len(train))]
    rows += noise * jax.random.normal(jax.random.fold_in(own, 1), rows.shape)
    return learner.update(state, batch(rows))[0]

  def going(carry):
    _, _, _, done, waited = carry
    return (done < intervals) & (waited < patience)

  def advance(carry):
    state, best, value, done, waited = carry
    state = jax.lax.fori_loop(0, INTERVAL, update, state)
    measured = measure(state)
    better = measured > value
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), steps.variables_of(state), best)
    return state, best, jnp.where(better, measured, value), done + 1, jnp.where(better, 0, waited + 1)

  carry = (start, steps.variables_of(start), measure(start), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
  _, best, value, done, _ = jax.lax.while_loop(going, advance, carry)
  return best, value, done


class NormalizingFlow(DensityMixin, BaseEstimator):
  """Rational-quadratic spline couplings (Durkan et al. 2019) on whitened rows.

  Args:
    n_layers: couplings.
    width: of the conditioners.
    bins: of the splines.
    learning_rate, weight_decay: of AdamW.
    batch_size: rows of an update.
    max_iter: updates at most.
    noise: standard deviation of what is added to the rows of an update, in units of the whitened rows.
    validation_fraction: share of the rows that say when to stop.
    n_iter_no_change: updates without a gain on these, after which training stops.
    random_state: of the rows held out, the initialisation, the batches and `sample`.

  Attributes (after `fit`):
    n_iter_: updates done.
    validation_score_: mean log-density of the held-out rows under what was kept.
  """

  def __init__(
    self,
    n_layers: int = 4,
    *,
    width: int = 64,
    bins: int = 8,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    batch_size: int = 128,
    max_iter: int = 3000,
    noise: float = 0.1,
    validation_fraction: float = 0.1,
    n_iter_no_change: int = 200,
    random_state: Any = None,
  ):
    self.n_layers = n_layers
    self.width = width
    self.bins = bins
    self.learning_rate = learning_rate
    self.weight_decay = weight_decay
    self.batch_size = batch_size
    self.max_iter = max_iter
    self.noise = noise
    self.validation_fraction = validation_fraction
    self.n_iter_no_change = n_iter_no_change
    self.random_state = random_state

  def fit(self, X, y=None):
    """Whitens the rows and trains the flow.

    Raises:
      UserError: a hyper-parameter out of its range, one column, or too few rows to hold any out.
    """
    del y
    X = validate_data(self, X, dtype=np.float64, ensure_min_samples=4)
    for field, least in (("n_layers", 1), ("batch_size", 1), ("max_iter", 1), ("n_iter_no_change", 1), ("noise", 0)):
      if getattr(self, field) < least:
        raise UserError(field, getattr(self, field), f"give {least} or more.")
    if X.shape[1] < 2:
      raise UserError("X", X.shape, "a coupling divides two columns at least.")
    held = round(self.validation_fraction * len(X))
    if not 0 < held < len(X) - 1:
      raise UserError("validation_fraction", self.validation_fraction, f"of {len(X)} rows it leaves none: change it.")
    key = base.key_of(self.random_state)
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 2), len(X)))
    self._whiten(X[order[held:]])
    train, kept = (jnp.asarray(self._white(X[rows]), jnp.float32) for rows in (order[held:], order[:held]))
    self._flow, learner = _program(
      X.shape[1], self.n_layers, self.width, self.bins, self.learning_rate, self.weight_decay
    )
    intervals, patience = (-(-count // INTERVAL) for count in (self.max_iter, self.n_iter_no_change))
    size = min(self.batch_size, len(train))
    best, value, done = _fit(learner, key, train, kept, self.noise, size, intervals, patience)
    if not np.isfinite(value):
      raise UserError("X", float(np.abs(X).max()), "training met numbers that are not finite: look for outliers.")
    self._variables = jax.device_get(best)
    self.n_iter_, self.validation_score_ = INTERVAL * int(done), float(value) + self._log_det
    return self

  def _whiten(self, X) -> None:
    """The transformation to mean 0 and identity covariance; a little of each variance is added to itself."""
    self.mean_ = X.mean(0)
    covariance = np.cov(X, rowvar=False) + np.diag(1e-6 * X.var(0) + 1e-12)
    values, vectors = np.linalg.eigh(covariance)
    self._matrix = vectors / np.sqrt(values)
    self._log_det = -0.5 * float(np.log(values).sum())

  def _white(self, X):
    return (X - self.mean_) @ self._matrix

  def score_samples(self, X) -> Float[np.ndarray, " example"]:
    """log p of every row, nats."""
    check_is_fitted(self)
    X = validate_data(self, X, dtype=np.float64, reset=False)
    white = jnp.asarray(self._white(X), jnp.float32)
    logs = jax.jit(self._flow.log_prob)(self._variables, white, jnp.zeros(len(X), jnp.int32))
    return np.asarray(logs, np.float64) + self._log_det

  def score(self, X, y=None) -> float:
    """Mean log-density of rows, nats."""
    del y
    return float(self.score_samples(X).mean())

  def sample(self, n_samples: int = 1) -> tuple[Float[np.ndarray, "sample feature"], Int[np.ndarray, " sample"]]:
    """Rows drawn from the density, and zeros: scikit-learn's mixtures give a component beside each."""
    check_is_fitted(self)
    if n_samples < 1:
      raise UserError("n_samples", n_samples, "draw one at least.")
    keys = jax.random.split(base.key_of(self.random_state), n_samples)
    white = jax.jit(self._flow.sample)(self._variables, keys, jnp.zeros(n_samples, jnp.int32))
    rows = np.asarray(white, np.float64) @ np.linalg.inv(self._matrix) + self.mean_
    return rows, np.zeros(n_samples, int)
