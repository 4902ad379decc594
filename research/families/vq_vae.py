"""VQ-VAE: an autoencoder whose code is a map of entries of a codebook (van den Oord, Vinyals & Kavukcuoglu 2017).

The codebook follows moving averages of the encoder's outputs (appendix A.1), which are in the collection `codebook`:
`count` and `total` of the vectors that chose each entry, and `entries`, their quotient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from research import axes, randomness
from research.errors import UserError
from research.families.vae import Likelihood
from research.metrics import Mean

Codebook = dict[str, Array]

DEFINITIONS = {
  "loss": "negative log-likelihood of the image given its codes, plus the weighted commitment (van den Oord et al. "
  "2017, equation 3); nats an image",
  "reconstruction": "negative log-likelihood of the image given its codes; nats an image",
  "commitment": "squared distance of the encoder's vectors from their codes, summed over the map",
}


class VQVAE(NamedTuple):
  """The functions of a VQ-VAE.

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    codes: `codes(variables, inputs) -> [batch, rows, columns]`, indices.
    decode: `decode(variables, codes) -> parameters` of the pixels' distributions.
    likelihood: p(x | codes).
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  codes: Callable
  decode: Callable
  likelihood: Likelihood


def nearest(vectors: Float[Array, "... code"], entries: Float[Array, "entry code"]) -> Int[Array, "..."]:
  """The entry closest to each vector (equation 1), by |e|^2 - 2 v.e: |v|^2 is the same for all."""
  return (jnp.square(entries).sum(-1) - 2 * vectors @ entries.T).argmin(-1)


def straight_through(vectors: Float[Array, "..."], quantised: Float[Array, "..."]) -> Float[Array, "..."]:
  """`quantised`, with the gradient of the identity in `vectors` (section 3.2)."""
  return vectors + jax.lax.stop_gradient(quantised - vectors)


def updated(codebook: Codebook, vectors: Float[Array, "vector code"], weight, decay: float) -> Codebook:
  """The codebook after one batch (equations 6 to 8), the same on every device.

  Args:
    codebook: see above.
    vectors: of this device's examples.
    weight: [vector], 0 for padding.
    decay: gamma.
  """
  size = len(codebook["entries"])
  chosen = jax.nn.one_hot(nearest(vectors, codebook["entries"]), size, dtype=vectors.dtype) * weight[:, None]
  count, total = axes.psum((chosen.sum(0), chosen.T @ vectors))
  count = decay * codebook["count"] + (1 - decay) * count
  total = decay * codebook["total"] + (1 - decay) * total
  # Laplace smoothing: an entry that none has chosen for long would be a quotient of zeros.
  mass = count.sum()
  smooth = (count + 1e-5) / (mass + size * 1e-5) * mass
  return {"count": count, "total": total, "entries": total / smooth[:, None]}


def perplexity(counts: Float[Array, " entry"]) -> Float[Array, ""]:
  """exp of the entropy of the entries' frequencies: how many are in use, as it were."""
  frequency = counts / counts.sum()
  return jnp.exp(-(frequency * jnp.log(jnp.where(frequency > 0, frequency, 1))).sum())


def vq_vae(network: Any, likelihood: Likelihood, *, codes: int, commitment: float = 0.25, decay: float = 0.99) -> VQVAE:
  """A VQ-VAE over a network with `encode(inputs)` and `decode(codes)` (`autoencoder.VQAutoencoder`).

  Args:
    network: a Flax module.
    likelihood: p(x | codes).
    codes: entries of the codebook.
    commitment: beta, weight of the encoder's distance to its codes (equation 3).
    decay: of the moving averages.

  Raises:
    UserError: fewer than two codes, or a decay outside [0, 1).
  """
  if codes < 2:
    raise UserError("config.model.codes", codes, "give at least two.")
  if not 0 <= decay < 1:
    raise UserError("config.model.code_decay", decay, "give one in [0, 1).")

  def init(key, batch):
    both = lambda module, x: (module.decode(module.encode(x)), module.encode(x))[1]
    vectors, variables = network.init_with_output(key, batch["inputs"], method=both)
    vectors = vectors.reshape(-1, vectors.shape[-1])
    # Entries start as vectors of the first batch: where the encoder is, each is some vector's nearest.
    index = jax.random.choice(randomness.stream_key(key, "codebook"), len(vectors), (codes,), len(vectors) < codes)
    noise = 1e-3 * jax.random.normal(randomness.stream_key(key, "noise"), (codes, vectors.shape[-1]))
    entries = vectors[index] + noise * vectors.std()
    return {**variables, "codebook": {"count": jnp.ones(codes), "total": entries, "entries": entries}}

  def split(variables):
    weights = {name: value for name, value in variables.items() if name != "codebook"}
    return weights, variables["codebook"]

  def terms(variables, batch):
    weights, codebook = split(variables)
    vectors = network.apply(weights, batch["inputs"], method="encode")
    index = nearest(vectors, codebook["entries"])
    quantised = codebook["entries"][index]
    outputs = network.apply(weights, straight_through(vectors, quantised), method="decode")
    distance = jnp.square(vectors - jax.lax.stop_gradient(quantised))
    distance = distance.reshape(len(distance), -1).sum(-1)
    return -likelihood.log_prob(outputs, batch["inputs"]), distance, vectors, index

  def loss(variables, batch, key):
    del key  # nothing is random in it
    reconstruction, distance, vectors, _ = terms(variables, batch)
    seen = jax.lax.stop_gradient(vectors).reshape(-1, vectors.shape[-1])
    weight = jnp.repeat(batch["mask"], vectors[0, ..., 0].size)
    codebook = updated(variables["codebook"], seen, weight, decay)
    metrics = {"reconstruction": Mean.of(reconstruction, batch["mask"]), "commitment": Mean.of(distance, batch["mask"])}
    metrics["perplexity"] = Mean.constant(perplexity(codebook["count"]))
    return Mean.of(reconstruction + commitment * distance, batch["mask"]), (metrics, {"codebook": codebook})

  def evaluate(variables, batch):
    reconstruction, distance, _, _ = terms(variables, batch)
    values = {"loss": reconstruction + commitment * distance, "reconstruction": reconstruction, "commitment": distance}
    return {name: Mean.of(value, batch["mask"]) for name, value in values.items()}

  def codes_of(variables, inputs):
    weights, codebook = split(variables)
    return nearest(network.apply(weights, inputs, method="encode"), codebook["entries"])

  def decode(variables, index):
    weights, codebook = split(variables)
    return network.apply(weights, codebook["entries"][index], method="decode")

  return VQVAE(init, loss, evaluate, codes_of, decode, likelihood)
