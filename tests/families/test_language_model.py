"""The loss of a language model against NumPy, a carried state against one long pass, a smoothed target."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax

from research.data import streams
from research.families.language_model import cross_entropy, derived, language_model
from research.networks.attention import Place, Style
from research.networks.recurrent import Recurrent, RecurrentLM
from research.networks.transformer import Decoder

TOKENS = np.random.default_rng(0).integers(0, 7, 41)


def evaluated(family, variables, dataset):
  """Sums over a whole pass, the carry handed on."""
  totals, carry = np.zeros(2), None
  resident = {name: jnp.asarray(value) for name, value in dataset.resident.items()}
  for step in range(dataset.num_batches):
    batch = dataset.assemble(resident, dataset.feed(step))
    if family.init_carry and carry is None:
      carry = family.init_carry(batch)
    found = jax.jit(family.evaluate)(variables, batch, *([carry] if family.init_carry else []))
    metrics, carry = found if family.init_carry else (found, None)
    totals += np.array([metrics["loss"].total, metrics["loss"].count])
  return totals


def initialised(family, dataset):
  batch = dataset.assemble(dict(dataset.resident), dataset.feed(0))
  return jax.jit(lambda: family.init(jax.random.key(0), batch))()


def test_a_stream_in_windows_is_the_stream_in_one():
  """The likelihood of 40 tokens, whatever the length of a window, by the network applied once."""
  network = RecurrentLM(7, Recurrent(6))
  family = language_model(network, carried=True)
  variables = initialised(family, streams.contiguous(TOKENS, 1, 8))
  logits, _ = jax.jit(lambda v: network.apply(v, TOKENS[None, :-1], False))(variables)
  expected = -log_softmax(np.asarray(logits[0], np.float64), -1)[np.arange(40), TOKENS[1:]].sum()
  for length in (8, 11):
    total, count = evaluated(family, variables, streams.contiguous(TOKENS, 1, length))
    assert count == 40
    np.testing.assert_allclose(total, expected, rtol=1e-5)


def test_fresh_rows_forget():
  """Of rows that begin anew in the middle of training, the carry that they are given does not count."""
  network = RecurrentLM(7, Recurrent(6))
  family = language_model(network, carried=True)
  dataset = streams.contiguous(TOKENS, 2, 8)
  variables = initialised(family, dataset)
  batch = dataset.assemble(dict(dataset.resident), dataset.feed(0))
  old = jax.tree.map(jnp.ones_like, family.init_carry(batch))
  run = jax.jit(family.evaluate)
  fresh, _ = run(variables, batch, old)
  anew, _ = run(variables, batch, family.init_carry(batch))
  np.testing.assert_allclose(fresh["loss"].total, anew["loss"].total, rtol=1e-6)
  kept, _ = run(variables, {**batch, "fresh": jnp.zeros(2)}, old)
  assert abs(float(kept["loss"].total - anew["loss"].total)) > 1e-3


def test_windows_of_a_transformer_count_each_token_once_and_packs_are_told_apart():
  network = Decoder(Style(8, 2), 7, 1)
  family = language_model(network)
  dataset = streams.overlapping(TOKENS, 2, 16, 8)
  variables = initialised(family, dataset)
  assert evaluated(family, variables, dataset)[1] == 40
  placed = language_model(network, place=lambda batch: (Place(batch["position"], batch["segment"]),))
  one = {"inputs": TOKENS[None, :6], "targets": TOKENS[None, 1:7], "mask": np.ones((1, 6), np.float32)}
  pack = {
    "inputs": np.tile(TOKENS[:6], 2)[None],
    "targets": np.tile(TOKENS[1:7], 2)[None],
    "mask": np.ones((1, 12), np.float32),
    "position": np.tile(np.arange(6), 2)[None],
    "segment": np.repeat([1, 2], 6)[None],
  }
  alone, both = (jax.jit(f.evaluate)(variables, b)["loss"] for f, b in ((family, one), (placed, pack)))
  np.testing.assert_allclose(both.total, 2 * alone.total, rtol=1e-5)


def test_the_gradients_loss_is_what_evaluation_measures_without_smoothing():
  family = language_model(Decoder(Style(8, 2), 7, 1))
  dataset = streams.windows(TOKENS, 4, 8, seed=0)
  variables = initialised(family, dataset)
  batch = dataset.assemble(dict(dataset.resident), dataset.feed(0))
  loss, _ = jax.jit(family.loss)(variables, batch, jax.random.key(0))
  np.testing.assert_allclose(loss.total, jax.jit(family.evaluate)(variables, batch)["loss"].total, rtol=1e-6)


def test_smoothing_is_the_expectation_under_the_smoothed_target():
  rng = np.random.default_rng(1)
  logits, targets = rng.normal(size=(2, 3, 5)), rng.integers(0, 5, (2, 3))
  q = 0.9 * np.eye(5)[targets] + 0.1 / 5
  expected = -(q * log_softmax(logits, -1)).sum(-1)
  np.testing.assert_allclose(cross_entropy(jnp.asarray(logits), jnp.asarray(targets), 0.1), expected, rtol=1e-5)


def test_perplexity_and_bits():
  found = derived({"loss": np.float64(np.log(8))})
  np.testing.assert_allclose([found["perplexity"], found["bits"]], [8, 3])
