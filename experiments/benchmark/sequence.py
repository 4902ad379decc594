"""Training steps of recurrent networks and Transformers, and generation."""

import statistics
import time
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import word2vec as word2vec_experiment
from experiments.benchmark.timing import BATCH, image_batch, images, result, timed
from experiments.command import cli, session
from research.data import tagged
from research.errors import UserError
from research.families import classifier, language_model
from research.generation.choosing import sample
from research.generation.generate import continuer
from research.generation.model import buffered
from research.networks.attention import Style
from research.networks.recurrent import Recurrent, RecurrentClassifier, RecurrentLM
from research.networks.transformer import Decoder, EncoderDecoder
from research.text import corpora, tokenizers, vocabulary
from research.training import loop, parallel, steps

GPT = Style(128, 4, positions="learned", norm="layer")


def _learner(family, optimizer, init_carry=None):
  return steps.gradient_learner(
    init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer, init_carry=init_carry
  )


def _timed(learner, batches, count: int):
  """Median ms of an update, what else is measured, and the number of parameters."""
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  median, measured = timed(jax.jit(learner.update, donate_argnums=0), state, batches, count)
  return median, {**measured, "parameters": parameters}


def _language_batches(tokens, rows: int, length: int, count: int) -> list:
  """Batches of rows that go on."""
  kept = tokens[: rows * (count * length + 1)].reshape(rows, -1)
  mask, old = np.ones((rows, length), np.float32), np.zeros(rows, np.float32)
  cut = lambda i, shift: kept[:, i * length + shift :][:, :length].astype(np.int32)
  return [jax.device_put({"inputs": cut(i, 0), "targets": cut(i, 1), "mask": mask, "fresh": old}) for i in range(count)]


def lstm_lm_step(name: str) -> dict:
  """One update of a two-layer LSTM of 200 on 20 rows of 35 words, 10,000 of them, state carried; SGD; ms."""
  rows, length, vocabulary = 20, 35, 10_000
  try:
    words = [word for sentence in tagged.load("train").words for word in (*sentence, "</s>")]
    place = {w: i for i, (w, _) in enumerate(Counter(words).most_common(vocabulary - 1), 1)}
    tokens, source = np.array([place.get(word, 0) for word in words]), "brown"
  except UserError as error:
    tokens, source = np.random.default_rng(0).integers(0, vocabulary, 10**6), f"random ({error})"
  family = language_model.language_model(RecurrentLM(vocabulary, Recurrent(200, 2)), carried=True)
  optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.sgd(1.0))
  batches = _language_batches(tokens, rows, length, 100)
  median, measured = _timed(_learner(family, optimizer, family.init_carry), batches, 100)
  rate = round(rows * length / median * 1e3)
  return result(name, "step_time", median, "ms", **measured, words_per_s=rate, data=source)


def lstm_classifier_step(name: str) -> dict:
  """One update of an LSTM of 128 on MNIST's rows, batch 128; Adam; ms."""
  inputs, labels, source = images("mnist", "train", 10 * BATCH)
  batches = [image_batch(inputs[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
  family = classifier.classifier(RecurrentClassifier(10, Recurrent(128)))
  median, measured = _timed(_learner(family, optax.adam(1e-3)), batches, 200)
  return result(name, "step_time", median, "ms", **measured, batch=BATCH, data=source)


def gpt_char(name: str) -> dict:
  """One update of nanoGPT's CPU model, 4 layers of 128 on 12 windows of 64 characters; AdamW; ms."""
  try:
    text = corpora.load("shakespeare").train
    source = "shakespeare"
  except UserError as error:
    text, source = corpora.load("pydoc").train, f"pydoc ({error})"
  tokenizer = tokenizers.Characters.learned(text)
  tokens = tokenizer.encode(text[: 12 * (200 * 64 + 1)])
  family = language_model.language_model(Decoder(GPT, tokenizer.size, 4, 64))
  adamw = optax.adamw(1e-3, b2=0.99, weight_decay=0.1, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params))
  learner = _learner(family, optax.chain(optax.clip_by_global_norm(1.0), adamw))
  median, measured = _timed(learner, _language_batches(tokens, 12, 64, 200), 300)
  return result(name, "step_time", median, "ms", **measured, data=source)


def _generation(name: str, cached: bool) -> dict:
  """Tokens a second of one row of 255 tokens of the same network with windows of 256."""
  network = Decoder(GPT, 65, 4, 256)
  variables = jax.jit(lambda: network.init(jax.random.key(0), jnp.zeros((1, 8), int), False))()
  forward = lambda v, tokens: network.apply(v, tokens, False)
  model = language_model.generating(network) if cached else buffered(forward, 256)
  draw, seconds = continuer(model, sample()), []
  for i in range(4):  # the first compiles
    begin = time.perf_counter()
    draw(variables, [np.zeros(1, np.int32)], jax.random.key(i), 255)
    seconds.append(time.perf_counter() - begin)
  mode = "key-value cache" if cached else "recompute"
  rate = 255 / statistics.median(seconds[1:])
  return result(name, "generation", rate, "tokens/s", tokens=255, batch=1, mode=mode, first_s=seconds[0])


def gpt_generate_recompute(name: str) -> dict:
  """Everything computed anew for every token."""
  return _generation(name, False)


def gpt_generate_cached(name: str) -> dict:
  """Keys and values kept."""
  return _generation(name, True)


class _Translator(EncoderDecoder):
  """A translator whose batch holds source and target side by side, as `language_model` takes it."""

  def __call__(self, pair, train):  # ty: ignore[incompatible-method-override]
    source, target = jnp.split(pair, 2, axis=1)
    return super().__call__(source, target, train)


def transformer_base_step(name: str) -> dict:
  """One update of the base Transformer, 512 wide, 6 and 6 layers, 16 pairs of 32 tokens, 10,000 tokens; Adam; ms."""
  style = Style(
    512, 8, positions="sinusoidal", norm="layer", pre_norm=False, use_bias=True, activation="relu", dropout=0.1
  )
  family = language_model.language_model(_Translator(style, 10_000, (6, 6)), label_smoothing=0.1)
  source, target = np.random.default_rng(0).integers(0, 10_000, (2, 16, 33)).astype(np.int32)
  batch = {
    "inputs": np.concatenate([source[:, :32], target[:, :32]], 1),
    "targets": target[:, 1:],
    "mask": np.ones((16, 32), np.float32),
  }
  median, measured = _timed(_learner(family, optax.adam(1e-4, b2=0.98, eps=1e-9)), [jax.device_put(batch)], 15)
  return result(name, "step_time", median, "ms", **measured, target_tokens_per_s=round(512 / median * 1e3))


def word2vec(name: str) -> dict:
  """Words of the text a second, five epochs of configs/word2vec/brown.py as the loop runs them; not compilation."""
  config = cli.load_config("configs/word2vec/brown.py")
  experiment = word2vec_experiment.experiment(config)
  settings = session.settings_of(config, experiment.train_data)
  executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
  words = sum(map(len, vocabulary.load("brown")))
  each, steps_done = settings.steps_per_dispatch, settings.total_steps
  spans = [(first, min(each, steps_done - first)) for first in range(0, steps_done, each)]

  def run(spans):
    state = executor.init_state()
    start, cpu = time.perf_counter(), time.process_time()
    for _, _, feed, count in executor.feeds(experiment.train_data, spans, each):
      state, metrics = executor.update(state, feed, count)
    jax.block_until_ready((state, metrics))
    return time.perf_counter() - start, time.process_time() - cpu

  compiled, _ = run(spans[:1])
  seconds, cpu = run(spans)
  rate = words * 5 / seconds
  return result(name, "raw_words", rate, "words/s", train_s=seconds, cpu_s=cpu, epochs=5, first_dispatch_s=compiled)


WORKLOADS = {
  function.__name__: function
  for function in (
    lstm_lm_step,
    lstm_classifier_step,
    gpt_char,
    gpt_generate_recompute,
    gpt_generate_cached,
    transformer_base_step,
    word2vec,
  )
}
