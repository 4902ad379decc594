"""Neural transitions: likelihood, paths and samples against enumeration with the transitions written out."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.families.hmm import emissions, neural
from research.training.precision import precision

STATES, BITS, LENGTH = 3, 4, np.array([4, 2, 1])


class Network(nn.Module):
  """Tells much of the previous observation, so that a wrong place of it is noticed."""

  @nn.compact
  def __call__(self, previous, train):
    return 2 * nn.Dense(STATES, param_dtype=jnp.result_type(float))(jnp.tanh(nn.Dense(5)(previous)))


@pytest.fixture(autouse=True)
def double():
  with precision("float64"):
    yield


@pytest.fixture
def fitted():
  model = neural.neural_transitions(emissions.bernoulli(STATES, BITS), Network(), rank=2)
  inputs = jax.random.bernoulli(jax.random.key(1), 0.5, (3, 4, BITS)).astype(jnp.uint8)
  batch = {"inputs": inputs, "length": jnp.asarray(LENGTH), "mask": jnp.ones(3)}
  params = jax.jit(model.init)(jax.random.key(0), batch)
  params["initial"] = jnp.array([0.3, -1.0, 0.5])
  return model, params, batch


def moves(params, previous):
  """p(z_t | z_t-1, x_t-1), from row to column, by its definition."""
  pushed = np.asarray(Network().apply({"params": params["network"]}, np.asarray(previous, float), False))
  weights = np.exp(np.asarray(params["origin"] @ params["target"]) + pushed)
  return weights / weights.sum(1, keepdims=True)


def joint(params, bits, length):
  """p(z, x) of every path."""
  initial = np.asarray(jax.nn.softmax(params["initial"]))
  on = np.asarray(jax.nn.sigmoid(params["emission"]["logits"]))
  emitted = np.stack([np.where(frame, on, 1 - on).prod(1) for frame in np.asarray(bits)])
  table = [moves(params, bits[t - 1]) for t in range(1, length)]
  found = {}
  for path in itertools.product(range(STATES), repeat=length):
    p = initial[path[0]] * emitted[0, path[0]]
    for t in range(1, length):
      p *= table[t - 1][path[t - 1], path[t]] * emitted[t, path[t]]
    found[path] = p
  return found


def test_likelihood_smoothing_and_the_best_path_are_those_of_all_paths(fitted):
  model, params, batch = fitted
  smoothed, best = jax.jit(model.smooth)(params, batch), jax.jit(model.decode)(params, batch)
  for n, length in enumerate(LENGTH):
    paths = joint(params, batch["inputs"][n], length)
    total = sum(paths.values())
    assert smoothed.log_evidence[n] == pytest.approx(np.log(total), rel=1e-9)
    assert tuple(best.states[n, :length].tolist()) == max(paths, key=lambda path: paths[path])
    assert best.log_joint[n] == pytest.approx(np.log(max(paths.values())), rel=1e-9)
    for t in range(length):
      gamma = [sum(p for path, p in paths.items() if path[t] == state) / total for state in range(STATES)]
      np.testing.assert_allclose(smoothed.probabilities[n, t], gamma, rtol=1e-8)
  nll = model.evaluate(params, batch)["nll"]
  assert float(nll.count) == LENGTH.sum()
  assert float(nll.total) == pytest.approx(-float(smoothed.log_evidence.sum()))


def test_probabilities_of_all_sequences_sum_to_one():
  """Bits of one step after the other: what the chain is told depends on what was observed."""
  model = neural.neural_transitions(emissions.bernoulli(STATES, 2), Network(), rank=2)
  frames = np.array(list(itertools.product((0, 1), repeat=2)))
  inputs = jnp.asarray([[frames[i], frames[j], frames[k]] for i, j, k in itertools.product(range(4), repeat=3)])
  batch = {"inputs": inputs, "length": jnp.full(64, 3), "mask": jnp.ones(64)}
  params = jax.jit(model.init)(jax.random.key(0), batch)
  assert float(jnp.exp(jax.jit(model.smooth)(params, batch).log_evidence).sum()) == pytest.approx(1, rel=1e-9)


def test_samples_move_as_the_network_says(fitted):
  model, params, _ = fitted
  bits, states = (np.asarray(x) for x in model.sample(params, jax.random.split(jax.random.key(5), 20_000), 2))
  first = np.bincount(states[:, 0], minlength=STATES) / len(states)
  np.testing.assert_allclose(first, jax.nn.softmax(params["initial"]), atol=0.02)
  frame, state = bits[0, 0], states[0, 0]
  same = (bits[:, 0] == frame).all(1) & (states[:, 0] == state)
  assert same.sum() > 200
  found = np.bincount(states[same, 1], minlength=STATES) / same.sum()
  np.testing.assert_allclose(found, moves(params, frame)[state], atol=4 * 0.5 / same.sum() ** 0.5)


def test_the_gradient_reaches_every_parameter_and_dropout_keeps_it_finite(fitted):
  model, params, batch = fitted
  total = lambda params: model.loss({"params": params}, batch, jax.random.key(2))[0].total
  grads = jax.jit(jax.grad(total))(params)
  assert all(np.isfinite(leaf).all() and (leaf != 0).any() for leaf in jax.tree.leaves(grads))


def test_there_is_no_closed_form(fitted):
  model, params, batch = fitted
  for function in (model.expect, model.count, model.maximise):
    with pytest.raises(UserError, match="by gradient"):
      function(params, batch)
