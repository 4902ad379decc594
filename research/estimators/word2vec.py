"""Word2Vec with scikit-learn's interface for transformers of texts: `fit`, `partial_fit`, `transform`, `most_similar`.

  Word2Vec(random_state=0).fit(texts).most_similar("king")

A text is a string; its sentences are cut, and its words lower-cased, as `research.text.vocabulary` has it.  A list of
lists of words is taken as sentences.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from research.data import contexts
from research.data.dataset import Dataset
from research.errors import UserError
from research.families import word2vec as family_lib
from research.text import vocabulary
from research.text.word_vectors import WordVectors
from research.training import optimizers, parallel, sparse

_DISPATCH = 100  # updates a call


class Word2Vec(TransformerMixin, BaseEstimator):
  """Vectors of words (Mikolov et al. 2013a, 2013b); of a text, the mean of its words' unit vectors.

  Args:
    vector_size: numbers of a vector.
    window: words on each side that a context reaches, at most.
    min_count: occurrences of a word that is in the vocabulary.
    cbow: whether the mean of a context predicts, else each of its words does.
    negative: noise words for each predicted word; 0: the hierarchical softmax.
    sample: share of the text from which on a word is left out now and then.
    epochs: passes over the texts.
    learning_rate: of one prediction; it falls linearly to a 250th.
    random_state: of the initialisation, the order, the windows and the noise.

  Attributes (after `fit`):
    vectors_: `research.text.word_vectors.WordVectors`.
    components_: the vectors [word, feature], the most frequent word first.
    nll_: loss of a predicted word in the last update.
    n_features_out_: `vector_size`.
  """

  def __init__(
    self,
    vector_size: int = 100,
    *,
    window: int = 5,
    min_count: int = 5,
    cbow: bool = False,
    negative: int = 5,
    sample: float = 1e-3,
    epochs: int = 5,
    learning_rate: float = 0.025,
    random_state: Any = None,
  ):
    self.vector_size = vector_size
    self.window = window
    self.min_count = min_count
    self.cbow = cbow
    self.negative = negative
    self.sample = sample
    self.epochs = epochs
    self.learning_rate = learning_rate
    self.random_state = random_state

  def fit(self, X: Sequence, y=None):
    """Learns the vocabulary and the vectors of texts.

    Raises:
      UserError: a hyper-parameter out of its range, or fewer than two words that are frequent enough.
    """
    del y
    for field, least in {"vector_size": 1, "window": 1, "min_count": 1, "negative": 0, "epochs": 1}.items():
      if getattr(self, field) < least:
        raise UserError(field, getattr(self, field), f"give {least} or more.")
    self._stream = vocabulary.stream(_sentences(X), self.min_count)
    self._seed = int(check_random_state(self.random_state).randint(2**31))
    self._tables = None
    return self._train(self._stream)

  def partial_fit(self, X: Sequence, y=None):
    """Goes on from the vectors that there are, on further texts; words that the first had not are left out."""
    if not hasattr(self, "_tables"):
      return self.fit(X, y)
    return self._train(vocabulary.stream(_sentences(X), 1, self._stream.words))

  def transform(self, X: Sequence) -> Float[np.ndarray, "text feature"]:
    """The mean of the unit vectors of each text's words; zeros where none is known."""
    check_is_fitted(self, "vectors_")
    return self.vectors_.document_vectors([text if isinstance(text, str) else " ".join(text) for text in X])

  def most_similar(self, positive, negative=(), topn: int = 10) -> list[tuple[str, float]]:
    """The nearest words and their cosines; of one word or several, and away from others.

    Raises:
      UserError: a word that is not known; the nearest spellings are named.
    """
    check_is_fitted(self, "vectors_")
    several = lambda words: [words] if isinstance(words, str) else list(words)
    return self.vectors_.most_similar(several(positive), several(negative), topn)

  def score(self, X: Sequence, y=None) -> float:
    """Minus the loss of a predicted word of texts, nats (`research.families.word2vec`): higher is better.

    Raises:
      UserError: texts without two words that are known.
    """
    del y
    check_is_fitted(self, "vectors_")
    data = self._contexts(vocabulary.stream(_sentences(X), 1, self._stream.words), None)
    family, beside = self._family()
    one = lambda tables, resident, beside, fed: family.evaluate(tables, {**data.assemble(resident, fed), **beside})
    evaluate, given = jax.jit(one), jax.device_put((self._tables, data.resident, beside))
    losses = [jax.device_get(evaluate(*given, data.feed(step)))["nll"] for step in range(data.num_batches)]
    return -float(sum(loss.total for loss in losses) / sum(loss.count for loss in losses))

  @property
  def components_(self) -> Float[np.ndarray, "word feature"]:
    return self.vectors_.vectors

  def _contexts(self, stream: vocabulary.Stream, seed: int | None) -> Dataset:
    """Rows for training, or (without a seed) for one pass in order."""
    keep = contexts.keep_probabilities(self._stream.counts, self.sample)
    block = 32 if self.negative else 8
    return contexts.contexts(
      stream.tokens, stream.units, keep, 1, length=128, window=self.window, seed=seed, block=block
    )

  def _family(self) -> tuple[family_lib.Word2Vec, dict]:
    """The family, and what its batches hold beside their rows."""
    family = family_lib.Word2Vec(
      len(self._stream.words), self.vector_size, cbow=self.cbow, negatives=self.negative, noise_words=64
    )
    counts = self._stream.counts
    return family, {"noise": family_lib.noise(counts)} if self.negative else {"tree": family_lib.huffman(counts)}

  def _train(self, stream: vocabulary.Stream):
    data, (family, beside) = self._contexts(stream, self._seed), self._family()
    total = self.epochs * data.num_batches
    schedule = optimizers.schedule("linear", learning_rate=self.learning_rate, total_steps=total, final_fraction=0.004)
    learner = sparse.sparse_learner(
      init=lambda key, batch: self._tables or family.init(key, batch),
      ids=family.ids,
      loss=family.loss,
      evaluate=family.evaluate,
      optimizer=sparse.sgd(schedule, scattered=True),
    )
    assemble = lambda resident, fed: {**data.assemble(resident, fed), **{name: resident[name] for name in beside}}
    update = jax.jit(parallel.training_dispatch(learner, assemble, _DISPATCH), donate_argnums=0)
    resident, metrics = jax.device_put({**data.resident, **beside}), {}
    state: Any = learner.init(jax.random.key(self._seed), {})
    for first in range(0, total, _DISPATCH):
      feeds = [data.feed(min(first + i, total - 1)) for i in range(_DISPATCH)]
      feed = jax.tree.map(lambda *xs: np.stack(xs), *feeds)
      state, metrics = update(state, resident, min(_DISPATCH, total - first), feed)
    self._tables = jax.device_get(state.tables)
    self.nll_ = float(metrics["nll"].value())
    self.vectors_ = WordVectors(self._stream.words, np.asarray(family.vectors(self._tables)))
    self.n_features_out_ = self.vector_size
    return self


def _sentences(X: Sequence) -> vocabulary.Sentences:
  if isinstance(X, str):
    raise UserError("X", X[:20], "give a list of texts, or of sentences as lists of words.")
  return [words for text in X for words in (vocabulary.sentences_of(text) if isinstance(text, str) else [list(text)])]
