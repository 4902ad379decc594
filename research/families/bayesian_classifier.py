"""Classifiers whose weights have a posterior: predictions are means over it, p(y | x, D) = E[p(y | x, w)].

Bayes by backprop (Blundell et al. 2015), dropout at test time (Gal & Ghahramani 2016), stochastic gradient Langevin
dynamics (Welling & Teh 2011), and Laplace's approximation of the last layer (Ritter et al. 2018). Deep ensembles are
`learner.ensemble`.  Each takes any network `(inputs, train) -> logits [batch, classes]`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from research import axes, randomness
from research.families import classifier as classifier_lib
from research.families.classifier import Classifier
from research.metrics import Mean


def _of(init: Callable, loss: Callable, log_probabilities: Callable) -> Classifier:
  """A classifier, whose `log_probabilities(variables, inputs) -> [batch, classes]` are means over the posterior."""
  evaluate = lambda variables, batch: classifier_lib.score(log_probabilities(variables, batch["inputs"]), batch)
  return Classifier(init, loss, evaluate, log_probabilities)


def by_backprop(
  network: nn.Module, examples: int, prior: float, start: float, draws: int, temperature: float = 1.0
) -> Classifier:
  """Independent normal weights N(mean, softplus(rho)²), fitted to the evidence lower bound (Blundell et al., eq. 2).

  Args:
    network: without batch normalisation.
    examples: in the training set, over which the divergence from the prior is spread.
    prior: standard deviation of every weight's normal prior.
    start: standard deviation of every weight at the beginning.
    draws: of the weights, that a prediction is the mean of.
    temperature: weight of the divergence; 1 is the bound, below 1 a colder posterior (Wenzel et al. 2020, section 2).
  """
  plain = classifier_lib.classifier(network)

  def init(key, batch):
    mean = plain.init(key, batch)["params"]
    rho = jnp.log(jnp.expm1(start))
    return {"params": {"mean": mean, "rho": jax.tree.map(lambda w: jnp.full_like(w, rho), mean)}}

  def drawn(params, key):
    flat, unravel = ravel_pytree(params["mean"])
    scale = jax.nn.softplus(ravel_pytree(params["rho"])[0])
    return {"params": unravel(flat + scale * jax.random.normal(key, flat.shape, flat.dtype))}

  def loss(variables, batch, key):
    params = variables["params"]
    mean, (metrics, _) = plain.loss(drawn(params, randomness.stream_key(key, "weights")), batch, key)
    divergence = normal_divergence(params["mean"], jax.tree.map(jax.nn.softplus, params["rho"]), prior) / examples
    metrics = {**metrics, "divergence": Mean(divergence * mean.count, mean.count)}
    return Mean(mean.total + temperature * divergence * mean.count, mean.count), (metrics, {})

  def log_probabilities(variables, inputs) -> Float[Array, "batch classes"]:
    one = lambda key: plain.log_probabilities(drawn(variables["params"], key), inputs)
    return classifier_lib.average_log_probabilities(jax.lax.map(one, jax.random.split(jax.random.key(0), draws)))

  return _of(init, loss, log_probabilities)


def normal_divergence(mean: Any, deviation: Any, prior: float) -> Float[Array, ""]:
  """KL(N(mean, deviation²) || N(0, prior²)) of independent normals, nats, summed over all leaves."""
  mean, deviation = ravel_pytree(mean)[0], ravel_pytree(deviation)[0]
  ratio = (deviation / prior) ** 2
  return 0.5 * (ratio + (mean / prior) ** 2 - 1 - jnp.log(ratio)).sum()


def by_dropout(network: nn.Module, draws: int) -> Classifier:
  """Dropout left on in prediction: the mean over `draws` masks (Gal & Ghahramani 2016, eq. 6)."""
  plain = classifier_lib.classifier(network)

  def log_probabilities(variables, inputs) -> Float[Array, "batch classes"]:
    logits = lambda key: jnp.asarray(network.apply(variables, inputs, train=True, rngs={"dropout": key}))
    one = lambda key: jax.nn.log_softmax(logits(key))
    return classifier_lib.average_log_probabilities(jax.lax.map(one, jax.random.split(jax.random.key(0), draws)))

  return _of(plain.init, plain.loss, log_probabilities)


class Langevin(NamedTuple):
  """State of `langevin`: the number of steps, and the draws kept [draw, ...], the oldest overwritten."""

  count: Array
  draws: Any


def langevin(
  rate: optax.Schedule,
  examples: int,
  prior: float,
  keep: tuple[int, int, int],
  seed: int,
  temperature: float = 1.0,
) -> optax.GradientTransformation:
  """w <- w + ε/2 ∇log p(w, D) + N(0, T ε), Welling & Teh 2011, eq. 4, as an optimizer of the mean loss.

  Args:
    rate: εN/2, by step: what a mean loss's gradient is multiplied by.
    examples: N, of the training set.
    prior: standard deviation of every weight's normal prior.
    keep: burn-in, steps between two kept draws, and their number.
    seed: of the noise.
    temperature: T; 1 draws from the posterior, below 1 from a colder one, p(w | D)^(1/T) (Wenzel et al. 2020).
  """
  burn_in, every, size = keep

  def init(params):
    return Langevin(jnp.int32(0), jax.tree.map(lambda w: jnp.zeros((size, *w.shape), w.dtype), params))

  def update(updates, state, params=None):
    step = jnp.asarray(rate(state.count))
    flat, unravel = ravel_pytree(params)
    noise = jax.random.normal(jax.random.fold_in(jax.random.key(seed), state.count), flat.shape, flat.dtype)
    drift = ravel_pytree(updates)[0] + flat / (examples * prior**2)
    moves = jnp.asarray(jnp.sqrt(2 * temperature * step / examples) * noise - step * drift)
    after = state.count + 1 - burn_in
    slot = jnp.maximum(after // every - 1, 0) % size
    kept = (after > 0) & (after % every == 0)
    put = lambda draws, new: draws.at[slot].set(jnp.where(kept, new, draws[slot]))
    draws = jax.tree.map(put, state.draws, unravel(flat + moves))
    return unravel(moves), Langevin(state.count + 1, draws)

  return optax.GradientTransformation(init, update)


def over_draws(network: nn.Module, state: Langevin, params: Any, inputs: Array, keep: tuple[int, int, int]) -> Array:
  """Log of the mean probability [batch, classes] over the draws kept, or of `params` until there is one."""
  burn_in, every, size = keep
  plain = classifier_lib.classifier(network)
  logs = jax.lax.map(lambda draw: plain.log_probabilities({"params": draw}, inputs), state.draws)
  count = jnp.clip((state.count - burn_in) // every, 0, size)
  some = jnp.where(jnp.arange(size)[:, None, None] < count, logs, -jnp.inf)
  mean = jax.nn.logsumexp(some, 0) - jnp.log(jnp.maximum(count, 1))
  return jnp.where(count > 0, mean, plain.log_probabilities({"params": params}, inputs))


def last_layer_laplace(
  network: nn.Module, examples: int, precision: float, decay: float, draws: int, last: str
) -> Classifier:
  """The last layer's weights as a Kronecker-factored normal around the trained ones (Ritter et al. 2018, section 3.2).

  The Fisher's factors, of the layer's inputs with a one for the bias, A = E[φφᵀ], and of the logits,
  B = E[diag(p) - ppᵀ], are moving averages over batches, in the collection `curvature`, corrected for their beginning.
  Posterior: N(W, (√N A + √τ I)⁻¹ ⊗ (√N B + √τ I)⁻¹), so logits at φ have covariance φᵀ(√N A + √τ I)⁻¹φ times the
  second factor, over which probabilities are averaged.

  Args:
    network: whose last layer is dense.
    examples: N, of the training set.
    precision: τ of the weights' normal prior.
    decay: of the moving averages.
    draws: of logits, that a prediction is the mean of.
    last: name of the last layer.
  """
  plain = classifier_lib.classifier(network)

  def init(key, batch):
    variables = plain.init(key, batch)
    _, features = with_features(network, variables, batch["inputs"], last)
    width, classes = features.shape[1], variables["params"][last]["bias"].shape[0]
    zeros = {"inputs": jnp.zeros((width, width)), "logits": jnp.zeros((classes, classes)), "weight": jnp.zeros(())}
    return {**variables, "curvature": zeros}

  def loss(variables, batch, key):
    curvature = variables["curvature"]
    others = {name: value for name, value in variables.items() if name != "curvature"}
    mean, (metrics, mutated) = plain.loss(others, batch, key)
    logits, features = jax.lax.stop_gradient(with_features(network, others, batch["inputs"], last))
    p, mask = jax.nn.softmax(logits), batch["mask"]
    weighted = mask[:, None] * p
    sums = {
      "inputs": (mask[:, None] * features).T @ features,
      "logits": jnp.diag(weighted.sum(0)) - weighted.T @ p,
      "weight": mask.sum(),
    }
    sums = axes.psum(sums)
    means = jax.tree.map(lambda s: s / jnp.maximum(sums["weight"], 1), sums)
    moved = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, curvature, means)
    return mean, (metrics, {**mutated, "curvature": moved})

  def log_probabilities(variables, inputs) -> Float[Array, "batch classes"]:
    others = {name: value for name, value in variables.items() if name != "curvature"}
    logits, features = with_features(network, others, inputs, last)
    curvature = variables["curvature"]
    of_inputs, of_logits = (
      inverse(curvature[name], curvature["weight"], examples, precision) for name in ("inputs", "logits")
    )
    variance = jnp.einsum("bi,ij,bj->b", features, of_inputs, features)
    root = jnp.linalg.cholesky(of_logits)
    noise = jax.random.normal(jax.random.key(0), (draws, logits.shape[1])) @ root.T
    moved = logits + jnp.sqrt(variance)[:, None] * noise[:, None]
    return classifier_lib.average_log_probabilities(jax.nn.log_softmax(moved))

  return _of(init, loss, log_probabilities)


def inverse(factor: Array, weight: Array, examples: int, precision: float) -> Array:
  """(√N factor/weight + √τ I)⁻¹ of a moving average whose weights sum to `weight`."""
  mean = factor / jnp.maximum(weight, 1e-6)
  return jnp.linalg.inv(jnp.sqrt(examples) * mean + jnp.sqrt(precision) * jnp.eye(len(mean)))


def with_features(network: nn.Module, variables: Any, inputs: Array, last: str) -> tuple[Array, Array]:
  """Logits [batch, classes], and what goes into the layer `last` with a one beside [batch, feature + 1]."""
  taken = []

  def intercept(function, args, kwargs, context):
    if context.module.name == last and context.method_name == "__call__":
      taken.append(args[0].astype(jnp.float32))
    return function(*args, **kwargs)

  with nn.intercept_methods(intercept):
    logits = network.apply(variables, inputs, train=False)
  return jnp.asarray(logits), jnp.concatenate([taken[0], jnp.ones((len(taken[0]), 1))], 1)


def entropy(log_probabilities: Float[np.ndarray, "example class"]) -> Float[np.ndarray, " example"]:
  """Of a predictive distribution, nats: high where the posterior does not know."""
  return -(np.exp(log_probabilities) * log_probabilities).sum(-1)
