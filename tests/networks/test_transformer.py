"""Attention against NumPy loops; causality by gradient; packed equals separate; generation equals the full pass."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.generation.generate import continuer
from research.generation.model import Model, buffered
from research.networks.attention import (
  Attention,
  KeyValues,
  Place,
  Style,
  _library,
  alibi_slopes,
  attention_weights,
  rotary,
)
from research.networks.transformer import Decoder, Encoder, EncoderDecoder, attention_maps

VOCABULARY = 11
# Between them all that a style can be.
STYLES = {
  "modern": Style(16, 4, kv_heads=2, gated=True, activation="silu", qk_norm=True, cap=5.0),
  "scanned": Style(16, 4, positions="alibi", scan=True, remat=True, activation="relu2"),
  "gpt2": Style(16, 4, positions="learned", norm="layer", use_bias=True),
  "window": Style(16, 4, window=3),
  "vaswani": Style(16, 4, positions="sinusoidal", norm="layer", pre_norm=False, use_bias=True, activation="relu"),
}
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (3, 9))
every_style = pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)


@functools.cache
def decoder(style):
  network = Decoder(style, VOCABULARY, 2, length=16)
  return network, jax.jit(lambda: network.init(jax.random.key(0), TOKENS, False))()


def attention_by_hand(q, k, v, heads, kv_heads, cap, slopes, mask):
  """Equation 1 of Vaswani et al., a query at a time; float64."""
  time, size = len(q), q.shape[1] // heads
  out = np.zeros((time, heads * size))
  for h in range(heads):
    shared = h * kv_heads // heads
    for t in range(time):
      logits = []
      for s in range(len(k)):
        dot = q[t, h * size : (h + 1) * size] @ k[s, shared * size : (shared + 1) * size] / np.sqrt(size)
        logits.append((cap * np.tanh(dot / cap) if cap else dot) - slopes[h] * abs(t - s))
      weights = np.exp(np.where(mask[t], np.array(logits), -np.inf))
      for s in range(len(k)):
        out[t, h * size : (h + 1) * size] += weights[s] / weights.sum() * v[s, shared * size : (shared + 1) * size]
  return out


@pytest.mark.parametrize(("kv_heads", "cap", "positions"), [(4, 0.0, "none"), (2, 2.0, "alibi"), (1, 0.0, "none")])
def test_attention_is_the_equation(kv_heads, cap, positions):
  style = Style(16, 4, kv_heads=kv_heads, cap=cap, positions=positions, use_bias=True)
  network, x = Attention(style), jax.random.normal(jax.random.key(1), (2, 6, 16))
  variables = jax.jit(lambda: network.init(jax.random.key(0), x, Place.of((2, 6))))()
  y = jax.jit(lambda v: network.apply(v, x, Place.of((2, 6))))(variables)
  p = jax.tree.map(lambda w: np.asarray(w, np.float64), variables["params"])
  slopes = [2.0 ** (-8 * (h + 1) / 4) if positions == "alibi" else 0 for h in range(4)]
  for row in range(2):
    fused = np.asarray(x[row], np.float64) @ p["query_key_value"]["kernel"] + p["query_key_value"]["bias"]
    q, k, v = np.split(fused, [16, 16 + 4 * kv_heads], axis=1)
    inner = attention_by_hand(q, k, v, 4, kv_heads, cap, slopes, np.tril(np.ones((6, 6), bool)))
    np.testing.assert_allclose(y[row], inner @ p["out"]["kernel"] + p["out"]["bias"], atol=1e-5)


def test_the_librarys_attention_on_accelerators_is_ours():
  rng = np.random.default_rng(3)
  draw = lambda heads, time: jnp.asarray(rng.normal(size=(2, heads, time, 4)), jnp.float32)
  query, kept = draw(4, 5), KeyValues(draw(2, 7), draw(2, 7))
  mask = jnp.asarray(rng.random((2, 5, 7)) < 0.6).at[:, :, 0].set(True)
  bias = jnp.asarray(rng.normal(size=(2, 4, 5, 7)), jnp.float32)
  weights = attention_weights(query, kept.keys, mask, bias, 0.0)
  own = jnp.einsum("bkgts,bksd->btkgd", weights.reshape(2, 2, 2, 5, 7), kept.values).reshape(2, 5, 4, 4)
  np.testing.assert_allclose(_library(query, kept, mask, bias), own, atol=1e-5)


def test_rotary_products_depend_on_distance_alone():
  q, k = jax.random.normal(jax.random.key(0), (2, 1, 1, 1, 8))
  turn = jax.jit(lambda x, place: rotary(x, jnp.full((1, 1), place)))
  product = lambda i, j: float((turn(q, i) * turn(k, j)).sum())
  assert abs(product(5, 2) - product(105, 102)) < 1e-4
  assert abs(product(5, 2) - product(5, 3)) > 1e-3
  np.testing.assert_allclose(jnp.linalg.norm(turn(q, 77)), jnp.linalg.norm(q), rtol=1e-5)


def test_alibi_slopes_of_eight_heads_are_the_papers():
  np.testing.assert_allclose(alibi_slopes(8), [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256])


@pytest.mark.parametrize("style", [STYLES["modern"], STYLES["vaswani"]], ids=["modern", "vaswani"])
def test_no_logit_depends_on_a_later_token(style):
  """By the gradient with respect to the embedding of each token: none from behind, some from before."""
  network, variables = decoder(style)
  distinct = jnp.arange(9)[None]  # one embedding row each

  def logits(table):
    changed = jax.tree.map(lambda x: x, variables)
    changed["params"]["embedding"]["embed"]["embedding"] = table
    x = network.apply(
      changed,
      distinct,
      False,
      method=lambda m, t, train: m.stack(m.embedding(t, Place.of(t.shape), train), Place.of(t.shape), None, train),
    )
    return x[0].sum(-1)

  table = variables["params"]["embedding"]["embed"]["embedding"]
  jacobian = np.abs(jax.jit(jax.jacrev(logits))(table)).sum(-1)[:, :9]  # [of time, from token]
  assert (jacobian[np.triu_indices(9, 1)] == 0).all()
  assert (jacobian[np.tril_indices(9)] > 0).all()


def test_a_window_is_all_that_a_layer_sees():
  """With as many tokens as it is long, nothing changes; of more, two layers see the last five."""
  network, variables = decoder(STYLES["window"])
  whole = Decoder(dataclasses.replace(STYLES["window"], window=0), VOCABULARY, 2, length=16)
  run = lambda network: jax.jit(lambda tokens: network.apply(variables, tokens, False)[0])
  np.testing.assert_allclose(run(network)(TOKENS[:1, :3]), run(whole)(TOKENS[:1, :3]), atol=1e-6)
  apply = run(network)
  last = lambda change: apply(np.where(np.arange(9) == change, (TOKENS[:1] + 1) % VOCABULARY, TOKENS[:1]))[-1]
  changes = [float(np.abs(last(place) - apply(TOKENS[:1])[-1]).max()) for place in range(9)]
  assert all(change == 0 for change in changes[:4])
  assert all(change > 1e-6 for change in changes[4:])


@pytest.mark.parametrize("style", [STYLES["modern"], STYLES["gpt2"]], ids=["modern", "gpt2"])
def test_packed_sequences_are_as_if_alone(style):
  """Two of them in one row, padding behind."""
  network, variables = decoder(style)
  packed = np.concatenate([TOKENS[0, :5], TOKENS[1, :3], [0]])[None]
  place = Place(np.array([[*range(5), *range(3), 0]]), np.array([[1] * 5 + [2] * 3 + [0]]))
  run = jax.jit(lambda v, tokens, place: network.apply(v, tokens, False, place))
  together = run(variables, packed, place)[0]
  alone = [jax.jit(lambda v, t: network.apply(v, t, False))(variables, TOKENS[i : i + 1])[0] for i in (0, 1)]
  np.testing.assert_allclose(together[:5], alone[0][:5], atol=1e-5)
  np.testing.assert_allclose(together[5:8], alone[1][:3], atol=1e-5)
  np.testing.assert_array_equal(run(variables, np.where(np.arange(9) == 8, 7, packed), place)[0][:8], together[:8])


@every_style
def test_steps_give_the_logits_of_the_full_pass_prompts_of_unequal_length_included(style):
  network, variables = decoder(style)
  lengths = np.array([4, 0, 2])

  @jax.jit
  def run(v):
    carry = network.apply(v, 3, 9, method="init_carry")
    carry = network.apply(v, carry, TOKENS[:, :4], lengths, method="prefill")
    steps = []
    for i in range(5):
      carry, logits = network.apply(v, carry, TOKENS[np.arange(3), lengths + i], method="step")
      steps.append(logits)
    leaves = jax.tree.leaves(carry)
    return network.apply(v, TOKENS, False), jnp.stack(steps, 1), [leaf.shape[0] for leaf in leaves]

  full, steps, rows = run(variables)
  assert {int(n) for n in rows} == {3}, "every leaf of the carry has the batch first"
  for row, length in enumerate(lengths):
    np.testing.assert_allclose(steps[row], full[row, length : length + 5], atol=2e-5)


def test_generation_by_cache_is_that_by_the_buffer_of_tokens():
  network, variables = decoder(STYLES["modern"])
  apply = lambda name: lambda v, *args: network.apply(v, *args, method=name)
  cached = Model(apply("init_carry"), apply("step"), apply("prefill"))
  prompts = [np.array([1, 2, 3, 4]), np.array([5])]
  found, expected = (
    continuer(model)(variables, prompts, jax.random.key(0), 8).tokens
    for model in (cached, buffered(lambda v, tokens: network.apply(v, tokens, False)))
  )
  assert [row.tolist() for row in found] == [row.tolist() for row in expected]


def test_a_full_cache_is_an_error_or_nan_and_never_overwritten():
  network, variables = decoder(STYLES["gpt2"])
  with pytest.raises(UserError, match="holds 16 tokens"):
    network.apply(variables, 3, 17, method="init_carry")

  @jax.jit
  def run(v):
    carry = network.apply(v, 3, 2, method="init_carry")
    carry = network.apply(v, carry, TOKENS[:, :2], np.array([2, 1, 0]), method="prefill")
    return network.apply(v, carry, TOKENS[:, 2], method="step")[1]

  logits = np.asarray(run(variables))
  assert np.isnan(logits[0]).all()
  assert np.isfinite(logits[1:]).all()


@pytest.mark.parametrize("style", [STYLES["modern"], STYLES["scanned"]], ids=["modern", "scanned"])
def test_a_translators_steps_are_its_full_pass_and_see_no_padding(style):
  network = EncoderDecoder(style, VOCABULARY, (1, 2), length=16)
  segments = (np.arange(9) < np.array([[9], [4], [6]])).astype(np.int32)
  variables = jax.jit(lambda: network.init(jax.random.key(0), TOKENS, TOKENS, False))()

  @jax.jit
  def run(v, source):
    full = network.apply(v, source, TOKENS, False, segments)
    carry = network.apply(v, 3, 9, (source, segments), method="init_carry")
    carry = network.apply(v, carry, TOKENS[:, :4], np.array([4, 1, 0]), method="prefill")
    return full, network.apply(v, carry, TOKENS[np.arange(3), [4, 1, 0]], method="step")[1]

  full, step = run(variables, TOKENS)
  np.testing.assert_allclose(step, np.asarray(full)[np.arange(3), [4, 1, 0]], atol=2e-5)
  other, _ = run(variables, np.where(segments == 1, TOKENS, 3))
  np.testing.assert_allclose(other, full, atol=1e-6)
  changed, _ = run(variables, np.where(np.arange(9) == 2, 0, TOKENS))
  assert np.abs(np.asarray(changed - full)[:, 0]).max() > 1e-3, "every step sees the whole source"


def test_an_encoder_sees_both_ways_and_its_weights_can_be_looked_at():
  network = Encoder(STYLES["scanned"], VOCABULARY, 3)
  variables = jax.jit(lambda: network.init(jax.random.key(0), TOKENS, False))()
  run = jax.jit(lambda v, t: network.apply(v, t, False, mutable=["intermediates"]))
  x, found = run(variables, TOKENS)
  other, _ = run(variables, np.where(np.arange(9) == 8, 1 - TOKENS % 2, TOKENS))
  assert np.abs(np.asarray(x - other)[:, 0]).max() > 1e-4
  maps = attention_maps(found)
  assert [weights.shape for weights in maps] == [(3, 4, 9, 9)] * 3
  np.testing.assert_allclose(maps[1].sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize(("field", "value"), [("heads", 3), ("kv_heads", 3), ("positions", "rotated"), ("norm", "l1")])
def test_styles_that_cannot_be_are_refused(field, value):
  with pytest.raises(UserError, match=field):
    Style(**{"features": 16, "heads": 4, field: value})
