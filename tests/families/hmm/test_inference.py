"""Inference on chains against the enumeration of all paths, and its two methods against each other."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from research.errors import UserError
from research.families.hmm import inference, scaled
from research.training.precision import precision

STATES, LENGTHS = 3, (6, 4, 1, 0)
STEPS = max(LENGTHS)


@pytest.fixture(autouse=True)
def double():
  with precision("float64"):
    yield


def problem(kind="dense"):
  """(chain, log-likelihoods, lengths), all possible; with forbidden transitions and emissions; with underflow."""
  rng = np.random.default_rng(1)
  initial, transition = rng.dirichlet(np.ones(STATES)), rng.dirichlet(np.ones(STATES), STATES)
  logs = rng.normal(scale=2, size=(len(LENGTHS), STEPS, STATES))
  if kind != "dense":
    initial = np.array([0.5, 0.5, 0])
    transition = np.array([[0.5, 0.5, 0], [0, 0.7, 0.3], [0.2, 0, 0.8]])
  if kind == "forbidden":
    logs[0, 2, 0] = logs[1, 0, 1] = -np.inf
  if kind == "underflow":
    logs *= 400
  with np.errstate(divide="ignore"):
    chain = inference.Chain(jnp.log(initial), jnp.log(transition))
  logs[1, 4:] = np.nan  # what stands at padding must not matter
  return chain, jnp.asarray(logs), jnp.asarray(LENGTHS)


@functools.cache
def enumerated(kind):
  """Of every sequence: log-evidence, filtered and smoothed probabilities, expected transitions, best path, paths."""
  chain, logs, _ = jax.tree.map(np.asarray, problem(kind))
  results = []
  for log_likelihoods, length in zip(logs, LENGTHS):
    paths = np.array(list(itertools.product(range(STATES), repeat=length)), int).reshape(STATES**length, length)

    def joint(steps, paths=paths, log_likelihoods=log_likelihoods):
      first = chain.log_initial[paths[:, 0]] if steps else np.zeros(len(paths))
      moves = chain.log_transition[paths[:, : steps - 1], paths[:, 1:steps]].sum(1) if steps > 1 else 0
      return first + moves + log_likelihoods[np.arange(steps), paths[:, :steps]].sum(1)

    def marginal(log_weights, t, paths=paths):
      weights = np.exp(log_weights - log_weights.max())
      return np.bincount(paths[:, t], weights, STATES) / weights.sum()

    whole = joint(length)
    posterior = np.exp(whole - whole.max())
    posterior /= posterior.sum()
    moves = np.zeros((STATES, STATES))
    for t in range(1, length):
      np.add.at(moves, (paths[:, t - 1], paths[:, t]), posterior)
    filtered, smoothed = np.zeros((2, STEPS, STATES))
    for t in range(length):
      filtered[t], smoothed[t] = marginal(joint(t + 1), t), marginal(whole, t)
    evidence = np.log(np.exp(whole - whole.max()).sum()) + whole.max()
    results.append((evidence, filtered, smoothed, moves, paths[whole.argmax()], whole.max()))
  return results


KINDS, METHODS = ("dense", "forbidden", "underflow"), ("sequential", "parallel")
forward, smooth, viterbi, sample_posterior, log_evidence = (
  functools.partial(jax.jit, static_argnames="method")(function)
  for function in (
    inference.forward,
    inference.smooth,
    inference.viterbi,
    inference.sample_posterior,
    inference.log_evidence,
  )
)
everything = lambda test: pytest.mark.parametrize("kind", KINDS)(pytest.mark.parametrize("method", METHODS)(test))


@everything
def test_forward_is_the_sum_over_all_paths(kind, method):
  found = forward(*problem(kind), method=method)
  for n, (evidence, filtered, *_) in enumerate(enumerated(kind)):
    assert float(found.log_evidence[n]) == pytest.approx(evidence, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(found.probabilities[n], filtered, atol=1e-12)


@everything
def test_posteriors_and_expected_transitions(kind, method):
  weights = np.array([1.0, 0.5, 2.0, 3.0])
  found = smooth(*problem(kind), jnp.asarray(weights), method=method)
  expected = sum(w * moves for w, (_, _, _, moves, _, _) in zip(weights, enumerated(kind)))
  np.testing.assert_allclose(found.transitions, expected, atol=1e-12)
  for n, (_, _, smoothed, *_) in enumerate(enumerated(kind)):
    np.testing.assert_allclose(found.probabilities[n], smoothed, atol=1e-12)


@everything
def test_viterbi_is_the_best_of_all_paths(kind, method):
  found = viterbi(*problem(kind), method=method)
  for n, (*_, path, log_joint) in enumerate(enumerated(kind)):
    np.testing.assert_array_equal(found.states[n], np.pad(path, (0, STEPS - len(path)), constant_values=-1))
    assert float(found.log_joint[n]) == pytest.approx(log_joint, rel=1e-12)


def test_scaling_says_when_it_is_not_exact():
  """The case that is meant to underflow does, and is told; without the fall-back to logarithms it would be wrong."""
  for kind in KINDS:
    chain, logs, length = problem(kind)
    logs = jnp.where((jnp.arange(STEPS) < length[:, None])[..., None], logs, 0).transpose(1, 2, 0)
    model = jnp.exp(chain.log_initial), jnp.exp(chain.log_transition), logs
    passed = scaled.forward(*model)
    assert bool(scaled.is_exact(*model, passed)) == (kind != "underflow")
    if kind == "underflow":
      evidence = passed.log_evidence.sum(0)
      assert not np.allclose(evidence, [result[0] for result in enumerated(kind)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_of_the_evidence_is_expected_counts(kind, method):
  """Against expectations over all paths; and nothing is NaN where something is impossible."""
  chain, logs, length = problem(kind)
  scale = jnp.asarray([1.0, 0.5, 2.0, 3.0])

  def total(chain, logs):
    return (scale * log_evidence(chain, logs, length, method=method)).sum()

  of_chain, of_logs = jax.grad(total, (0, 1))(chain, logs)
  expected = enumerated(kind)
  np.testing.assert_allclose(of_chain.log_transition, sum(s * e[3] for s, e in zip(scale, expected)), atol=1e-12)
  np.testing.assert_allclose(of_chain.log_initial, sum(s * e[2][0] for s, e in zip(scale, expected)), atol=1e-12)
  np.testing.assert_allclose(of_logs, [s * e[2] for s, e in zip(scale, expected)], atol=1e-12)


def test_gradient_through_softmax_by_finite_differences():
  _, logs, length = problem()
  logits = jnp.asarray(np.random.default_rng(0).normal(size=(STATES + 1, STATES)))

  def total(logits, logs):
    chain = inference.Chain(jax.nn.log_softmax(logits[0]), jax.nn.log_softmax(logits[1:]))
    return log_evidence(chain, logs, length).sum()

  check_grads(total, (logits, jnp.nan_to_num(logs)), order=1, modes=["rev"], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_posterior_samples_have_the_posterior_frequencies(kind):
  chain, logs, length = problem(kind)
  keys = jax.random.split(jax.random.key(0), 4000)
  logs, length = (jnp.repeat(x[:1], len(keys), 0) for x in (logs, length))
  paths = {m: np.asarray(sample_posterior(keys, chain, logs, length, method=m)) for m in METHODS}
  np.testing.assert_array_equal(paths["sequential"], paths["parallel"])
  _, _, smoothed, moves, _, _ = enumerated(kind)[0]
  paths = paths["sequential"]
  frequencies = np.stack([(paths == state).mean(0) for state in range(STATES)], -1)
  np.testing.assert_allclose(frequencies, smoothed, atol=4 * 0.5 / np.sqrt(len(keys)))
  pairs = np.zeros((STATES, STATES))
  np.add.at(pairs, (paths[:, :-1], paths[:, 1:]), 1 / len(keys))
  np.testing.assert_allclose(pairs, moves, atol=0.1)


def test_samples_end_where_sequences_do():
  chain, logs, length = problem()
  states = sample_posterior(jax.random.split(jax.random.key(0), 4), chain, logs, length)
  np.testing.assert_array_equal(states >= 0, np.arange(STEPS) < np.array(LENGTHS)[:, None])


def test_simulated_chains_have_the_chain_s_frequencies():
  chain, _, _ = problem("forbidden")
  paths = np.asarray(jax.jit(inference.simulate, static_argnums=2)(jax.random.split(jax.random.key(0), 4000), chain, 5))
  expected = np.exp(chain.log_initial)
  for t in range(5):
    np.testing.assert_allclose(np.bincount(paths[:, t], minlength=3) / 4000, expected, atol=0.035)
    expected = expected @ np.exp(chain.log_transition)
  assert not ((paths[:, :-1] == 0) & (paths[:, 1:] == 2)).any()


@pytest.mark.parametrize("method", METHODS)
def test_an_impossible_sequence_is_an_answer(method):
  """Log-evidence -inf, a posterior of zeros, a finite gradient; the sequence beside it is untouched."""
  chain, logs, length = problem("forbidden")
  bad = logs.at[0, 3].set(-jnp.inf)
  found, good = smooth(chain, bad, length, method=method), enumerated("forbidden")
  assert np.isneginf(found.log_evidence[0])
  np.testing.assert_array_equal(found.probabilities[0], 0)
  np.testing.assert_allclose(found.transitions, sum(result[3] for result in good[1:]), atol=1e-12)
  assert np.isneginf(viterbi(chain, bad, length, method=method).log_joint[0])
  gradient = jax.grad(lambda logs: log_evidence(chain, logs, length, method=method)[1:].sum())(bad)
  assert np.isfinite(gradient).all()
  assert np.abs(gradient).sum() > 0


@pytest.mark.parametrize(("method", "steps"), [("sequential", 100_000), ("parallel", 300)])
def test_long_sequences_in_single_precision(method, steps):
  """Finite in float32, and equal to float64 within what the rounding of the input explains."""
  rng, results = np.random.default_rng(0), {}
  chain = inference.Chain(np.log([0.5, 0.5]), np.log([[0.99, 0.01], [0.02, 0.98]]))
  logs = rng.normal(scale=3, size=(1, steps, 2)).astype(np.float32)
  for name in ("float32", "float64"):
    cast = lambda x, name=name: jnp.asarray(x, name)
    problem = jax.tree.map(cast, chain), cast(logs), jnp.asarray([steps])
    results[name] = (*smooth(*problem, method=method), viterbi(*problem, method=method).states)
  evidence, probabilities, transitions, path = results["float32"]
  assert probabilities.dtype == jnp.float32
  np.testing.assert_allclose(evidence, results["float64"][0], rtol=1e-5)
  np.testing.assert_allclose(probabilities, results["float64"][1], atol=1e-4)
  np.testing.assert_allclose(transitions, results["float64"][2], rtol=1e-3)  # sums of that many terms
  assert (path == results["float64"][3]).mean() > 0.999


def test_an_unknown_method_is_refused():
  with pytest.raises(UserError, match="sequential, parallel"):
    inference.forward(*problem(), method="fast")
