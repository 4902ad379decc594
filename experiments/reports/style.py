"""What a translation of images is judged by: a classifier of the target domain, errors of pixels, and the figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import features, generative
from experiments.parts.splits import Splits
from research.data import domains as domains_lib
from research.data import files
from research.data.dataset import Dataset
from research.data.domains import Domains
from research.data.examples import Examples
from research.evaluation import figures, segments
from research.families import image_translation as family_lib
from research.families.image_translation import TO_A, TO_B
from research.training import game
from research.training.experiment import Report

_BATCH = 500
_ARRAYS = (".npz", ".npy")
_OTHER = {TO_B: TO_A, TO_A: TO_B}


class Data(NamedTuple):
  """What is translated.

  Attributes:
    sets: batches of both domains.
    parts: their images.
    known: whether in what is measured the rows of both domains are pairs.
  """

  sets: Splits[Dataset]
  parts: Splits[Domains]
  known: bool


class Translator:
  """Translations by a state's generators, their moving average where there is one."""

  def __init__(self, family: family_lib.Translation, state: game.GameState):
    self.directions, self._variables = family.directions, game.generator_of(state)

    def translate(variables, direction, pictures):
      unit = (family.translate(variables, direction, domains_lib.signed(pictures)) + 1) / 2
      return jnp.round(255 * unit).astype(jnp.uint8)

    self._translate = jax.jit(translate, static_argnums=1)

  def __call__(self, pictures: np.ndarray, direction: str) -> np.ndarray:
    """Bytes [image, height, width, channel] as those of the other domain, bytes too."""
    return generative.batched(lambda rows: self._translate(self._variables, direction, rows), _BATCH, pictures)


def report(translator: Translator, data: Data, config: ml_collections.ConfigDict) -> Report:
  """What classifiers of the target domains make of the whole test set's translations, and the figure."""
  test = data.parts.test
  translated = {TO_B: translator(test.a.inputs, TO_B)}
  if TO_A in translator.directions:
    translated[TO_A] = translator(test.b.inputs, TO_A)
  pictures = {"translations": figure(translator, translated, test, config.report.samples)}
  if not test.a.labelled:
    return Report({}, pictures, {})
  values: dict[str, float] = {}
  for direction, end in ((TO_B, ""), (TO_A, "_back")):
    if direction in translated:
      source, target = (test.a, _side(data.parts, "b")) if direction == TO_B else (test.b, _side(data.parts, "a"))
      measured = judged(features.trained_on(config.measure, target), source, translated[direction])
      values |= {f"{name}{end}": value for name, value in measured.items()}
  return Report(values, pictures, {name: DEFINITIONS[name] for name in values})


def _side(parts: Splits[Domains], side: str) -> Splits[Examples]:
  return parts.map(lambda part: getattr(part, side))


def judged(classifier: features.Classifier, source: Examples, translated: np.ndarray) -> dict[str, float]:
  """What `DEFINITIONS` says, of one direction.

  Args:
    classifier: of the target domain.
    source: the images that were translated, with their labels.
    translated: what they became.
  """
  agreement = lambda pictures: float((classifier.measure(pictures).labels == source.label).mean())
  return {
    "judge_accuracy": agreement(translated),
    "judge_accuracy_unchanged": agreement(source.inputs),
    "judge_accuracy_true": classifier.accuracy,
  }


DEFINITIONS = {
  "judge_accuracy": "share of all test images a whose G(a) a classifier, trained here on domain B, takes for a's class",
  "judge_accuracy_unchanged": "the same share of the images a, left as they are: what that classifier would let pass",
  "judge_accuracy_true": "accuracy of that classifier on the test images of domain B itself",
  "judge_accuracy_back": "share of all test images b whose F(b) one, trained on domain A, takes for b's class",
  "judge_accuracy_unchanged_back": "the same share of the images b, left as they are",
  "judge_accuracy_true_back": "accuracy of that classifier on the test images of domain A itself",
}


def figure(translator: Translator, translated: Mapping[str, np.ndarray], test: Domains, columns: int):
  """Columns of test images: a, G(a), F(G(a)) and b, F(b), G(F(b)); of pairs a, G(a), b."""
  columns = min(columns, len(test.a), len(test.b))
  a, b, to_b = (pictures[:columns] for pictures in (test.a.inputs, test.b.inputs, translated[TO_B]))
  if TO_A not in translated:
    return figures.image_grid(np.concatenate([a, to_b, b]), columns=columns, title="rows: a; G(a); the true b")
  to_a = translated[TO_A][:columns]
  rows = [a, to_b, translator(to_b, TO_A), b, to_a, translator(to_a, TO_B)]
  return figures.image_grid(np.concatenate(rows), columns=columns, title="rows: a; G(a); F(G(a)); b; F(b); G(F(b))")


def predictions(translator: Translator, path: str, data: Data, direction: str) -> dict[str, Any]:
  """The images at `path` translated, as an array and, of image files, as PNGs; by default those of the test set."""
  source = data.parts.test.a if direction == TO_B else data.parts.test.b
  inputs, names = source.inputs, [str(row) for row in range(len(source))]
  if path:
    inputs, names = files.unlabelled(path, inputs.shape[1:], dtype=np.uint8)
  translated = translator(inputs, direction)
  outputs: dict[str, Any] = {"name": np.asarray(names), "translated": translated}
  if _OTHER[direction] in translator.directions:
    outputs["there_and_back"] = translator(translated, _OTHER[direction])
  if path and Path(path).suffix.lower() not in _ARRAYS:
    squeezed = [picture[..., 0] if picture.shape[-1] == 1 else picture for picture in translated]
    outputs |= {f"{i:04d}_{Path(name).stem}.png": segments.png(x) for i, (name, x) in enumerate(zip(names, squeezed))}
  return outputs
