"""LSTM and GRU against NumPy written from the equations; gradients against finite differences; carried state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.networks.recurrent import CELLS, Recurrent, RecurrentClassifier, RecurrentLM, recurrence

sigmoid = lambda x: 1 / (1 + np.exp(-x))


def initialised(network, x, seed=0):
  variables = network.init(jax.random.key(seed), x, False)
  rng = np.random.default_rng(seed)  # biases too are to be seen
  return jax.tree.map(lambda w: jnp.asarray(rng.normal(0, 0.5, w.shape), jnp.float32), variables)


def lstm_by_hand(p, x):
  """h and c at every step of one row; Hochreiter & Schmidhuber 1997, with forget gate."""
  width = p["recurrent"].shape[0]
  h = c = np.zeros(width)
  hs, cs = [], []
  for step in x:
    a = step @ p["kernel"] + h @ p["recurrent"] + p["bias"]
    i, f, g, o = (a[k * width : (k + 1) * width] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    hs.append(h)
    cs.append(c)
  return np.array(hs), np.array(cs)


def gru_by_hand(p, x):
  width = p["recurrent"].shape[0]
  h, hs = np.zeros(width), []
  for step in x:
    a, b = step @ p["kernel"] + p["bias"], h @ p["recurrent"] + p["recurrent_bias"]
    part = lambda v, k: v[k * width : (k + 1) * width]
    r, z = sigmoid(part(a, 0) + part(b, 0)), sigmoid(part(a, 1) + part(b, 1))
    n = np.tanh(part(a, 2) + r * part(b, 2))
    h = (1 - z) * n + z * h
    hs.append(h)
  return np.array(hs), None


X = np.random.default_rng(1).normal(size=(3, 7, 4)).astype(np.float32)
LENGTHS = np.array([7, 3, 1])


@pytest.mark.parametrize(("cell", "by_hand"), [("lstm", lstm_by_hand), ("gru", gru_by_hand)])
def test_both_directions_of_ragged_rows_are_the_equations(cell, by_hand):
  network = Recurrent(5, cell=cell, bidirectional=True, unroll=2)
  variables = initialised(network, X)
  y, ends = jax.jit(lambda v: network.apply(v, X, False, None, LENGTHS))(variables)
  layers = jax.tree.map(lambda w: np.asarray(w, np.float64), variables["params"])
  for row, length in enumerate(LENGTHS):
    forward = by_hand(layers["layer_0"], X[row, :length])
    backward = by_hand(layers["layer_0_reverse"], X[row, :length][::-1])
    np.testing.assert_allclose(y[row, :length, :5], forward[0], atol=1e-5)
    np.testing.assert_allclose(y[row, :length, 5:], backward[0][::-1], atol=1e-5)
    for end, (h, c) in zip(ends, (forward, backward)):
      np.testing.assert_allclose(end[0][row], h[-1], atol=1e-5)
      if c is not None:
        np.testing.assert_allclose(end[1][row], c[-1], atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_gradient_is_that_of_the_plain_loop(cell):
  """Against automatic differentiation of a Python loop over the steps, kept units and all arguments included."""
  time, batch, width, gates = 4, 2, 3, CELLS[cell].gates
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
  state = tuple(draw(batch, width) for _ in range(CELLS[cell].states))
  kept = jnp.asarray([[0, 2, 2], [2, 0, 2.0]])
  arguments = draw(time, batch, gates * width), draw(width, gates * width), draw(gates * width), state
  weights = tuple(draw(time, batch, width) for _ in state)

  def loop(inputs, kernel, bias, state):
    states = []
    for x in inputs:
      state, _ = CELLS[cell].update(x, (state[0] * kept) @ kernel + bias, state)
      states.append(state)
    return tuple(map(jnp.stack, zip(*states)))

  def total(function, *arguments):
    return sum((w * s).sum() for w, s in zip(weights, function(*arguments)))

  own = lambda inputs, kernel, bias, state: recurrence(CELLS[cell], 2, inputs, kernel, bias, kept, state)
  found, expected = (
    jax.jit(jax.grad(lambda *a, f=f: total(f, *a), argnums=(0, 1, 2, 3)))(*arguments) for f in (own, loop)
  )
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


def test_a_carried_state_is_one_long_pass():
  network = Recurrent(5, layers=2, residual=True)
  variables = initialised(network, X)

  @jax.jit
  def run(v):
    whole, end = network.apply(v, X, False)
    first, state = network.apply(v, X[:, :3], False)
    second, last = network.apply(v, X[:, 3:], False, state)
    return whole, end, jnp.concatenate([first, second], 1), last

  whole, end, parts, last = run(variables)
  np.testing.assert_allclose(parts, whole, atol=1e-6)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), last, end)


def test_steps_give_the_logits_of_the_full_pass_prompts_of_unequal_length_included():
  tokens = np.random.default_rng(2).integers(0, 9, (3, 8))
  network = RecurrentLM(9, Recurrent(6, layers=2), embedding=4, tied=True)
  variables = initialised(network, tokens)
  lengths = np.array([4, 0, 2])

  @jax.jit
  def run(v):
    full, _ = network.apply(v, tokens, False)
    carry = network.apply(v, network.init_carry(3), tokens[:, :4], lengths, method="prefill")
    steps = []
    for i in range(4):
      carry, logits = network.apply(v, carry, tokens[np.arange(3), lengths + i], method="step")
      steps.append(logits)
    return full, jnp.stack(steps, 1)

  full, steps = run(variables)
  for row, length in enumerate(lengths):
    np.testing.assert_allclose(steps[row], full[row, length : length + 4], atol=1e-5)


def test_dropout_is_one_mask_for_all_steps_and_none_in_evaluation():
  network = Recurrent(64, dropout=0.5, recurrent_dropout=0.3)
  variables = initialised(network, X)
  run = jax.jit(lambda v, key: network.apply(v, X, True, rngs={"dropout": key})[0])
  y = np.asarray(run(variables, jax.random.key(0)))
  dropped = y == 0
  assert 0.35 < dropped.mean() < 0.65
  np.testing.assert_array_equal(dropped.all(1), dropped.any(1))
  assert (dropped[0] != dropped[1]).any(), "each row has its own"
  calm = jax.jit(lambda v: network.apply(v, X, False)[0])(variables)
  assert (np.asarray(calm) != 0).all()


def test_initial_gates_and_kernels():
  """Orthogonal recurrent kernels; forget biases of 1, or between 0 and log of the longest dependency."""
  params = Recurrent(6).init(jax.random.key(0), X, False)["params"]["layer_0"]
  for gate in np.split(np.asarray(params["recurrent"]), 4, 1):
    np.testing.assert_allclose(gate @ gate.T, np.eye(6), atol=1e-5)
  np.testing.assert_array_equal(params["bias"], np.repeat([0, 1, 0, 0], 6))
  i, f, _, _ = np.split(
    np.asarray(Recurrent(6, chrono=50).init(jax.random.key(0), X, False)["params"]["layer_0"]["bias"]), 4
  )
  np.testing.assert_array_equal(i, -f)
  assert (f >= 0).all()
  assert (f <= np.log(49)).all()


def test_an_unknown_cell_is_refused():
  with pytest.raises(UserError, match="lstm or gru"):
    Recurrent(4, cell="rnn").init(jax.random.key(0), X, False)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_the_class_of_a_sentence_does_not_depend_on_its_padding(pool):
  network = RecurrentClassifier(3, Recurrent(5, bidirectional=True), pool, vocabulary=9)
  sentence = np.array([[3, 1, 4, 1, 5], [2, 6, 0, 0, 0]])
  variables = initialised(network, sentence)
  run = jax.jit(lambda v, x: network.apply(v, x, False))
  whole = run(variables, sentence)
  np.testing.assert_allclose(run(variables, np.pad(sentence, ((0, 0), (0, 4)))), whole, atol=1e-6)
  np.testing.assert_allclose(run(variables, sentence[1:, :2])[0], whole[1], atol=1e-6)
  assert np.abs(np.asarray(run(variables, sentence[:, ::-1]))[0] - np.asarray(whole)[0]).max() > 1e-4
