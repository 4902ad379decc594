"""Learning hidden Markov models: against hmmlearn, enumeration, closed forms; and what bad data does."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hmmlearn import hmm as hmmlearn

from research.data import pipeline
from research.errors import UserError
from research.families.hmm import emissions, inference, learning
from research.training import parallel, statistics
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.precision import precision

STATES, FEATURES, SYMBOLS, COUNT, STEPS = 3, 2, 5, 12, 25


@pytest.fixture(autouse=True)
def double():
  with precision("float64"):
    yield


@functools.cache
def drawn():
  """Sequences of a sticky chain: states, a Gaussian's points, symbols and bits of each step; and lengths."""
  rng = np.random.default_rng(0)
  transition = 0.7 * np.eye(STATES) + 0.3 / STATES
  states = np.zeros((COUNT, STEPS), int)
  states[:, 0] = rng.integers(STATES, size=COUNT)
  for t in range(1, STEPS):
    states[:, t] = [rng.choice(STATES, p=transition[z]) for z in states[:, t - 1]]
  points = 1.5 * rng.normal(size=(STATES, FEATURES))[states] + rng.normal(size=(COUNT, STEPS, FEATURES))
  symbols = (rng.dirichlet(np.full(SYMBOLS, 0.4), STATES).cumsum(1)[states] < rng.random((COUNT, STEPS, 1))).sum(-1)
  bits = (rng.random((STATES, 4))[states] > rng.random((COUNT, STEPS, 4))).astype(float)
  return states, points, symbols.clip(max=SYMBOLS - 1), bits, rng.integers(1, STEPS + 1, size=COUNT)


def batch_of(inputs, length=None, **fields):
  length = drawn()[-1] if length is None else length
  fields |= {"inputs": inputs, "length": length, "mask": np.ones(len(inputs), np.float32)}
  return jax.tree.map(jnp.asarray, fields)


MODELS = {
  "categorical": (lambda: emissions.categorical(STATES, SYMBOLS), 2),
  "bernoulli": (lambda: emissions.bernoulli(STATES, 4), 3),
  "diag": (lambda: emissions.gaussian(STATES, FEATURES), 1),
  "full": (lambda: emissions.gaussian(STATES, FEATURES, covariance="full"), 1),
  "mixture": (lambda: emissions.mixture(STATES, 2, emissions.gaussian(STATES * 2, FEATURES)), 1),
}


@functools.cache
def model(name):
  build, field = MODELS[name]
  return learning.hmm(build()), batch_of(drawn()[field])


@functools.cache
def learner_of(family):
  return statistics.statistics_learner(
    init=family.init, expect=family.expect, maximise=family.maximise, evaluate=family.evaluate
  )


@functools.cache
def compiled(function):
  return jax.jit(function)


def started(family, batch):
  return compiled(learner_of(family).init)(jax.random.key(0), batch)


@functools.cache
def iteration(family):
  """An EM iteration without a learner around it."""

  def iterate(params, batch):
    counts, metrics = family.expect(params, batch, jax.random.key(0))
    return family.maximise(params, counts), metrics["nll"].value()

  return jax.jit(iterate)


def trained(family, batch, steps, params):
  """The parameters after some iterations, and the mean negative log-likelihood before each."""
  trace = []
  for _ in range(steps):
    params, nll = iteration(family)(params, batch)
    trace.append(float(nll))
  return params, trace


@pytest.mark.parametrize("name", MODELS)
def test_baum_welch_never_loses_likelihood(name):
  family, batch = model(name)
  state, trace = started(family, batch), []
  for _ in range(25):
    state, metrics = compiled(learner_of(family).update)(state, batch)
    trace.append(float(metrics["nll"].value()))
  assert np.diff(trace).max() < 1e-9
  assert trace[-1] < trace[0] - 0.05  # and it gains
  assert int(state.skipped) == 0


def start(*shape):
  """Distributions over the last axis."""
  return np.random.default_rng(1).dirichlet(np.ones(shape[-1]), shape[:-1])


def stored(initial, transition, **emission):
  params = {"initial": np.log(initial), "transition": np.log(transition), "emission": emission}
  return jax.tree.map(jnp.asarray, params)


def test_map_never_loses_posterior_density():
  family = learning.hmm(
    emissions.categorical(STATES, SYMBOLS, concentration=1.7), initial_concentration=1.2, transition_concentration=1.5
  )
  params, batch, densities = stored(start(3), start(3, 3), logits=np.log(start(3, 5))), batch_of(drawn()[2]), []
  for _ in range(8):
    new, (nll,) = trained(family, batch, 1, params)
    prior = 0.2 * params["initial"].sum() + 0.5 * params["transition"].sum() + 0.7 * params["emission"]["logits"].sum()
    densities.append(float(prior) - nll * drawn()[-1].sum())
    params = new
  assert np.diff(densities).min() > 0


def concatenated(inputs):
  return np.concatenate([x[:length] for x, length in zip(inputs, drawn()[-1])])


def agree(ours, theirs, trace):
  np.testing.assert_allclose(jax.nn.softmax(ours["initial"]), theirs.startprob_, atol=1e-9)
  np.testing.assert_allclose(jax.nn.softmax(ours["transition"]), theirs.transmat_, atol=1e-9)
  np.testing.assert_allclose(-np.array(trace) * drawn()[-1].sum(), theirs.monitor_.history, rtol=1e-12)


@pytest.mark.parametrize("prior", [1.0, 2.5])
def test_categorical_parameters_are_hmmlearn_s(prior):
  peer = hmmlearn.CategoricalHMM(
    STATES, prior, prior, emissionprob_prior=prior, n_iter=6, tol=-np.inf, init_params="", implementation="log"
  )
  peer.startprob_, peer.transmat_, peer.emissionprob_, peer.n_features = start(3), start(3, 3), start(3, 5), SYMBOLS
  peer.fit(concatenated(drawn()[2])[:, None], drawn()[-1])
  family = learning.hmm(
    emissions.categorical(STATES, SYMBOLS, concentration=prior),
    initial_concentration=prior,
    transition_concentration=prior,
  )
  params = stored(start(3), start(3, 3), logits=np.log(start(3, 5)))
  found, trace = trained(family, batch_of(drawn()[2]), 6, params)
  agree(found, peer, trace)
  np.testing.assert_allclose(jax.nn.softmax(found["emission"]["logits"]), peer.emissionprob_, atol=1e-9)


@pytest.mark.parametrize("covariance", ["diag", "full", "diag with priors"])
def test_gaussian_parameters_are_hmmlearn_s(covariance):
  covariance, _, priors = covariance.partition(" with ")
  mean = np.random.default_rng(2).normal(size=(STATES, FEATURES))
  theirs, ours = {"covars_prior": 0.0, "covars_weight": 1}, emissions.GaussianPrior(floor=0.0)
  if priors:
    theirs = {"covars_prior": 0.3, "covars_weight": 3, "means_prior": 0.5, "means_weight": 2.0}
    ours = emissions.GaussianPrior(mean=0.5, mean_weight=2.0, squares=0.3, weight=2.0, floor=0.0)
  peer = hmmlearn.GaussianHMM(STATES, covariance, n_iter=6, tol=-np.inf, init_params="", **theirs)
  peer.startprob_, peer.transmat_, peer.means_ = start(3), start(3, 3), mean
  full, unit = np.stack([np.eye(FEATURES)] * STATES), np.ones((STATES, FEATURES))
  peer.covars_ = unit if covariance == "diag" else full
  points, lengths = drawn()[1], drawn()[-1]
  peer.fit(concatenated(points), lengths)
  family = learning.hmm(emissions.gaussian(STATES, FEATURES, covariance=covariance, prior=ours))
  params = stored(start(3), start(3, 3), mean=mean, scale=0 * (unit if covariance == "diag" else full))
  found, trace = trained(family, batch_of(points), 6, params)
  agree(found, peer, trace)
  np.testing.assert_allclose(found["emission"]["mean"], peer.means_, atol=1e-9)
  scale = found["emission"]["scale"]
  if covariance == "full":
    factor = emissions.cholesky_of(scale)
    np.testing.assert_allclose(factor @ factor.mT, peer.covars_, atol=1e-9)
    return
  np.testing.assert_allclose(jax.vmap(jnp.diag)(jnp.exp(2 * scale)), peer.covars_, atol=1e-9)
  path = concatenated(np.asarray(compiled(family.decode)(found, batch_of(points)).states))
  np.testing.assert_array_equal(path, peer.predict(concatenated(points), lengths))


def test_mixture_emissions_are_a_larger_chain():
  """K states of M components emit as K M states do, between which the chain moves by A_ij w_jm."""
  family, batch = model("mixture")
  params = dict(started(family, batch).params)
  logits = jnp.asarray(np.random.default_rng(0).normal(size=(STATES, 2)))
  params["emission"] = {**params["emission"], "weights": logits}
  weights = jax.nn.log_softmax(logits)
  chain = family.chain(params)
  large = inference.Chain(
    (chain.log_initial[:, None] + weights).ravel(),
    jnp.repeat(jnp.tile(chain.log_transition[:, :, None], (1, 1, 2)).reshape(STATES, -1) + weights.ravel(), 2, 0),
  )
  components = emissions.gaussian(STATES * 2, FEATURES)
  logs = components.log_likelihoods(params["emission"]["components"], batch["inputs"])
  expected = compiled(inference.smooth)(large, logs, batch["length"])
  np.testing.assert_allclose(compiled(family.smooth)(params, batch).log_evidence, expected.log_evidence, rtol=1e-12)
  found, _ = compiled(family.expect)(params, batch, jax.random.key(0))
  np.testing.assert_allclose(found["emission"]["weights"].ravel(), expected.probabilities.sum((0, 1)), rtol=1e-9)
  moves = expected.transitions.reshape(STATES, 2, STATES, 2).sum((1, 3))
  np.testing.assert_allclose(found["transition"], moves, rtol=1e-9)


def test_gradient_vanishes_where_baum_welch_stops():
  """Both learn by the same likelihood; and before it stops, the gradient points where EM goes."""
  family, batch = model("bernoulli")
  gradient = jax.jit(jax.grad(lambda params: family.loss({"params": params}, batch, jax.random.key(0))[0].value()))
  size = lambda params: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient(params)))
  begun, _ = trained(family, batch, 1, started(family, batch).params)
  onward, _ = trained(family, batch, 1, begun)
  ended, _ = trained(family, batch, 1000, begun)
  assert size(begun) > 1e-2
  assert size(ended) < 1e-4
  rise = jax.tree.map(lambda new, old, slope: float(-((new - old) * slope).sum()), onward, begun, gradient(begun))
  assert sum(jax.tree.leaves(rise)) > 0


@pytest.mark.parametrize("devices", [1, 4])
def test_known_states_are_counted(devices):
  """On one device and on four, padding and masked sequences left out."""
  states, _, symbols, _, lengths = drawn()
  family = learning.hmm(emissions.categorical(STATES, SYMBOLS, concentration=1.5), transition_concentration=2.0)
  learner = statistics.statistics_learner(
    init=family.init, expect=family.count, maximise=family.maximise, evaluate=family.evaluate, combine=statistics.total
  )
  arrays = {"inputs": symbols, "states": states, "length": lengths}
  data = pipeline.passes(arrays, 8, seed=0)
  executor = Executor(Experiment(learner, data, data), parallel.plan("pmap" if devices > 1 else "jit", devices), 0)
  state = executor.init_state()
  for _, _, feed, count in executor.feeds(data, [(0, 1), (1, 1)], 1):
    state, _ = executor.update(state, feed, count)
  params = jax.device_get(state.params)
  moves, emitted, first = np.full((STATES, STATES), 1.0), np.full((STATES, SYMBOLS), 0.5), np.zeros(STATES)
  for path, sequence, length in zip(states, symbols, lengths):
    first[path[0]] += 1
    np.add.at(moves, (path[: length - 1], path[1:length]), 1)
    np.add.at(emitted, (path[:length], sequence[:length]), 1)
  np.testing.assert_allclose(np.exp(params["initial"]), first / first.sum(), atol=1e-12)
  np.testing.assert_allclose(np.exp(params["transition"]), moves / moves.sum(1, keepdims=True), atol=1e-12)
  np.testing.assert_allclose(np.exp(params["emission"]["logits"]), emitted / emitted.sum(1, keepdims=True), atol=1e-12)


def test_four_devices_are_one():
  family, batch = model("diag")
  data = pipeline.passes({name: np.asarray(batch[name]) for name in ("inputs", "length")}, COUNT, seed=0)
  states = []
  for devices in (1, 4):
    plan = parallel.plan("pmap" if devices > 1 else "jit", devices)
    executor = Executor(Experiment(learner_of(family), data, data), plan, 0)
    state = executor.init_state()
    for _, _, feed, count in executor.feeds(data, [(step, 1) for step in range(3)], 1):
      state, _ = executor.update(state, feed, count)
    states.append(jax.device_get(state.params))
  jax.tree.map(lambda one, four: np.testing.assert_allclose(one, four, rtol=1e-9, atol=1e-12), *states)


def test_samples_have_the_model_s_frequencies():
  family, batch = model("categorical")
  params = started(family, batch).params
  symbols, states = jax.jit(family.sample, static_argnums=2)(params, jax.random.split(jax.random.key(0), 3000), 4)
  chain, emission = jax.tree.map(np.exp, family.chain(params)), np.exp(params["emission"]["logits"])
  marginal = chain.log_initial
  for t in range(4):
    np.testing.assert_allclose(np.bincount(states[:, t], minlength=STATES) / 3000, marginal, atol=0.04)
    found = np.bincount(symbols[:, t], minlength=SYMBOLS) / 3000
    np.testing.assert_allclose(found, marginal @ emission, atol=0.04)
    marginal = marginal @ chain.log_transition


@pytest.mark.parametrize("name", ["bernoulli", "full", "mixture"])
def test_samples_have_the_emission_s_moments(name):
  """Means of many draws of each state, against those of one long weighted sum over the model's own parameters."""
  emission = MODELS[name][0]()
  _, batch = model(name)
  params = emission.init(jax.random.key(0), batch["inputs"], jnp.ones((COUNT, STEPS)))
  states, keys = jnp.repeat(jnp.arange(STATES), 4000), jax.random.split(jax.random.key(1), STATES * 4000)
  blank = jnp.zeros((len(states), *emission.observation.shape))
  found = np.asarray(jax.jit(emission.draw)(params, keys, states, blank)).reshape(STATES, 4000, -1).mean(1)
  if name == "bernoulli":
    expected = jax.nn.sigmoid(params["logits"])
  elif name == "full":
    expected = params["mean"]
  else:
    expected = params["components"]["mean"].reshape(STATES, 2, FEATURES).mean(1)
  np.testing.assert_allclose(found, expected, atol=0.15)


class FromState(nn.Module):
  """Log-odds of a state alone, or of a state and the bits before."""

  autoregressive: bool

  @nn.compact
  def __call__(self, previous, train):
    of_state = self.param("state", nn.initializers.normal(1.0), (2, 4))
    return of_state + nn.Dense(4)(previous)[:, :, None] if self.autoregressive else of_state


@pytest.mark.parametrize("autoregressive", [False, True])
def test_neural_emissions_against_enumeration(autoregressive):
  bits = batch_of(drawn()[3][:3, :4], np.array([4, 3, 1]))
  family = learning.hmm(emissions.neural_bernoulli(2, 4, FromState(autoregressive), autoregressive=autoregressive))
  variables = jax.jit(family.init_variables)(jax.random.key(0), bits)
  params = variables["params"]
  chain, weights = jax.tree.map(np.asarray, (jax.tree.map(jnp.exp, family.chain(params)), params["emission"]))
  dense = weights.get("Dense_0", {"kernel": np.zeros((4, 4)), "bias": np.zeros(4)})
  total = 0.0
  for x, length in zip(np.asarray(bits["inputs"]), (4, 3, 1)):
    evidence = 0.0
    for path in np.ndindex(*(2,) * length):
      probability = chain.log_initial[path[0]]
      for t, state in enumerate(path):
        logits = weights["state"][state] + (x[t - 1] if t else np.zeros(4)) @ dense["kernel"] + dense["bias"]
        on = 1 / (1 + np.exp(-logits))
        moved = chain.log_transition[path[t - 1], state] if t else 1
        probability = probability * moved * np.where(x[t] > 0, on, 1 - on).prod()
      evidence += probability
    total -= np.log(evidence)
  mean, _ = jax.jit(family.loss)(variables, bits, jax.random.key(0))
  assert (float(mean.total), float(mean.count)) == (pytest.approx(float(total)), 8)
  made, _ = jax.jit(family.sample, static_argnums=2)(params, jax.random.split(jax.random.key(0), 2), 5)
  assert made.shape == (2, 5, 4)
  with pytest.raises(UserError, match="gradient"):
    family.expect(params, bits, jax.random.key(0))


def test_certain_bits():
  """Log-odds of ±inf: what they forbid has probability 0, and all else is as it was."""
  logits = jnp.asarray([[jnp.inf, -jnp.inf, 0.0], [0.0, 0.0, 0.0]])
  logs = emissions.bernoulli_log_likelihoods(logits, jnp.asarray([[[1, 0, 1], [1, 1, 0]]]))
  np.testing.assert_allclose(np.exp(logs), [[[0.5, 0.125], [0, 0.125]]])


def test_sequences_of_no_step_and_of_one():
  family, _ = model("categorical")
  batch = batch_of(drawn()[2], np.arange(COUNT))
  params, trace = trained(family, batch, 4, started(family, batch).params)
  assert np.isfinite(trace).all()
  path, posterior = (compiled(function)(params, batch) for function in (family.decode, family.smooth))
  assert (np.asarray(path.states)[0] == -1).all()
  assert float(path.log_joint[0]) == float(posterior.log_evidence[0]) == 0
  np.testing.assert_allclose(posterior.probabilities.sum((1, 2)), np.arange(COUNT))
  short = {**batch, "mask": jnp.asarray(np.arange(COUNT) < 2, jnp.float32)}
  np.testing.assert_array_equal(compiled(family.smooth)(params, short).transitions, 0)


@pytest.mark.parametrize("symbol", [SYMBOLS, -1])
def test_a_symbol_the_model_does_not_know(symbol):
  """It is impossible, the sequences beside it are not; and it enters no count."""
  family, batch = model("categorical")
  params = dict(started(family, batch).params)
  bad = {**batch, "inputs": batch["inputs"].at[0, 0].set(symbol)}
  evidence = compiled(family.smooth)(params, bad).log_evidence
  assert np.isneginf(evidence[0])
  assert np.isfinite(evidence[1:]).all()
  found, _ = compiled(family.expect)(params, bad, jax.random.key(0))
  assert float(found["emission"]["counts"].sum()) == pytest.approx(float(batch["length"][1:].sum()))


def test_nan_changes_nothing_but_the_count():
  family, batch = model("diag")
  learner = learner_of(family)
  state = started(family, batch)
  new, metrics = compiled(learner.update)(state, {**batch, "inputs": batch["inputs"].at[2, 0].set(jnp.nan)})
  assert (int(new.step), int(new.skipped)) == (1, 1)
  assert np.isnan(metrics["nll"].value())
  jax.tree.map(np.testing.assert_array_equal, new.params, state.params)


def test_more_states_than_observations_and_constant_features():
  """States that nothing is assigned to stay where they are; a variance stops at its floor."""
  points = np.tile(np.array([[[1.0, 2.0]]]), (1, 3, 1))
  for covariance in emissions.COVARIANCES:
    family, batch = learning.hmm(emissions.gaussian(5, 2, covariance=covariance)), batch_of(points, np.array([3]))
    params, trace = trained(family, batch, 5, jax.jit(family.init)(jax.random.key(0), batch))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((params, trace)))
    np.testing.assert_allclose(params["emission"]["mean"], np.tile([1.0, 2.0], (5, 1)))


def test_a_forbidden_transition_stays_forbidden():
  """By Baum-Welch and by gradient, which is finite."""
  family, batch = model("categorical")
  params = dict(started(family, batch).params)
  params["transition"] = params["transition"].at[0, 1].set(emissions.LOG_ZERO)
  state = started(family, batch).replace(params=params)
  state, _ = compiled(learner_of(family).update)(state, batch)
  assert int(state.skipped) == 0
  assert np.isneginf(family.chain(state.params).log_transition[0, 1])
  gradient = jax.jit(jax.grad(lambda p: family.loss({"params": p}, batch, jax.random.key(0))[0].value()))(params)
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
  assert gradient["transition"][0, 1] == 0


def test_what_is_refused():
  with pytest.raises(UserError, match="no mode"):
    emissions.categorical(2, 3, concentration=0.5)
  with pytest.raises(UserError, match="no mode"):
    emissions.bernoulli(2, 3, concentration=(1.0, 0.9))
  with pytest.raises(UserError, match="spherical, diag, tied, full"):
    emissions.gaussian(2, 3, covariance="banded")
  with pytest.raises(UserError, match="transition_concentration"):
    learning.hmm(emissions.categorical(2, 3), transition_concentration=0.0)
  with pytest.raises(UserError, match="6 states"):
    emissions.mixture(2, 3, emissions.gaussian(5, 2))
