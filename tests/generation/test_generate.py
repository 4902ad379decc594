"""Generation against loops in NumPy, and against the model that computes everything anew."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.generation import choosing
from research.generation.generate import continuer, generate
from research.generation.model import buffered
from research.training.compilation import CompileClock
from tests.generation import tiny

VOCABULARY = 7
PROMPTS = [np.array([3]), np.array([1, 5, 2, 2]), np.array([0, 0])]


@pytest.fixture(scope="module")
def variables():
  return tiny.weights(VOCABULARY)


def numpy_greedy(variables, prompt, length):
  tokens, logs = list(prompt), []
  for _ in range(length):
    p = tiny.log_softmax(tiny.logits_after(variables, tokens))
    tokens.append(int(p.argmax()))
    logs.append(p.max())
  return tokens[len(prompt) :], logs


def from_start(variables, key, length=8, batch=3, **options):
  """Generates from token 1 in every row."""
  model = tiny.recurrent()

  @jax.jit
  def run(variables, key):
    step = functools.partial(model.step, variables)
    return generate(step, model.init_carry(variables, batch, length), jnp.ones(batch, int), key, length, **options)

  return jax.device_get(run(variables, key))


def test_greedy_continues_prompts_of_unequal_length_as_a_loop_does(variables):
  found = continuer(tiny.recurrent())(variables, PROMPTS, jax.random.key(0), 5)
  for prompt, tokens, logs in zip(PROMPTS, *found):
    expected = numpy_greedy(variables, prompt, 5)
    assert tokens.tolist() == expected[0]
    np.testing.assert_allclose(logs, expected[1], atol=1e-5)


def test_the_carry_and_the_buffer_of_tokens_say_the_same(variables):
  choose = choosing.sample(0.9, top_k=5, repetition_penalty=1.3)
  by_carry, by_buffer = (
    continuer(model, choose, vocabulary=VOCABULARY)(variables, PROMPTS, jax.random.key(1), 6)
    for model in (tiny.recurrent(), buffered(tiny.forward))
  )
  for a, b in zip(by_carry.tokens, by_buffer.tokens):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(by_carry.log_probs, by_buffer.log_probs):
    np.testing.assert_allclose(a, b, atol=1e-5)


def test_log_probabilities_are_of_the_unfiltered_logits(variables):
  tokens, logs, _ = from_start(variables, jax.random.key(2), choose=choosing.sample(0.5, top_k=2))
  for row, log in zip(tokens, logs):
    seen = [1]
    for token, value in zip(row, log):
      np.testing.assert_allclose(tiny.log_softmax(tiny.logits_after(variables, seen))[token], value, atol=1e-5)
      seen.append(token)


def test_a_rows_sample_does_not_depend_on_its_batch(variables):
  keys = jax.random.split(jax.random.key(3), 3)
  whole = from_start(variables, keys, choose=choosing.sample())[0]
  for i in range(3):
    np.testing.assert_array_equal(
      from_start(variables, keys[i : i + 1], batch=1, choose=choosing.sample())[0][0], whole[i]
    )
  assert (whole[0] != whole[1]).any()


def test_another_prompt_beside_it_changes_nothing(variables):
  draw, key = continuer(tiny.recurrent(), choosing.sample()), jax.random.key(4)
  alone = draw(variables, PROMPTS[:1], key, 6).tokens[0]
  np.testing.assert_array_equal(draw(variables, PROMPTS, key, 6).tokens[0], alone)


def test_rows_stop_at_the_stop_token_and_the_loop_with_the_last(variables):
  endless = from_start(variables, jax.random.key(5), length=40, choose=choosing.sample())[0]
  stop = 2
  model = tiny.recurrent()

  @jax.jit
  def run(variables, key):
    def step(carry, token):
      count, carry = carry
      carry, logits = model.step(variables, carry, token)
      return (count + 1, carry), logits

    carry = (jnp.zeros(3, int), model.init_carry(variables, 3, 40))
    return generate(step, carry, jnp.ones(3, int), key, 40, choose=choosing.sample(), stop=stop)

  tokens, logs, (steps, _) = jax.device_get(run(variables, jax.random.key(5)))
  ends = [int(np.flatnonzero(row == stop)[0]) for row in endless]
  assert max(ends) < 39, "or the loop has nothing to save"
  assert steps.tolist() == [max(ends) + 1] * 3
  for row, log, end, full in zip(tokens, logs, ends, endless):
    np.testing.assert_array_equal(row[: end + 1], full[: end + 1])
    assert (row[end:] == stop).all()
    assert (log[end + 1 :] == 0).all()
    assert (log[: end + 1] < 0).all()
  found = continuer(model, choosing.sample(), stop=stop)(variables, [np.array([1])] * 3, jax.random.key(5), 40)
  assert [len(row) for row in found.tokens] == ends
  assert [len(row) for row in found.log_probs] == [end + 1 for end in ends]


def test_token_0_can_be_forced():
  variables = tiny.weights(VOCABULARY, seed=1)
  mask = np.zeros((3, 8), bool)
  mask[:, [0, 3]] = True
  forced = np.zeros((3, 8), np.int32)
  tokens, logs, _ = from_start(variables, jax.random.key(6), forced=jnp.asarray(forced), forced_mask=jnp.asarray(mask))
  assert (tokens[:, [0, 3]] == 0).all()
  free = from_start(variables, jax.random.key(6))[0]
  assert (free[:, 0] != 0).all(), "it would not have come by itself"
  expected = tiny.log_softmax(tiny.logits_after(variables, [1]))
  np.testing.assert_allclose(logs[:, 0], expected[0], atol=1e-5)
  # What follows a forced token follows from it.
  assert tokens[0, 1:3].tolist() == numpy_greedy(variables, [1, 0], 2)[0]


def test_forced_tokens_without_a_mask_are_refused(variables):
  with pytest.raises(UserError, match="come together"):
    from_start(variables, jax.random.key(0), forced=jnp.zeros((3, 8), int))


def test_a_second_call_compiles_nothing(variables):
  draw, clock = continuer(tiny.recurrent(), choosing.sample()), CompileClock()
  draw(variables, PROMPTS, jax.random.key(0), 6)
  before = clock.programs
  other = tiny.weights(VOCABULARY, seed=1)
  draw(other, [np.array([2, 3, 4])] * 3, jax.random.key(1), 6)
  assert before > 0
  assert clock.programs == before


def test_more_than_a_model_holds_is_refused_before_it_starts(variables):
  draw = continuer(buffered(tiny.forward, limit=9))
  assert len(draw(variables, PROMPTS, jax.random.key(0), 6).tokens[0]) == 6, "4 - 1 + 6: the limit itself"
  with pytest.raises(UserError, match="holds 9 tokens"):
    draw(variables, PROMPTS, jax.random.key(0), 7)
  with pytest.raises(UserError, match="at least one token"):
    draw(variables, [np.array([], int)], jax.random.key(0), 1)


def test_a_full_carry_gives_nan_not_a_silent_overwrite(variables):
  model = buffered(tiny.forward)

  @jax.jit
  def run(variables):
    carry, step = model.init_carry(variables, 2, 3), functools.partial(model.step, variables)
    return generate(step, carry, jnp.ones(2, int), jax.random.key(0), 5)[1]

  logs = np.asarray(run(variables))
  assert np.isfinite(logs[:, :3]).all()
  assert np.isnan(logs[:, 3:]).all()


def test_what_is_generated_need_be_no_class(variables):
  """Real vectors under a normal distribution: `choose` and `log_prob` are the model's own."""

  def step(carry, x):
    return carry + x, carry + x  # the mean of the next

  choose = lambda keys, mean, seen: mean + jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
  log_prob = lambda mean, x: -0.5 * jnp.square(x - mean).sum(-1)
  run = jax.jit(
    lambda key: generate(step, jnp.zeros((3, 2)), jnp.ones((3, 2)), key, 4, choose=choose, log_prob=log_prob)
  )
  tokens, logs, carry = jax.device_get(run(jax.random.key(7)))
  means = 1 + np.concatenate([np.zeros((3, 1, 2)), np.cumsum(tokens, 1)[:, :-1]], 1)
  np.testing.assert_allclose(logs, -0.5 * ((tokens - means) ** 2).sum(-1), rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(carry, means[:, -1], rtol=1e-5)
