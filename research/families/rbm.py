"""Restricted Boltzmann machines: visible units that see only hidden ones (Hinton 2002; Tieleman 2008).

Of Bernoulli visible units, E(v, h) = -v·b - h·c - v W h; of Gaussian ones of variance 1, ½|v - b|² - h·c - v W h.  The
gradient is the enhanced, centred one (Cho, Raiko & Ilin 2011; Montavon & Müller 2012): units are taken about their
means, which makes it the same whichever of 0 and 1 stands for black.

Several in a stack are a deep belief net (Hinton, Osindero & Teh 2006), learnt one after the other: each sees what the
one below takes for its hidden units' probabilities.  Log-likelihoods are nats, log Z by annealed importance sampling.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from research import axes, randomness
from research.metrics import Mean

DEFINITIONS = {
  "reconstruction": "mean squared difference of visible units and their mean given the hidden units' probabilities",
  "free_energy": "free energy of an example under the machine, nats; log p(v) = -free energy - log Z",
  "pseudo_log_likelihood": "number of visible units times the log-probability of a random one given all others",
}
BERNOULLI, GAUSSIAN = "bernoulli", "gaussian"


@struct.dataclass
class Machine:
  """The parameters of one machine.

  Attributes:
    weights: W.
    visible: b; of Gaussian units the means without hidden ones.
    hidden: c.
    kind: of the visible units: bernoulli or gaussian.
  """

  weights: Float[Array, "visible hidden"]
  visible: Float[Array, " visible"]
  hidden: Float[Array, " hidden"]
  kind: str = struct.field(pytree_node=False, default=BERNOULLI)


Visible = Float[Array, "*batch visible"]


def inputs_of(machine: Machine, visible: Visible) -> Float[Array, "*batch hidden"]:
  """Log-odds of the hidden units."""
  return visible @ machine.weights + machine.hidden


def free_energy(machine: Machine, visible: Visible) -> Float[Array, "*batch"]:
  """-log Σ_h exp(-E(v, h)), nats (Hinton 2012, equation 25)."""
  own = visible @ machine.visible
  if machine.kind == GAUSSIAN:
    own = -0.5 * jnp.square(visible - machine.visible).sum(-1)
  return -own - jax.nn.softplus(inputs_of(machine, visible)).sum(-1)


def mean_visible(machine: Machine, hidden: Float[Array, "*batch hidden"]) -> Visible:
  """Mean of the visible units given the hidden ones."""
  activation = hidden @ machine.weights.T + machine.visible
  return activation if machine.kind == GAUSSIAN else jax.nn.sigmoid(activation)


def between(machine: Machine, base: Float[Array, " visible"], beta) -> Machine:
  """The machine on the way from one without connections, of visible biases `base`, at 0, to itself, at 1.

  Salakhutdinov & Murray 2008, equation 17; of several `beta` [temperature] one machine a row.
  """
  beta = jnp.asarray(beta)
  along = lambda x: beta.reshape(beta.shape + (1,) * x.ndim) * x
  visible = along(machine.visible) + along(-base) + base
  return Machine(along(machine.weights), visible, along(machine.hidden), machine.kind)


def gibbs(machine: Machine, visible: Float[Array, "chain visible"], keys: Key[Array, " chain"]):
  """One sweep: the hidden units given the visible ones, and these given those; every chain by a key of its own."""
  count, hidden = visible.shape[-1], machine.hidden.shape[-1]
  if machine.kind == GAUSSIAN:
    draw = lambda key: (jax.random.uniform(key, (hidden,)), jax.random.normal(jax.random.fold_in(key, 1), (count,)))
    uniform, noise = jax.vmap(draw)(keys)
    state = (uniform < jax.nn.sigmoid(inputs_of(machine, visible))).astype(visible.dtype)
    return mean_visible(machine, state) + noise
  uniform = jax.vmap(lambda key: jax.random.uniform(key, (hidden + count,)))(keys)
  state = (uniform[:, :hidden] < jax.nn.sigmoid(inputs_of(machine, visible))).astype(visible.dtype)
  return (uniform[:, hidden:] < mean_visible(machine, state)).astype(visible.dtype)


def run(machine: Machine, visible: Float[Array, "chain visible"], keys: Key[Array, " chain"], sweeps: int):
  """The chains after so many sweeps."""
  step = lambda i, v: gibbs(machine, v, randomness.fold_in(keys, i))
  return jax.lax.fori_loop(0, sweeps, step, visible)


def swap(
  machine: Machine,
  base: Float[Array, " visible"],
  chains: Float[Array, "chain temperature visible"],
  betas: Float[Array, " temperature"],
  keys: Key[Array, " chain"],
) -> Float[Array, "chain temperature visible"]:
  """Neighbouring temperatures trade places as Metropolis has it, odd pairs or even ones (Desjardins et al. 2010)."""
  at = lambda beta, v: free_energy(between(machine, base, beta), v)
  energy = jax.vmap(at, (0, 1), 1)(betas, chains)  # of each at its own temperature
  up = jax.vmap(at, (0, 1), 1)(betas[1:], chains[:, :-1])  # of each at that of the next
  down = jax.vmap(at, (0, 1), 1)(betas[:-1], chains[:, 1:])
  gain = energy[:, :-1] + energy[:, 1:] - up - down
  count = len(betas)
  draw = lambda key: (jax.random.uniform(key, (count - 1,)), jax.random.bernoulli(jax.random.fold_in(key, 1)))
  uniform, odd = jax.vmap(draw)(keys)
  pair = jnp.arange(count - 1) % 2 == odd[:, None].astype(int)
  taken = pair & (jnp.log(uniform) < gain)
  place = jnp.arange(count) + jnp.pad(taken, ((0, 0), (0, 1))) - jnp.pad(taken, ((0, 0), (1, 0))).astype(int)
  return jnp.take_along_axis(chains, place[..., None], 1)


class Negative(NamedTuple):
  """Where the negative phase's samples come from.

  Attributes:
    kind: cd (from the data), pcd (chains that go on), tempering (chains at several temperatures that go on).
    sweeps: of Gibbs sampling for each update.
    temperatures: of tempering.
  """

  kind: str = "pcd"
  sweeps: int = 1
  temperatures: int = 10

  @property
  def betas(self) -> Float[np.ndarray, " temperature"]:
    """Inverse temperatures, from 0, where units are independent, to 1."""
    return np.linspace(0, 1, self.temperatures, dtype=np.float32)


PERSISTENT = Negative()


def negative_phase(negative: Negative, machine: Machine, base, start, keys: Key[Array, " chain"]):
  """(samples [chain, visible], chains to go on from): `start` is the data, or the chains as they were left."""
  if negative.kind != "tempering":
    visible = run(machine, start, keys, negative.sweeps)
    return visible, visible
  betas = jnp.asarray(negative.betas)
  one = lambda beta, v, i: run(
    between(machine, base, beta), v, randomness.fold_in(keys, jnp.int32(1000) + i), negative.sweeps
  )
  chains = jax.vmap(one, (0, 1, 0), 1)(betas, start, jnp.arange(len(betas)))
  chains = swap(machine, base, chains, betas, randomness.fold_in(keys, 999))
  return chains[:, -1], chains


class Stack(NamedTuple):
  """What `steps.gradient_learner` asks of a family; made by `rbm`.  `init_carry` is None where chains do not go on."""

  init: Callable
  loss: Callable
  evaluate: Callable
  init_carry: Callable | None
  machines: Callable[[Any], tuple[Machine, ...]]
  base: Callable[[Any, int], Float[Array, " visible"]]


def rbm(
  hidden: Sequence[int],
  kind: str = BERNOULLI,
  negative: Negative = PERSISTENT,
  *,
  average: Float[np.ndarray, " visible"],
  decay: float = 1e-4,
  rate: float = 0.01,
  scale: float = 0.01,
) -> Stack:
  """One machine, or a stack of them.  A batch has `inputs` [row, visible], `mask`, and of a stack `layer`, the one
  that learns [row].

  Args:
    hidden: units of each machine, from the data up.
    kind: of the lowest visible units: bernoulli (0 to 1) or gaussian (of variance about 1).
    negative: phase.
    average: of the data: where the visible biases begin, and what log Z is annealed from.
    decay: weight of half the sum of the weights' squares.
    rate: at which the means follow that units are taken about.
    scale: standard deviation of the weights at the start.
  """
  kinds = (kind, *(BERNOULLI for _ in hidden[1:]))

  def init(key, batch):
    del batch
    return _start(key, hidden, kinds, average, scale)

  def machines(variables):
    return tuple(Machine(**variables["params"][f"layer_{i}"], kind=kinds[i]) for i in range(len(hidden)))

  def base_of(variables, i):
    return variables["means"][f"layer_{i}"]["base"]

  def init_carry(batch):
    rows = batch["inputs"]
    seen = [rows, *(jnp.full((len(rows), units), 0.5, rows.dtype) for units in hidden[:-1])]
    if negative.kind == "tempering":
      seen = [jnp.repeat(each[:, None], negative.temperatures, 1) for each in seen]
    return tuple(seen)

  def loss(variables, batch, key, carry=None):
    keys = randomness.example_keys(randomness.stream_key(key, "gibbs"), len(batch["mask"]))
    fixed = jax.lax.stop_gradient(machines(variables))
    seen, chains, means, total = batch["inputs"], [], {}, jnp.zeros(())
    for i, machine in enumerate(machines(variables)):
      start, own = seen if carry is None else carry[i], variables["means"][f"layer_{i}"]
      samples, left = negative_phase(negative, fixed[i], own["base"], start, randomness.fold_in(keys, 7919 + i))
      weight = batch["mask"] * (batch["layer"] == i) if len(hidden) > 1 else batch["mask"]
      value, means[f"layer_{i}"] = _contrast(machine, seen, samples, weight, own, rate)
      total = total + value + 0.5 * decay * weight.sum() * jnp.square(machine.weights).sum()
      chains.append(left)
      seen = jax.nn.sigmoid(inputs_of(fixed[i], seen))
    mean_and_extras = Mean(total, batch["mask"].sum()), ({}, {"means": means})
    return mean_and_extras if carry is None else (mean_and_extras[0], (*mean_and_extras[1], tuple(chains)))

  measure = lambda variables, batch: measures(machines(variables)[0], batch)
  if negative.kind == "cd":
    return Stack(init, loss, measure, None, machines, base_of)
  evaluate = lambda variables, batch, carry: (measure(variables, batch), carry)
  return Stack(init, loss, evaluate, init_carry, machines, base_of)


def _start(key, hidden, kinds, average, scale: float) -> dict[str, Any]:
  """Small weights, the biases of independent units; `means`, that units are taken about, and the biases as `base`."""
  params, means, below = {}, {}, average
  for i, units in enumerate(hidden):
    share = jnp.clip(below, 0.01, 0.99)
    bias = below if kinds[i] == GAUSSIAN else jnp.log(share / (1 - share))
    noise = scale * jax.random.normal(jax.random.fold_in(key, i), (len(below), units))
    params[f"layer_{i}"] = {"weights": noise, "visible": jnp.array(bias), "hidden": jnp.zeros(units)}
    middle = {"visible": jnp.array(below), "hidden": jnp.full(units, 0.5)}
    means[f"layer_{i}"] = {**middle, "base": jnp.array(bias)}  # copies: each is donated
    below = jnp.full(units, 0.5)
  return {"params": params, "means": means}


def measures(machine: Machine, batch) -> dict[str, Mean]:
  """Of a batch, what `DEFINITIONS` names."""
  rows, mask = batch["inputs"], batch["mask"]
  again = mean_visible(machine, jax.nn.sigmoid(inputs_of(machine, rows)))
  metrics = {
    "reconstruction": Mean.of(jnp.square(again - rows).mean(-1), mask),
    "free_energy": Mean.of(free_energy(machine, rows), mask),
  }
  if machine.kind == BERNOULLI:
    places = axes.index() * len(rows) + jnp.arange(len(rows))
    metrics["pseudo_log_likelihood"] = Mean.of(pseudo_log_likelihood(machine, rows, places), mask)
  return metrics


def _contrast(machine: Machine, data, samples, weight, means, rate: float):
  """The gap of free energies, summed, whose gradient is the centred one; and the means after this batch.

  ∇W = Σ (v - μ)(h - λ) over data less that over samples; ∇b = Σ v - Σ v' - ∇W λ; ∇c = Σ h - Σ h' - μ ∇W.
  """
  fixed = jax.lax.stop_gradient(machine)
  rows = weight[:, None]
  up, down = (jax.nn.sigmoid(inputs_of(fixed, v)) for v in (data, samples))
  mu, lam = means["visible"], means["hidden"]
  slope = (rows * (data - mu)).T @ (up - lam) - (rows * (samples - mu)).T @ (down - lam)
  visible, hidden = (rows * (data - samples)).sum(0), (rows * (up - down)).sum(0)
  linear = jnp.vdot(slope, machine.weights)
  linear += (visible - slope @ lam) @ machine.visible + (hidden - mu @ slope) @ machine.hidden
  gap = (weight * (free_energy(fixed, data) - free_energy(fixed, samples))).sum()
  moved = axes.psum(Mean((rows * data).sum(0), weight.sum())), axes.psum(Mean((rows * up).sum(0), weight.sum()))
  follow = lambda old, new: jnp.where(new.count > 0, old + rate * (new.total / jnp.maximum(new.count, 1) - old), old)
  after = {**means, "visible": follow(mu, moved[0]), "hidden": follow(lam, moved[1])}
  return gap - linear + jax.lax.stop_gradient(linear), after


def pseudo_log_likelihood(machine: Machine, visible: Float[Array, "row visible"], places: Int[Array, " row"]):
  """Number of units times log p(one unit | the others), of Bernoulli units; which one, the row's place says. [row]"""
  count = visible.shape[-1]
  draw = jax.vmap(lambda key: jax.random.randint(key, (), 0, count))(randomness.evaluation_keys(places, "unit"))
  flip = jax.nn.one_hot(draw, count, dtype=visible.dtype)
  other = visible * (1 - flip) + (1 - visible) * flip
  return count * jax.nn.log_sigmoid(free_energy(machine, other) - free_energy(machine, visible))


def conditional_log_likelihood(machine: Machine, visible: Visible) -> Float[Array, "*batch"]:
  """Σ_i log p(v_i | all others), of Bernoulli units, nats: what `pseudo_log_likelihood` is of one unit (Besag 1975)."""
  inputs = inputs_of(machine, visible)
  here = jax.nn.softplus(inputs).sum(-1)

  def of_unit(unit):
    change = 1 - 2 * visible[..., unit]
    there = jax.nn.softplus(inputs + change[..., None] * machine.weights[unit]).sum(-1)
    return jax.nn.log_sigmoid(here - there - change * machine.visible[unit])

  return jax.lax.map(of_unit, jnp.arange(visible.shape[-1])).sum(0)


class Annealed(NamedTuple):
  """What annealed importance sampling finds.

  Attributes:
    log_partition: log Z, nats.
    error: its standard error, nats.
    samples: the chains at the end, [chain, visible].
    low, high: log Z less and more three standard errors, of Z itself (Salakhutdinov & Murray 2008, table 1).
  """

  log_partition: Float[Array, ""]
  error: Float[Array, ""]
  samples: Float[Array, "chain visible"]
  low: Float[Array, ""]
  high: Float[Array, ""]


def anneal(
  machine: Machine, base: Float[Array, " visible"], key: Key[Array, ""], temperatures: int = 1000, chains: int = 100
) -> Annealed:
  """log Z by annealed importance sampling from independent units of biases `base` (Salakhutdinov & Murray 2008, 4.1).

  Args:
    machine: whose Z is asked for.
    base: visible biases where the path begins, the data's log-odds (Gaussian units: their means).
    key: of the chains.
    temperatures: of the path.
    chains: independent ones, whose weights' mean is unbiased for Z over that of the base.
  """
  keys = randomness.place_keys(key, jnp.arange(chains))
  apart = between(machine, base, 0.0)
  start = gibbs(apart, jnp.zeros((chains, len(base)), base.dtype), randomness.fold_in(keys, 0))
  one = 0.5 * len(base) * jnp.log(2 * jnp.pi) if machine.kind == GAUSSIAN else jax.nn.softplus(base).sum()
  first = one + len(machine.hidden) * jnp.log(2.0)

  def step(i, carry):
    visible, weights = carry
    before, after = (between(machine, base, (i + j) / temperatures) for j in (0, 1))
    weights = weights + free_energy(before, visible) - free_energy(after, visible)
    return gibbs(after, visible, randomness.fold_in(keys, i + 1)), weights

  samples, weights = jax.lax.fori_loop(0, temperatures, step, (start, jnp.zeros(chains, base.dtype)))
  highest = weights.max()
  relative = jnp.exp(weights - highest)
  mean = relative.mean()
  error = relative.std(ddof=1) / mean / jnp.sqrt(chains)
  log_partition = first + highest + jnp.log(mean)
  low = jnp.log(jnp.maximum(1 - 3 * error, 1e-30))
  return Annealed(log_partition, error, samples, log_partition + low, log_partition + jnp.log1p(3 * error))


def enumerated_log_partition(machine: Machine) -> Float[Array, ""]:
  """log Z exactly, by all states of the hidden units: of a few alone."""
  units = len(machine.hidden)
  states = (jnp.arange(2**units)[:, None] >> jnp.arange(units) & 1).astype(machine.weights.dtype)
  reach = states @ machine.weights.T
  own = states @ machine.hidden
  if machine.kind == GAUSSIAN:
    across = 0.5 * jnp.square(reach).sum(-1) + reach @ machine.visible
    return jax.nn.logsumexp(own + across) + 0.5 * len(machine.visible) * jnp.log(2 * jnp.pi)
  return jax.nn.logsumexp(own + jax.nn.softplus(reach + machine.visible).sum(-1))
