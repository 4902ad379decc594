"""Diffusion of tokens: each is hidden at a random time, and a network tells what is hidden from what is not.

The absorbing process of Austin et al. 2021 (D3PM, section 3.1) in continuous time, with the parameterisation of Sahoo
et al. 2024 (MDLM): of z_t, in which every token is hidden with probability t by itself, a network tells p(x | z_t).
Hidden tokens are never what is told (zero masking probability), and what is not hidden stays (carry-over unmasking), so
the bound has no terms but those of hidden tokens (MDLM, eq. 10 with alpha_t = 1 - t; it is the same for any alpha):

  -log p(x) <= E_{t ~ U(0, 1)} [1 / t * sum over hidden l of -log p(x_l | z_t)].

Of n tokens, k are hidden with probability C(n, k) t^k (1 - t)^(n - k), whose integral over t, with 1 / t, is 1 / k.  So
the time can be integrated out, and the bound is a mean over k ~ U{1, ..., n} and over which k tokens are hidden:

  E_k E_{k hidden} [n / k * sum over hidden l of -log p(x_l | z)],

which is that of models of any order (Hoogeboom et al. 2022, eq. 4), has no division by small times, and less variance.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from research import axes, randomness
from research.errors import UserError
from research.families.language_model import cross_entropy
from research.metrics import Mean

MASK = 0
DEFINITIONS = {
  "loss": "bound of the negative log-likelihood in continuous time, nats a token",
  "loss_in_steps": "bound of the same for as many steps as the sampler takes, nats a token",
  "perplexity": "exp(loss), a bound too",
  "bits": "loss in bits a token",
}
Tokens = Int[Array, "rows time"]


class AbsorbingDiffusion(NamedTuple):
  """The functions of a diffusion of tokens; a batch has `targets` and `mask`, [rows, time].

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.  Where the mask is 0, tokens are given: the bound is
      that of the others given these.
    logits: `logits(variables, tokens)` [rows, time, vocabulary + 1] of what is hidden; of the rest they are not used.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  logits: Callable


def absorbing_diffusion(network: nn.Module, *, steps: int, draws: int = 1) -> AbsorbingDiffusion:
  """A diffusion of tokens over an encoder, in which `MASK` hides another.

  Args:
    network: `(tokens, train) -> vectors`, with a method `logits(vectors)`, as `networks.transformer.Encoder`; of a
      vocabulary of one more than the tokens, which are 1 and above.
    steps: of the sampler whose bound is `loss_in_steps`.
    draws: of an evaluation, of each row: they share its numbers of hidden tokens out among them.

  Raises:
    UserError: less than one step or draw.
  """
  for field, value in {"config.sampler.steps": steps, "config.data.draws": draws}.items():
    if value < 1:
      raise UserError(field, value, "give 1 or more.")
  run = lambda module, tokens, train: module.logits(module(tokens, train))

  def applied(variables, tokens, train: bool, rngs=None):
    logits = jnp.asarray(network.apply(variables, tokens, train, rngs=rngs, method=run))
    return logits.at[..., MASK].set(-jnp.inf)

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["targets"], False, method=run)

  def loss(variables, batch, key):
    rows, free = batch["targets"], batch["mask"] > 0
    places = axes.index() * len(rows) + jnp.arange(len(rows))
    # As even over the batch as the times of Kingma et al. 2021, appendix I.1.
    share = (jax.random.uniform(randomness.stream_key(key, "count")) + places / (len(rows) * axes.size())) % 1.0
    keys = randomness.example_keys(randomness.stream_key(key, "places"), len(rows))
    hidden = choose(free, counts(free, share), keys)
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    nll = _of_hidden(applied(variables, jnp.where(hidden, MASK, rows), True, rngs), rows, hidden)
    return Mean((nll * weights(free, hidden)).sum(), free.sum().astype(jnp.float32)), ({}, {})

  def evaluate(variables, batch):
    rows, free = batch["targets"], batch["mask"] > 0
    keys = row_keys(rows)

    def one(draw):
      draw_keys = randomness.fold_in(keys, draw)
      share = (draw + jax.vmap(jax.random.uniform)(randomness.stream_key(draw_keys, "count"))) / draws
      hidden = choose(free, counts(free, share), randomness.stream_key(draw_keys, "places"))
      nll = _of_hidden(applied(variables, jnp.where(hidden, MASK, rows), False), rows, hidden)
      return nll * weights(free, hidden), nll * weights(free, hidden, steps)

    bounds = [bound.mean(0) for bound in jax.lax.map(one, jnp.arange(draws))]
    count = free.sum().astype(jnp.float32)
    return {name: Mean(bound.sum(), count) for name, bound in zip(("loss", "loss_in_steps"), bounds)}

  return AbsorbingDiffusion(init, loss, evaluate, lambda variables, tokens: applied(variables, tokens, False))


def counts(free: Bool[Array, "rows time"], share: Float[Array, " rows"]) -> Int[Array, " rows"]:
  """How many of the free tokens of each row are hidden, 1 to all, of a number from 0 to 1; 0 where none is free."""
  number = free.sum(1)
  return jnp.minimum(1 + jnp.floor(share * number).astype(jnp.int32), number)


def choose(free: Bool[Array, "rows time"], count: Int[Array, " rows"], keys: Key[Array, " rows"]):
  """Bool [rows, time]: so many of the free tokens, each set of them as probable as any other."""
  scores = jax.vmap(lambda key: jax.random.uniform(key, free.shape[1:]))(keys)
  ranks = jnp.where(free, scores, 2.0).argsort(1).argsort(1)
  return ranks < count[:, None]


def weights(free: Bool[Array, "rows time"], hidden: Bool[Array, "rows time"], steps: int = 0) -> Float[Array, " rows"]:
  """What the sum over the hidden tokens of a row counts in its bound, where their number is drawn evenly.

  In continuous time (0 steps) n / k.  In T steps step i, from i / T to (i - 1) / T, unmasks a token with probability
  1 / i, which is what its term of the bound counts, so n * sum_i 1 / i * P(k of n are hidden at i / T) (Austin et al.
  2021, eq. 1, in closed form).
  """
  n, k = free.sum(1).astype(jnp.float32), hidden.sum(1).astype(jnp.float32)
  if not steps:
    return n / jnp.maximum(k, 1)
  i = jnp.arange(1, steps + 1, dtype=jnp.float32)
  time, n, k = i / steps, n[:, None], k[:, None]
  ways = jax.lax.lgamma(n + 1) - jax.lax.lgamma(k + 1) - jax.lax.lgamma(n - k + 1)
  log = ways + jax.scipy.special.xlogy(k, time) + jax.scipy.special.xlog1py(n - k, -time)
  return n[:, 0] * (jnp.exp(log) / i).sum(1)


def row_keys(rows: Tokens) -> Key[Array, " rows"]:
  """A key for each row by what is in it, so that an evaluation draws the same in any batch and on any device."""
  factors = jnp.arange(1, 2 * rows.shape[1], 2, dtype=jnp.uint32) * jnp.uint32(2654435769)
  digest = ((rows.astype(jnp.uint32) + 1) * factors).sum(1, dtype=jnp.uint32)
  return randomness.place_keys(randomness.stream_key(jax.random.key(0), "evaluation"), digest)


def sampler(logits: Callable, choice: Callable, steps: int) -> Callable[..., Tokens]:
  """`fill(variables, tokens, keys) -> tokens`: what is `MASK` is filled in, the rest stays.

  From t to s = t - 1 / steps every hidden token is told with probability (t - s) / t, whatever the others, and drawn
  from p(x | z_t) (MDLM, eq. 6).  All of the last step's are told at once.

  Args:
    logits: `logits(variables, tokens)`, of `AbsorbingDiffusion`.
    choice: `choice(keys, logits, None)`, of `generation.choosing`; a key a token.
    steps: number of steps, 1 or more.
  """

  def fill(variables, tokens: Tokens, keys: Key[Array, " rows"]) -> Tokens:
    def step(i, tokens):
      step_keys = randomness.fold_in(keys, i)
      which = jax.vmap(lambda key: jax.random.uniform(key, tokens.shape[1:]))(randomness.stream_key(step_keys, "which"))
      token_keys = jax.vmap(lambda key: jax.random.split(key, tokens.shape[1]))(
        randomness.stream_key(step_keys, "what")
      )
      told = logits(variables, tokens)
      values = choice(token_keys.reshape(-1), told.reshape(-1, told.shape[-1]), None).reshape(tokens.shape)
      return jnp.where((tokens == MASK) & (which * (steps - i) < 1), values, tokens)

    return jax.lax.fori_loop(0, steps, step, tokens)

  return fill


def _of_hidden(logits, rows: Tokens, hidden) -> Float[Array, " rows"]:
  """Sum over the hidden tokens of a row of -log p, nats."""
  return jnp.where(hidden, cross_entropy(logits, rows), 0.0).sum(1)
