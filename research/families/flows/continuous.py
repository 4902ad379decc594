"""Continuous flows: data move along dx/dt = v(x, t) to noise, t from 0 to 1 (Chen et al. 2018; Grathwohl et al. 2019).

log p(x) = log p(y) + the integral of div v along the way (Grathwohl et al. 2019, equation 2), by the solver of the
diffusion family's likelihoods: Runge-Kutta of fourth order at fixed steps.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from research import randomness
from research.errors import UserError
from research.families.diffusion import likelihood
from research.families.flows import base as base_lib
from research.families.flows.model import Flow
from research.metrics import Mean

_LEVELS = 1000.0  # networks of the diffusion family are told the time in these units


def continuous(
  network: nn.Module, shape: tuple[int, ...], *, base: base_lib.Base, steps: int, probes: int = 0, classes: int = 0
) -> Flow:
  """A flow by a network of velocities, which may be any: nothing in it need be invertible.

  Args:
    network: `(x, level, label, train) -> v` of x's shape, level [batch] the time from 0 to 1,000
      (`networks.conditioned`).
    shape: of an example.
    base: of the noise.
    steps: of the solver, each of four evaluations of the network.
    probes: of Hutchinson's estimate of the divergence in training (equation 7), drawn once for the whole way; 0:
      exactly.  What is measured is always exact.
    classes: above 0 the network is told the label.

  Raises:
    UserError: no step, or a negative number of probes.
  """
  if steps < 1:
    raise UserError("config.model.steps", steps, "take at least one step.")
  if probes < 0:
    raise UserError("config.model.probes", probes, "give 0 for the exact divergence, or more.")
  times = jnp.linspace(0.0, 1.0, steps + 1)

  def field(variables, label):
    given = label if classes else None
    level = lambda x, t: jnp.full(len(x), _LEVELS * t)
    return lambda x, t: jnp.asarray(network.apply(variables, x, level(x, t), given, False))

  def integrated(rates, carry, times):
    advance = lambda carry, interval: (likelihood.runge_kutta(rates, carry, *interval), None)
    return jax.lax.scan(advance, carry, (times[:-1], times[1:]))[0]

  def density(variables, x, label, vectors):
    velocity = field(variables, label)
    rates = lambda carry, t: likelihood.velocity_and_divergence(lambda x: velocity(x, t), carry[0], vectors)
    y, divergence = integrated(rates, (x, jnp.zeros(len(x))), times)
    return base.log_prob(variables["params"].get("base"), y) + divergence

  def init(key, batch):
    x = batch["inputs"]
    variables = network.init(key, x, jnp.zeros(len(x)), batch["label"] if classes else None, False)
    return {**variables, "params": base_lib.with_base(base, variables["params"], key, shape)}

  def log_prob(variables, x, label, keys=None):
    del keys  # nothing is random in what is measured
    return density(variables, x, label, None)

  def loss(variables, batch, key):
    x, vectors = batch["inputs"], None
    if probes:
      keys = randomness.example_keys(randomness.stream_key(key, "probes"), len(x))
      draw = lambda key: jax.random.rademacher(key, (probes, *x.shape[1:]), x.dtype)
      vectors = jnp.moveaxis(jax.vmap(draw)(keys), 1, 0)
    return Mean.of(-density(variables, x, batch["label"], vectors), batch["mask"]), ({}, {})

  def evaluate(variables, batch):
    return {"nll": Mean.of(-log_prob(variables, batch["inputs"], batch["label"]), batch["mask"])}

  def noise(variables, x, label):
    return integrated(field(variables, label), x, times)

  def decode(variables, y, label):
    return integrated(field(variables, label), y, times[::-1])

  def sample(variables, keys, label, temperature=1.0):
    y = temperature * jax.vmap(lambda key: base.sample(variables["params"].get("base"), key, shape))(keys)
    return decode(variables, y, label)

  return Flow(init, loss, evaluate, log_prob, noise, decode, sample)
