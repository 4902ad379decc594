"""What is told of vectors of words: neighbours, a map, agreement with people; and what they are used for."""

import pathlib
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from research.data import raw
from research.errors import UserError
from research.evaluation import latents, words
from research.families.word2vec import Word2Vec
from research.text import labelled, vocabulary, word_vectors
from research.text.vocabulary import Stream
from research.text.word_vectors import WordVectors
from research.training.experiment import Report

if TYPE_CHECKING:
  from matplotlib.figure import Figure

FILES = {"wordsim353": "wordsim353.tsv", "simlex999": "simlex999.txt"}
_NEIGHBOURS = 8


def vectors_of(tables, family: Word2Vec, train: Stream, subwords: vocabulary.Subwords | None) -> WordVectors:
  """The words' vectors in a state's tables; with subwords, of each word the mean of its own and theirs."""
  inputs = np.asarray(tables["inputs"])
  if subwords is None:
    return WordVectors(train.words, inputs)
  table = subwords.table(train.words)
  parts = (table >= 0).sum(1, keepdims=True)
  whole = np.stack([inputs[row[row >= 0]].sum(0) for row in table]) / parts
  return WordVectors(train.words, whole.astype(np.float32), subwords, inputs[family.words :])


def vector(rows, subwords, word) -> jax.Array:
  """The vectors of words by number; `subwords` is `Subwords.table`, or None."""
  if subwords is None:
    return rows[word]
  parts = subwords[word]
  there = (parts >= 0)[..., None]
  return jnp.where(there, rows[parts], 0).sum(-2) / there.sum(-2)


def report(vectors: WordVectors, train: Stream, config: ml_collections.ConfigDict) -> Report:
  """A map, tables of neighbours, and whatever `config.report` asks to be measured."""
  section = config.report
  listed = vectors.words[section.skip : section.skip + section.words]
  if not listed:
    remedy = f"of {len(vectors.words)} words none is left: skip fewer, or show more."
    raise UserError("config.report.skip, config.report.words", (section.skip, section.words), remedy)
  reviews = config.data.name == labelled.SST2
  own = reviews and raw.is_own(labelled.SST2, config.data.path, *labelled.FILES)  # no sentiment is known of it
  metrics: dict[str, float] = {"vocabulary": float(len(vectors.words)), "text_words": float(train.total)}
  definitions = {
    "vocabulary": "words that have vectors",
    "text_words": "words of the training text, rare ones too",
  }
  for measured, told in (
    *(_similarity(vectors, name) for name in section.similarity.split()),
    *([_analogies(vectors)] if section.analogies else []),
    *([_sentiment(vectors, config.data.path if reviews else None)] if section.classify and not own else []),
  ):
    metrics |= measured
    definitions |= told
  neighbours = _table(vectors, section.neighbours.split() or listed)
  files = {"neighbours.tsv": neighbours.encode(), "vectors.bin": word_vectors.dumps(vectors, binary=True)}
  return Report(metrics, {"words": _map(vectors, listed, section.map, config.seed)}, definitions, files)


def _table(vectors: WordVectors, listed) -> str:
  """Each word and its neighbours, a word a line."""
  return "".join(f"{word}\t{_line(vectors.most_similar([word], count=_NEIGHBOURS))}\n" for word in listed)


def _line(neighbours) -> str:
  return " ".join(f"{word} ({score:.2f})" for word, score in neighbours)


def _similarity(vectors: WordVectors, name: str):
  if name not in FILES:
    raise UserError("config.report.similarity", name, f"choose of {', '.join(FILES)}.")
  similarity = words.similarity(vectors, words.pairs(raw.locate("eval", FILES[name])))
  told = f"of the {similarity.pairs} pairs of {name} both of whose words have vectors"
  return {name: similarity.spearman, f"{name}_covered": float(similarity.covered)}, {
    name: f"Spearman's rank correlation of cosines and people's judgements, {told}",
    f"{name}_covered": f"how many {told}",
  }


def _analogies(vectors: WordVectors):
  sections = words.questions(raw.locate("eval", "questions-words.txt"))
  metrics, definitions = {}, {}
  for name, multiply in (("3cosadd", False), ("3cosmul", True)):
    right, asked = np.sum(list(words.analogies(vectors, sections, multiply).values()), axis=0)
    metrics[f"analogies_{name}"] = right / asked if asked else float("nan")
    metrics["analogies_covered"] = float(asked)
    definitions[f"analogies_{name}"] = f"share of the covered questions whose first answer is right, by {name}"
  definitions["analogies_covered"] = "questions all of whose four words have vectors"
  return metrics, definitions


def _sentiment(vectors: WordVectors, path: str | None):
  """Logistic regression of SST-2's classes on the mean of the unit vectors of a text's words."""
  from sklearn.linear_model import LogisticRegression

  train, test = (labelled.load(labelled.SST2, split, path) for split in ("train", "test"))
  model = LogisticRegression(max_iter=1000).fit(vectors.document_vectors(train.texts), train.label)
  accuracy = model.score(vectors.document_vectors(test.texts), test.label)
  told = "share of SST-2's dev set, by logistic regression on the mean of the unit vectors of a text's words"
  return {"sentiment_accuracy": float(accuracy)}, {"sentiment_accuracy": told}


def _map(vectors: WordVectors, listed, kind: str, seed: int) -> "Figure":
  """Words in the plane by principal components or t-SNE of their unit vectors."""
  from matplotlib.figure import Figure

  points = np.stack([vectors.unit[vectors.place[word]] for word in listed])
  match kind:
    case "pca":
      plane, shares = latents.principal_components(points)
      title = f"principal components, {shares[:2].sum():.0%} of the variance"
    case "tsne":
      from sklearn.manifold import TSNE

      few = min(15.0, (len(points) - 1) / 3)
      plane, title = TSNE(perplexity=few, metric="cosine", init="pca", random_state=seed).fit_transform(points), "t-SNE"
    case _:
      raise UserError("config.report.map", kind, "choose pca or tsne.")
  figure = Figure(figsize=(9, 9), layout="constrained")
  axes = figure.add_subplot(title=f"{len(listed)} words: {title}")
  axes.scatter(*plane.T, s=6, color="#2f6db5")
  for word, place in zip(listed, plane):
    axes.annotate(word, place, (3, 2), textcoords="offset points", fontsize=7.5)
  axes.set_axis_off()
  return figure


def predictions(vectors: WordVectors, source: str) -> dict[str, Any]:
  """What `--input` asks for.

  Args:
    source: words, `king`, or `king - man + woman`: what is nearest; a .txt file: vectors of its texts, one a line;
      nothing: the vectors as files of word2vec's two formats.

  Raises:
    UserError: a word that is not known, or a file that there is not.
  """
  if not source:
    kinds = {"vectors.txt": False, "vectors.bin": True}
    files = {name: word_vectors.dumps(vectors, binary) for name, binary in kinds.items()}
    return {**files, "words": np.array(vectors.words)}
  if source.endswith(".txt"):
    file = pathlib.Path(source)
    if not file.is_file():
      raise UserError("--input", source, "there is no such file: give texts, one a line, or words.")
    texts = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {"document_vectors": vectors.document_vectors(texts)}
  positive, negative = terms(source)
  neighbours = vectors.most_similar(positive, negative)
  print(f"nearest to {source}:")
  print("\n".join(f"  {score:.3f}  {word}" for word, score in neighbours))
  result = {
    "neighbours": np.array([word for word, _ in neighbours]),
    "similarity": np.array([score for _, score in neighbours]),
  }
  if negative:
    multiplied = vectors.most_similar(positive, negative, multiply=True)
    result["neighbours_3cosmul"] = np.array([word for word, _ in multiplied])
  return result


def terms(source: str) -> tuple[list[str], list[str]]:
  """Words to be near to, and to be far from: those that a minus stands before, by itself or at the word's start."""
  sign, result = 1, {1: [], -1: []}
  for part in source.lower().replace("+", " + ").split():
    if part in ("+", "-"):
      sign = 1 if part == "+" else -1
      continue
    word = part.removeprefix("-")
    result[-1 if part != word else sign].append(word)
    sign = 1
  return result[1], result[-1]
