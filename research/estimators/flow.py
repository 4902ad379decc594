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


def _batch(inputs, mask=None):
  count = len(inputs)
  mask = jnp.ones(count) if mask is None else mask
  return {"inputs": inputs, "label": jnp.zeros(count, jnp.int32), "mask": mask, "index": jnp.arange(count)}


def _filled(white, size: int) -> dict[str, jax.Array]:
  """Whitened rows as a batch, filled up."""
  return _batch(jnp.asarray(base.filled(white, size), jnp.float32), (jnp.arange(size) < len(white)).astype(jnp.float32))


def _started(flow, learner, key, mixture, rows):
  """The state whose density is that of `mixture`, logits, means and covariances of such rows."""
  state = learner.init(key, rows)
  params = {**state.params, "base": _base_of(flow, state.params, mixture)}
  return state.replace(params=params, ema={**state.ema, "params": params})


@functools.partial(jax.jit, static_argnames=("flow", "learner", "size"))
def _fit(flow, learner, key, mixture, rows, *, held, noise, size, intervals, patience):
  """Intervals of updates by `size` rows each, with noise, until held-out rows gain nothing by `patience` of them.

  Returns the variables at the end; those by which the held-out rows are likeliest, their mean log-likelihood then, and
  the intervals until there.
  """
  measure = lambda state: -learner.evaluate(state, held)["nll"].value()

  def update(_, state):
    own = jax.random.fold_in(jax.random.fold_in(key, 1), state.step)
    inputs = rows["inputs"][jax.random.randint(own, (size,), 0, rows["mask"].sum().astype(int))]
    inputs += noise * jax.random.normal(jax.random.fold_in(own, 1), inputs.shape)
    return learner.update(state, _batch(inputs))[0]

  def going(carry):
    _, _, _, chosen, done = carry
    return (done < intervals) & (done - chosen < patience)

  def advance(carry):
    state, best, value, chosen, done = carry
    state = jax.lax.fori_loop(0, INTERVAL, update, state)
    measured = measure(state)
    better = measured > value
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), steps.variables_of(state), best)
    return state, best, jnp.where(better, measured, value), jnp.where(better, done + 1, chosen), done + 1

  start, zero = _started(flow, learner, key, mixture, rows), jnp.zeros((), jnp.int32)
  carry = (start, steps.variables_of(start), measure(start), zero, zero)
  state, best, value, chosen, _ = jax.lax.while_loop(going, advance, carry)
  return steps.variables_of(state), best, value, chosen


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


class _Whitening:
  """The transformation of rows to near-Gaussian columns, mean 0 and identity covariance.

  Args:
    X: the rows that it is fitted to.
    power: whether columns are brought near to Gaussians by a power, before all are rotated and scaled.
  """

  def __init__(self, X: Float[np.ndarray, "example feature"], power: bool):
    self._mean, self._scale = X.mean(0), X.std(0) + 1e-12
    self._power = PowerTransformer(standardize=False).fit((X - self._mean) / self._scale)
    # Between 0 and 2 the power takes the line to all of the line: every sample has a row that it is of.
    self._power.lambdas_ = np.clip(self._power.lambdas_, 0, 2) if power else np.ones(X.shape[1])
    powers = self._powers(X)
    self._middle, self._deviation = powers.mean(0), powers.std(0) + 1e-12
    # To each variance a little is added.
    values, vectors = np.linalg.eigh(np.cov(powers, rowvar=False) + np.diag(1e-6 * powers.var(0) + 1e-12))
    self._matrix = vectors / np.sqrt(values)
    self._log_det = -0.5 * float(np.log(values).sum()) - float(np.log(self._scale).sum())

  def forward(self, X) -> tuple[Float[np.ndarray, "example feature"], Float[np.ndarray, " example"]]:
    """Rows transformed, and the logarithm of the transformation's determinant at each."""
    standard = (X - self._mean) / self._scale
    exponents = (self._power.lambdas_ - 1) * np.sign(standard)
    log_det = self._log_det + (exponents * np.log1p(np.abs(standard))).sum(1)
    return (self._powers(X) - self._middle) @ self._matrix, log_det

  def inverse(self, white) -> Float[np.ndarray, "example feature"]:
    """Rows as they were."""
    powers = np.asarray(white, np.float64) @ np.linalg.inv(self._matrix) + self._middle
    return self._power.inverse_transform(powers) * self._scale + self._mean

  def mixture(self, X, components: int, shrinkage: float, seed: int) -> tuple[jax.Array, ...]:
    """Logits, means and covariances of whitened rows, by EM before they are: whitened, groups are hard to tell.

    Covariances are shrunk towards that of all rows, which for whitened ones is the identity (Friedman 1989, section 3).
    """
    em = GaussianMixture(components, reg_covar=1e-4, n_init=3, random_state=seed)
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", ConvergenceWarning)  # the flow goes on from here
      em.fit((self._powers(X) - self._middle) / self._deviation)
    matrix = self._deviation[:, None] * self._matrix
    covariances = (1 - shrinkage) * matrix.T @ em.covariances_ @ matrix
    covariances += shrinkage * np.eye(len(self._matrix))
    parts = (np.log(em.weights_), em.means_ @ matrix, covariances)
    return tuple(jnp.asarray(part, jnp.float32) for part in parts)

  def _powers(self, X) -> Float[np.ndarray, "example feature"]:
    return self._power.transform((X - self._mean) / self._scale)


class NormalizingFlow(DensityMixin, BaseEstimator):
  """Rational-quadratic spline couplings (Durkan et al. 2019) on whitened rows, with a mixture as their base.

  Args:
    n_layers: couplings.
    n_components: Gaussians of the base.
    shrinkage: share that the covariance of all rows has in each of theirs, 0 to 1.
    power: whether columns are brought near to Gaussians first.
    width: of the conditioners.
    bins: of the splines.
    learning_rate, weight_decay: of AdamW.
    batch_size: rows of an update.
    max_iter: updates at most.
    noise: standard deviation of what is added to the rows of an update, in units of the whitened rows.
    validation_fraction: share of the rows that say when to stop.
    refit: whether all is learnt anew from all rows then, by as many updates.
    n_iter_no_change: updates without a gain on these, after which training stops.
    random_state: of the rows held out, the initialisation, the batches and `sample`.

  Attributes (after `fit`):
    n_iter_: updates of what is kept; 0 is the mixture of rows brought near to Gaussians.
    validation_score_: mean log-density of the held-out rows after as many, learnt from the others.
  """

  def __init__(
    self,
    n_layers: int = 4,
    *,
    n_components: int = 1,
    shrinkage: float = 0.1,
    power: bool = True,
    width: int = 64,
    bins: int = 8,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    batch_size: int = 128,
    max_iter: int = 3000,
    noise: float = 0.1,
    validation_fraction: float = 0.1,
    refit: bool = True,
    n_iter_no_change: int = 200,
    random_state: Any = None,
  ):
    self.n_layers = n_layers
    self.n_components = n_components
    self.shrinkage = shrinkage
    self.power = power
    self.width = width
    self.bins = bins
    self.learning_rate = learning_rate
    self.weight_decay = weight_decay
    self.batch_size = batch_size
    self.max_iter = max_iter
    self.noise = noise
    self.validation_fraction = validation_fraction
    self.refit = refit
    self.n_iter_no_change = n_iter_no_change
    self.random_state = random_state

  def fit(self, X, y=None):
    """Whitens the rows, fits the mixture and trains the flow.

    Raises:
      UserError: a hyper-parameter out of its range, one column, or too few rows to hold any out.  The model is then as
        it was before.
    """
    del y
    with base.unchanged_where_it_fails(self):
      X = validate_data(self, X, dtype=np.float64, ensure_min_samples=4)
      self._fit(X, self._check(X))
    return self

  def _check(self, X) -> int:
    """The number of rows to hold out; UserError as of `fit`."""
    for field in ("n_layers", "n_components", "batch_size", "max_iter", "n_iter_no_change"):
      base.check_number(field, getattr(self, field), 1, whole=True)
    base.check_number("noise", self.noise, 0)
    base.check_number("shrinkage", self.shrinkage, 0)
    if self.shrinkage > 1:
      raise UserError("shrinkage", self.shrinkage, "it is a share: give 0 to 1.")
    if X.shape[1] < 2:
      raise UserError("X", X.shape, "a coupling divides two columns at least.")
    held = round(self.validation_fraction * len(X))
    if not 0 < held < len(X) - 1:
      raise UserError("validation_fraction", self.validation_fraction, f"of {len(X)} rows it leaves none: change it.")
    return held

  def _fit(self, X, held: int) -> None:
    key = base.key_of(self.random_state)
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 2), len(X)))
    parts = (X.shape[1], self.n_layers, self.width, self.bins, self.n_components)
    self._flow, learner = _program(*parts, self.learning_rate, self.weight_decay)
    intervals, patience = (np.int32(-(-count // INTERVAL)) for count in (self.max_iter, self.n_iter_no_change))
    size = base.filled_size(len(X))  # of both fits, which are one program then
    whitening, mixture, rows = self._begin(X[order[held:]], key, size)
    kept, log_det = whitening.forward(X[order[:held]])
    options = {"held": _filled(kept, base.filled_size(held)), "noise": self.noise, "size": self.batch_size}
    learn = functools.partial(_fit, self._flow, learner, key, **options)
    _, best, value, chosen = learn(mixture, rows, intervals=intervals, patience=patience)
    self.n_iter_, self.validation_score_ = INTERVAL * int(chosen), float(value) + float(log_det.mean())
    if self.refit:
      whitening, mixture, rows = self._begin(X, key, size)
      best, *_ = learn(mixture, rows, intervals=chosen, patience=intervals + 1)
    self._whitening, self._variables = whitening, jax.device_get(best)
    if not np.isfinite([value, self.score(X)]).all():
      raise UserError("X", float(np.abs(X).max()), "training met numbers that are not finite: look for outliers.")

  def _begin(self, X, key, size: int) -> tuple[_Whitening, tuple[jax.Array, ...], dict[str, jax.Array]]:
    """The whitening of these rows, the mixture that the flow begins from, and the rows whitened, as a batch."""
    whitening, seed = _Whitening(X, self.power), jax.random.randint(jax.random.fold_in(key, 3), (), 0, 2**31 - 1)
    mixture = whitening.mixture(X, self.n_components, self.shrinkage, int(seed))
    return whitening, mixture, _filled(whitening.forward(X)[0], size)

  def score_samples(self, X) -> Float[np.ndarray, " example"]:
    """log p of every row, nats."""
    check_is_fitted(self)
    X = validate_data(self, X, dtype=np.float64, reset=False)
    white, log_det = self._whitening.forward(X)
    rows = _filled(white, base.filled_size(len(X)))
    logs = jax.jit(self._flow.log_prob)(self._variables, rows["inputs"], rows["label"])
    return np.asarray(logs, np.float64)[: len(X)] + log_det

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
    return self._whitening.inverse(white), np.zeros(n_samples, int)
