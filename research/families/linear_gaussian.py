"""Latent factors behind Gaussian data: x = W z + μ + ε, with z ~ N(0, 1) and ε ~ N(0, Ψ), Ψ diagonal.

Ψ = σ² 1 is probabilistic principal component analysis (Tipping & Bishop 1999a), any other factor analysis (Rubin &
Thayer 1982); several side by side are a mixture of local ones (Tipping & Bishop 1999b).
Log densities are nats an example, of the values as they are scaled.  Where values are missing, `observed` is 0, and
densities are those of what is observed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Key

from research.families import kmeans
from research.metrics import Mean

DEFINITIONS = {"log_likelihood": "mean log density of the observed values of an example, nats"}
Rows = Float[Array, "row feature"]


@struct.dataclass
class Factors:
  """The parameters of one model; of a mixture with a leading axis of the components.

  Attributes:
    mean: μ.
    loadings: W.
    noise: the diagonal of Ψ, variances.
  """

  mean: Float[Array, "*component feature"]
  loadings: Float[Array, "*component feature latent"]
  noise: Float[Array, "*component feature"]


class Posterior(NamedTuple):
  """Of the latents of each row, and what else the inference finds.

  Attributes:
    mean: E[z].
    covariance: of z; without missing values the same for all rows, [1, latent, latent].
    log_density: log p(x), nats.
  """

  mean: Float[Array, "row latent"]
  covariance: Float[Array, "any latent latent"]
  log_density: Float[Array, " row"]


def infer(model: Factors, rows: Rows, observed: Rows | None = None) -> Posterior:
  """The posterior of the latents (Tipping & Bishop 1999a, equation 12), and the density, by matrices of latents alone.

  Args:
    model: one.
    rows: what is missing may be any finite number.
    observed: 1 where a value is; None: everywhere.
  """
  present = jnp.ones((1, rows.shape[1]), rows.dtype) if observed is None else observed
  residual, precision = present * (rows - model.mean), present / model.noise
  scaled = model.loadings / jnp.sqrt(model.noise)[:, None]
  inner = jnp.einsum("rf,fk,fl->rkl", present, scaled, scaled) + jnp.eye(model.loadings.shape[1], dtype=rows.dtype)
  factor = jnp.linalg.cholesky(inner)
  projected = (residual / model.noise) @ model.loadings
  inverse = solve_triangular(factor, jnp.broadcast_to(jnp.eye(inner.shape[-1]), inner.shape), lower=True)
  covariance = inverse.swapaxes(-1, -2) @ inverse
  half = jnp.einsum("...kl,...l->...k", jnp.broadcast_to(inverse, (len(rows), *inverse.shape[1:])), projected)
  mean = jnp.einsum("...lk,...l->...k", jnp.broadcast_to(inverse, (len(rows), *inverse.shape[1:])), half)
  distance = (residual**2 * precision).sum(-1) - jnp.square(half).sum(-1)
  volume = (present * jnp.log(2 * jnp.pi * model.noise)).sum(-1)
  volume += 2 * jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)).sum(-1)
  return Posterior(mean, covariance, -0.5 * (distance + volume))


def closed_form(mean, covariance: Float[Array, "feature feature"], latents: int, floor: float) -> Factors:
  """The PPCA of highest likelihood, by the covariance's eigenvectors (Tipping & Bishop 1999a, equations 7 and 8)."""
  values, vectors = jnp.linalg.eigh(covariance)
  values, vectors = values[::-1], vectors[:, ::-1]
  noise = jnp.maximum(values[latents:].mean(), floor)
  return of_spectrum(mean, values[:latents], vectors[:, :latents], noise)


def of_spectrum(mean, values, vectors: Float[Array, "feature latent"], noise) -> Factors:
  """W = V √(Λ - σ²), with the rotation that keeps the axes apart; signs such that the largest weight is positive."""
  largest = jnp.take_along_axis(vectors, jnp.abs(vectors).argmax(0)[None], 0)
  loadings = vectors * jnp.sign(largest) * jnp.sqrt(jnp.maximum(values - noise, 0))
  return Factors(mean, loadings, jnp.full(len(vectors), noise, loadings.dtype))


class Family(NamedTuple):
  """What `statistics.statistics_learner` asks of a family."""

  init: Any
  expect: Any
  maximise: Any
  evaluate: Any


@struct.dataclass
class Mixture:
  """Several models.

  Attributes:
    weights: of the components.
    components: [component, ...].
    centre: fixed: the origin that moments are taken from, lest they cancel.
  """

  weights: Float[Array, " component"]
  components: Factors
  centre: Float[Array, " feature"]


@struct.dataclass
class Moments:
  """Expected sums over examples, of rows less the centre."""

  counts: Float[Array, " component"]
  sums: Float[Array, "component feature"]
  products: Float[Array, "component feature feature"]


def log_joint(mixture: Mixture, rows: Rows) -> Float[Array, "row component"]:
  """log p(x, component), nats."""
  densities = jax.vmap(lambda one: infer(one, rows).log_density, out_axes=1)(mixture.components)
  return densities + jnp.log(mixture.weights)


def ppca(latents: int, components: int = 1, floor: float = 1e-6) -> Family:
  """PPCA in closed form: one update on the whole set is the maximum; of several components, EM (1999b, appendix C).

  Args:
    latents: of each component, fewer than features.
    components: of the mixture.
    floor: of the noise's variance.
  """

  def maximise(mixture: Mixture, moments: Moments) -> Mixture:
    # A component that has lost its examples stays as it was.
    alive = moments.counts > latents
    counts = jnp.where(alive, moments.counts, 1)
    means = moments.sums / counts[:, None]
    covariances = moments.products / counts[:, None, None] - means[:, :, None] * means[:, None]
    one = lambda mean, covariance: closed_form(mean, covariance, latents, floor)
    new = jax.vmap(one)(means + mixture.centre, covariances)
    kept = lambda a, b: jnp.where(alive.reshape(-1, *(1,) * (a.ndim - 1)), a, b)
    weights = jnp.maximum(moments.counts / moments.counts.sum(), 1e-12)
    return Mixture(weights, jax.tree.map(kept, new, mixture.components), mixture.centre)

  def init(key, batch):
    rows, mask = batch["inputs"], batch["mask"]
    centre = (mask[:, None] * rows).sum(0) / mask.sum()
    features = rows.shape[1]
    spread = (mask[:, None] * jnp.square(rows - centre)).sum(0) / mask.sum()
    blank = Factors(
      jnp.tile(centre, (components, 1)),
      jnp.zeros((components, features, latents), rows.dtype),
      jnp.full((components, features), spread.mean() + floor, rows.dtype),
    )
    mixture = Mixture(jnp.full(components, 1 / components, rows.dtype), blank, centre)
    if components == 1:
      return mixture
    active = jnp.ones(components, bool)
    seeds = kmeans.plus_plus(key, rows, mask, components)
    _, labels = kmeans.lloyd(rows, mask, seeds, active, 50)
    share = jax.nn.one_hot(labels, components, dtype=rows.dtype) * mask[:, None]
    return maximise(mixture, _moments(share, rows - centre))

  def expect(mixture: Mixture, batch, key):
    del key
    joint = log_joint(mixture, batch["inputs"])
    density = jax.nn.logsumexp(joint, -1)
    share = jnp.exp(joint - density[:, None]) * batch["mask"][:, None]
    metrics = {"log_likelihood": Mean.of(density, batch["mask"])}
    return _moments(share, batch["inputs"] - mixture.centre), metrics

  def evaluate(mixture: Mixture, batch):
    return {"log_likelihood": Mean.of(jax.nn.logsumexp(log_joint(mixture, batch["inputs"]), -1), batch["mask"])}

  return Family(init, expect, maximise, evaluate)


def _moments(share: Float[Array, "row component"], rows: Rows) -> Moments:
  products = jax.lax.map(lambda weight: (rows * weight[:, None]).T @ rows, share.T)
  return Moments(share.sum(0), share.T @ rows, products)


@struct.dataclass
class Centred:
  """One model and the fixed origin that moments are taken from."""

  model: Factors
  centre: Float[Array, " feature"]


@struct.dataclass
class Regression:
  """Sums of a regression of each feature on the latents and a constant, which is the last; rows less the centre.

  Attributes:
    inner: Σ E[z̃ z̃ᵀ]; without missing values the same for all features, [1, latent, latent].
    cross: Σ x E[z̃].
    squares: Σ x².
    counts: how many of each feature are observed.
  """

  inner: Float[Array, "any latent latent"]
  cross: Float[Array, "feature latent"]
  squares: Float[Array, " feature"]
  counts: Float[Array, " feature"]


def factor_analysis(latents: int, *, shared: bool = False, missing: bool = False, floor: float = 1e-6) -> Family:
  """Factor analysis by EM, or PPCA by EM (1999a, section 3.2).  A batch has `inputs`, `mask`; if `missing`, `observed`.

  Args:
    latents: fewer than features.
    shared: one variance for all features: PPCA.
    missing: whether some values are not observed; the likelihood is that of what is.
    floor: of the noise's variances.
  """
  observed_of = lambda batch: batch["observed"] if missing else None

  def init(key, batch):
    rows = batch["inputs"]
    present = batch["mask"][:, None] * (batch["observed"] if missing else jnp.ones_like(rows))
    count = jnp.maximum(present.sum(0), 1)
    mean = (present * rows).sum(0) / count
    spread = (present * jnp.square(rows - mean)).sum(0) / count
    loadings = jax.random.normal(key, (rows.shape[1], latents), rows.dtype) * jnp.sqrt(spread / latents)[:, None]
    noise = jnp.maximum(jnp.full_like(spread, spread.mean()) if shared else spread, floor)
    return Centred(Factors(mean, loadings, noise), mean)

  def expect(params: Centred, batch, key):
    del key
    rows, mask = batch["inputs"], batch["mask"]
    posterior = infer(params.model, rows, observed_of(batch))
    present = mask[:, None] * (batch["observed"] if missing else jnp.ones_like(rows))
    latent = jnp.concatenate([posterior.mean, jnp.ones((len(rows), 1), rows.dtype)], 1)
    spread = jnp.pad(posterior.covariance, ((0, 0), (0, 1), (0, 1)))
    away = present * (rows - params.centre)
    if missing:
      inner = jnp.einsum("rf,rkl->fkl", present, latent[:, :, None] * latent[:, None] + spread)
    else:
      inner = ((mask[:, None] * latent).T @ latent + mask.sum() * spread[0])[None]
    statistics = Regression(inner, away.T @ latent, (away**2).sum(0), present.sum(0))
    return statistics, {"log_likelihood": Mean.of(posterior.log_density, mask)}

  def maximise(params: Centred, sums: Regression) -> Centred:
    ridge = 1e-9 * jnp.eye(latents + 1, dtype=sums.cross.dtype)  # of a feature that no row has
    inner = jnp.broadcast_to(sums.inner + ridge, (len(sums.cross), latents + 1, latents + 1))
    weights = jnp.linalg.solve(inner, sums.cross[..., None])[..., 0]
    left = sums.squares - (weights * sums.cross).sum(-1)
    if shared:
      noise = jnp.full_like(left, left.sum() / jnp.maximum(sums.counts.sum(), 1))
    else:
      noise = jnp.where(sums.counts > 0, left / jnp.maximum(sums.counts, 1), params.model.noise)
    model = Factors(params.centre + weights[:, -1], weights[:, :-1], jnp.maximum(noise, floor))
    return Centred(model, params.centre)

  def evaluate(params: Centred, batch):
    posterior = infer(params.model, batch["inputs"], observed_of(batch))
    return {"log_likelihood": Mean.of(posterior.log_density, batch["mask"])}

  return Family(init, expect, maximise, evaluate)


@struct.dataclass
class Subspace:
  """A model, and the directions that the next pass multiplies the covariance with.

  Attributes:
    model: of the pass before.
    centre: fixed origin of the moments.
    directions: orthonormal.
  """

  model: Factors
  centre: Float[Array, " feature"]
  directions: Float[Array, "feature direction"]


@struct.dataclass
class Products:
  """Sums over examples of rows x less the centre: how many, Σ x, Σ |x|², Σ x xᵀQ."""

  count: Float[Array, ""]
  sums: Float[Array, " feature"]
  square: Float[Array, ""]
  products: Float[Array, "feature direction"]


def subspace_iteration(latents: int, oversampling: int = 10, floor: float = 1e-6) -> Family:
  """PPCA by randomised subspace iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4), a pass an update.

  The covariance is never made: each device multiplies its own rows, and sums of [feature, direction] go between them.

  Args:
    latents: fewer than features.
    oversampling: directions beside those that are asked for.
    floor: of the noise's variance.
  """

  def init(key: Key[Array, ""], batch):
    rows, mask = batch["inputs"], batch["mask"]
    centre = (mask[:, None] * rows).sum(0) / mask.sum()
    spread = (mask[:, None] * jnp.square(rows - centre)).sum() / mask.sum() / rows.shape[1]
    width = min(latents + oversampling, rows.shape[1])
    directions = jnp.linalg.qr(jax.random.normal(key, (rows.shape[1], width), rows.dtype))[0]
    blank = jnp.zeros((rows.shape[1], latents), rows.dtype)
    return Subspace(Factors(centre, blank, jnp.full(rows.shape[1], spread + floor)), centre, directions)

  def expect(params: Subspace, batch, key):
    del key
    rows = batch["mask"][:, None] * (batch["inputs"] - params.centre)
    statistics = Products(batch["mask"].sum(), rows.sum(0), jnp.square(rows).sum(), rows.T @ (rows @ params.directions))
    return statistics, evaluate(params, batch)

  def maximise(params: Subspace, sums: Products) -> Subspace:
    directions, mean = params.directions, sums.sums / sums.count
    image = sums.products / sums.count - jnp.outer(mean, mean @ directions)
    inner = directions.T @ image
    values, rotation = jnp.linalg.eigh((inner + inner.T) / 2)
    values, rotation = values[::-1][:latents], rotation[:, ::-1][:, :latents]
    rest = sums.square / sums.count - mean @ mean - values.sum()
    noise = jnp.maximum(rest / (len(mean) - latents), floor)
    model = of_spectrum(params.centre + mean, values, directions @ rotation, noise)
    return Subspace(model, params.centre, jnp.linalg.qr(image)[0])

  def evaluate(params: Subspace, batch):
    return {"log_likelihood": Mean.of(infer(params.model, batch["inputs"]).log_density, batch["mask"])}

  return Family(init, expect, maximise, evaluate)
