"""A normalizing flow with scikit-learn's interface for densities: `fit`, `score_samples`, `score`, `sample`.

  NormalizingFlow(random_state=0).fit(X).score_samples(X_new)

Each column is brought near to a Gaussian by Yeo & Johnson's power (2000), all together are whitened, and a mixture of
Gaussians is fitted by EM: what the flow starts from, the identity, is that mixture of rows so transformed.  A part of
the rows says when to stop.
"""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PowerTransformer
from sklearn.utils.validation import check_is_fitted, validate_data

from research.errors import UserError
from research.estimators import base
from research.estimators.gaussian_mixture import GaussianMixture
from research.families.flows import base as base_lib
from research.families.flows import bijection as b
from research.families.flows import elementwise
from research.families.flows import model as family_lib
from research.networks.coupling import ResidualMLP
from research.training import steps

INTERVAL = 25  # updates between two looks at the rows that say when to stop


@functools.lru_cache(maxsize=64)
def _program(features: int, layers: int, width: int, bins: int, components: int, learning_rate: float, decay: float):
  """The flow, and its learner on batches of rows, shared by all estimators of equal hyper-parameters."""
  network, function = functools.partial(ResidualMLP, width=width, blocks=1), elementwise.rational_quadratic(bins)
  parts = []
  for i in range(layers):
    parts += [b.linear(features, seed=i)] if i else []
    parts.append(b.coupling(network, function, b.halves(i % 2 == 1)))
  flow = family_lib.flow(b.chain(parts), (features,), base=base_lib.mixture(components))
  decayed = {"flow": True, "dequantiser": False, "base": False}
  learner = steps.gradient_learner(
    init=flow.init,
    loss=flow.loss,
    evaluate=flow.evaluate,
    optimizer=optax.chain(optax.clip_by_global_norm(5.0), optax.adamw(learning_rate, weight_decay=decay, mask=decayed)),
    ema_decay=0.99,
  )
  return flow, learner


@functools.partial(jax.jit, static_argnames=("flow", "learner", "size", "intervals", "patience"))
def _fit(flow, learner, key, mixture, train, held, noise, size, intervals, patience):
  """Updates of `size` rows from the base `mixture` on, until held-out rows gain nothing for `patience` intervals.

  Returns the best state's variables, its held-out log-likelihood, and the intervals done.
  """
  batch = lambda x: {"inputs": x, "label": jnp.zeros(len(x), jnp.int32), "mask": jnp.ones(len(x))}
  measure = lambda state: -learner.evaluate(state, {**batch(held), "index": jnp.arange(len(held))})["nll"].value()
  start = learner.init(key, batch(train))
  params = {**start.params, "base": _base_of(flow, start.params, mixture)}
  start = start.replace(params=params, ema={**start.ema, "params": params})

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


def _base_of(flow, params, mixture):
  """Parameters of the base with which the flow that begins, a rotation, has the density of a mixture of its inputs.

  Args:
    flow: of vectors.
    params: as they are initialised.
    mixture: logits [component], means [component, feature] and covariances [component, feature, feature].
  """
  logits, means, covariances = mixture
  taken = lambda x: flow.noise({"params": params}, x, jnp.zeros(len(x), jnp.int32))
  start = taken(jnp.zeros_like(means[:1]))
  rotation = taken(jnp.eye(means.shape[1])) - start
  factors = jnp.linalg.cholesky(jnp.linalg.inv(rotation.T @ covariances @ rotation))
  return base_lib.mixture_params(logits, means @ rotation + start, factors)


class NormalizingFlow(DensityMixin, BaseEstimator):
  """Rational-quadratic spline couplings (Durkan et al. 2019) on whitened rows, with a mixture as their base.

  Args:
    n_layers: couplings.
    n_components: Gaussians of the base; the rows' own number of groups, `sklearn.model_selection` can choose it.
    power: whether columns are brought near to Gaussians first.
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
    n_components: int = 1,
    power: bool = True,
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
    self.n_components = n_components
    self.power = power
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
    """Whitens the rows, fits the mixture and trains the flow.

    Raises:
      UserError: a hyper-parameter out of its range, one column, or too few rows to hold any out.
    """
    del y
    X = validate_data(self, X, dtype=np.float64, ensure_min_samples=4)
    for field in ("n_layers", "n_components", "batch_size", "max_iter", "n_iter_no_change"):
      base.check_number(field, getattr(self, field), 1, whole=True)
    base.check_number("noise", self.noise, 0)
    if X.shape[1] < 2:
      raise UserError("X", X.shape, "a coupling divides two columns at least.")
    held = round(self.validation_fraction * len(X))
    if not 0 < held < len(X) - 1:
      raise UserError("validation_fraction", self.validation_fraction, f"of {len(X)} rows it leaves none: change it.")
    key = base.key_of(self.random_state)
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 2), len(X)))
    self._whiten(X[order[held:]])
    train, kept = (jnp.asarray(self._white(X[rows])[0], jnp.float32) for rows in (order[held:], order[:held]))
    self._flow, learner = _program(
      X.shape[1], self.n_layers, self.width, self.bins, self.n_components, self.learning_rate, self.weight_decay
    )
    intervals, patience = (-(-count // INTERVAL) for count in (self.max_iter, self.n_iter_no_change))
    size = min(self.batch_size, len(train))
    mixture = self._mixture(X[order[held:]], int(jax.random.randint(jax.random.fold_in(key, 3), (), 0, 2**31 - 1)))
    best, value, done = _fit(self._flow, learner, key, mixture, train, kept, self.noise, size, intervals, patience)
    if not np.isfinite(value):
      raise UserError("X", float(np.abs(X).max()), "training met numbers that are not finite: look for outliers.")
    self._variables = jax.device_get(best)
    self.n_iter_ = INTERVAL * int(done)
    self.validation_score_ = float(value) + float(self._white(X[order[:held]])[1].mean())
    return self

  def _whiten(self, X) -> None:
    """The transformation to Gaussian columns, mean 0 and identity covariance; to each variance a little is added."""
    self.mean_, self.scale_ = X.mean(0), X.std(0) + 1e-12
    self._power = PowerTransformer(standardize=False).fit((X - self.mean_) / self.scale_)
    # Between 0 and 2 the power takes the line to all of the line: every sample has a row that it is of.
    self._power.lambdas_ = np.clip(self._power.lambdas_, 0, 2) if self.power else np.ones(X.shape[1])
    powers = self._powers(X)
    self._middle = powers.mean(0)
    values, vectors = np.linalg.eigh(np.cov(powers, rowvar=False) + np.diag(1e-6 * powers.var(0) + 1e-12))
    self._matrix = vectors / np.sqrt(values)
    self._log_det = -0.5 * float(np.log(values).sum()) - float(np.log(self.scale_).sum())

  def _powers(self, X) -> Float[np.ndarray, "example feature"]:
    return self._power.transform((X - self.mean_) / self.scale_)

  def _white(self, X) -> tuple[Float[np.ndarray, "example feature"], Float[np.ndarray, " example"]]:
    """Rows transformed, and the logarithm of the transformation's determinant at each."""
    standard = (X - self.mean_) / self.scale_
    exponents = (self._power.lambdas_ - 1) * np.sign(standard)
    log_det = self._log_det + (exponents * np.log1p(np.abs(standard))).sum(1)
    return (self._powers(X) - self._middle) @ self._matrix, log_det

  def _mixture(self, X, seed: int) -> tuple[jax.Array, ...]:
    """Logits, means and covariances of whitened rows, by EM before they are: whitened, groups are hard to tell."""
    em = GaussianMixture(self.n_components, reg_covar=1e-4, n_init=3, random_state=seed)
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", ConvergenceWarning)  # the flow goes on from here
      em.fit(self._powers(X))
    covariances = self._matrix.T @ em.covariances_ @ self._matrix
    parts = (np.log(em.weights_), (em.means_ - self._middle) @ self._matrix, covariances)
    return tuple(jnp.asarray(part, jnp.float32) for part in parts)

  def score_samples(self, X) -> Float[np.ndarray, " example"]:
    """log p of every row, nats."""
    check_is_fitted(self)
    X = validate_data(self, X, dtype=np.float64, reset=False)
    white, log_det = self._white(X)
    inputs = jnp.asarray(white, jnp.float32)
    logs = jax.jit(self._flow.log_prob)(self._variables, inputs, jnp.zeros(len(X), jnp.int32))
    return np.asarray(logs, np.float64) + log_det

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
    powers = np.asarray(white, np.float64) @ np.linalg.inv(self._matrix) + self._middle
    return self._power.inverse_transform(powers) * self.scale_ + self.mean_, np.zeros(n_samples, int)
