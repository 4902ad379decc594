import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax
from sklearn import datasets

from research.evaluation import classification, figures

RNG = np.random.default_rng(0)
DIGITS = datasets.load_digits()
IMAGES, LABELS = (DIGITS.images / 16).astype(np.float32)[..., None], DIGITS.target
LOG_PROBS = log_softmax(2 * RNG.normal(size=(len(LABELS), 10)) + 6 * np.eye(10)[LABELS], -1)
WEIGHTS = RNG.normal(size=6400)
RATES = np.random.default_rng(1).random((3, 5))
COLOURS = RNG.integers(0, 255, (7, 8, 8, 3), dtype=np.uint8)
ROWS = [
  {"step": s, "kind": "train", "loss": 2 * np.exp(-s / 30) + 0.02, "learning_rate": 0.1} for s in range(0, 100, 5)
] + [
  {"step": s, "kind": "eval", "loss": 2 * np.exp(-s / 40) + 0.05, "accuracy": 1 - np.exp(-s / 20)}
  for s in range(0, 100, 20)
]

FIGURES = {
  "confusion": lambda: figures.confusion_matrix(classification.confusion_matrix(LOG_PROBS, LABELS)),
  "confusion_named": lambda: figures.confusion_matrix(
    np.eye(3, dtype=int) * 9 + 1, ["setosa", "versicolor", "virginica"]
  ),
  "reliability": lambda: figures.reliability_diagram(classification.reliability(LOG_PROBS, LABELS)),
  "misclassified": lambda: figures.misclassified(IMAGES, LOG_PROBS, LABELS),
  "none_misclassified": lambda: figures.misclassified(IMAGES[:5], np.log(0.1 + np.eye(10)[LABELS[:5]]), LABELS[:5]),
  "filters_grey": lambda: figures.filters(WEIGHTS[: 9 * 32].reshape(3, 3, 1, 32)),
  "filters_colour": lambda: figures.filters(WEIGHTS[: 75 * 16].reshape(5, 5, 3, 16)),
  "filters_dense": lambda: figures.filters(WEIGHTS.reshape(64, 100), image_shape=(8, 8)),
  "sample_efficiency": lambda: figures.sample_efficiency((20, 40, 90), {"a": RATES, "b": RATES[::-1]}, 33.0),
  "curves": lambda: figures.learning_curves(ROWS),
  "curves_empty": lambda: figures.learning_curves([]),
  "grid_uint8": lambda: figures.image_grid(COLOURS, list("abcdefg"), title="x"),
  "grid_without_captions": lambda: figures.image_grid(IMAGES[:7], title="x"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_draws_and_repeats_to_the_byte(name, tmp_path):
  first = figures.save(FIGURES[name](), tmp_path / "figures" / f"{name}.png")
  second = figures.save(FIGURES[name](), tmp_path / "again.png")
  assert first.read_bytes() == second.read_bytes()
  with Image.open(first) as image:
    assert min(image.size) > 100


def test_a_grid_shows_each_image_in_its_place():
  """Row by row, and white where there is none: read at the middle of each cell."""
  images = np.linspace(0, 0.9, 5)[:, None, None, None] * np.ones((5, 6, 4, 3))
  (axes,) = figures.image_grid(images, columns=3).axes
  shown = np.asarray(axes.images[0].get_array())
  middle = lambda size, cells: (np.arange(cells) + 0.5) / cells * size
  read = shown[np.ix_(middle(shown.shape[0], 2).astype(int), middle(shown.shape[1], 3).astype(int))]
  np.testing.assert_allclose(read[..., 0].ravel(), [*np.linspace(0, 0.9, 5), 1])


def test_misclassified_shows_the_most_confident_errors_first():
  figure = figures.misclassified(IMAGES, LOG_PROBS, LABELS, limit=6)
  captions = [axes.get_title() for axes in figure.axes if axes.get_title()]
  wrong = np.flatnonzero(LOG_PROBS.argmax(1) != LABELS)
  worst = wrong[np.argmax(LOG_PROBS.max(1)[wrong])]
  assert len(captions) == 6
  assert captions[0].startswith(f"true {LABELS[worst]}\n{LOG_PROBS[worst].argmax()} ")


def test_curves_have_a_panel_for_each_quantity():
  figure = figures.learning_curves(ROWS, metrics=["loss", "accuracy"])
  assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
  assert [line.get_label() for line in figure.axes[0].lines] == ["eval", "train"]


def test_curves_over_seeds_are_means_in_bands():
  """Of the steps that all seeds of a group have; rates and timings are not drawn."""
  row = lambda step, loss, kind="train": {"step": step, "kind": kind, "loss": loss, "learning_rate": 0.1}
  groups = {"a": [[row(0, 1.0), row(1, 3.0), row(2, 9.0)], [row(0, 3.0), row(1, 7.0)]], "b": [[row(0, 2.0), row(1, 2)]]}
  groups["a"][0].append({"step": 0, "kind": "timing", "seconds": 1.0})
  figure = figures.curves_over_seeds(groups)
  assert [axes.get_title() for axes in figure.axes if axes.lines] == ["train loss"]
  assert [line.get_label() for line in figure.axes[0].lines] == ["a", "b"]
  np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata(), [[0, 2], [1, 5]])
  band = figure.axes[0].collections[0].get_paths()[0].vertices
  assert {(0, 1), (0, 3), (1, 3), (1, 7)} <= {tuple(point) for point in band.tolist()}
  assert not any(axes.lines for axes in figures.curves_over_seeds({}).axes)


def test_filters_refuse_what_is_no_image():
  with pytest.raises(ValueError, match="no image"):
    figures.filters(np.zeros((4, 64)), image_shape=(8, 8))


def test_importing_figures_does_not_import_matplotlib():
  code = "import sys; from research.evaluation import figures; assert 'matplotlib' not in sys.modules"
  subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_images_of_any_number_of_channels_are_drawn(channels, tmp_path):
  """Where they are neither grey nor red, green and blue, as the mean of the channels."""
  images = np.random.default_rng(0).integers(0, 256, (3, 4, 5, channels)).astype(np.uint8)
  figure = figures.image_grid(images, columns=3)
  assert figures.save(figure, tmp_path / "images.png").is_file()
  (drawn,) = figure.axes[0].get_images()
  pixel = np.asarray(drawn.get_array())[0, 0]
  expected = images[0, 0, 0] if channels in (1, 3) else images[0, 0, 0].mean().astype(np.uint8)
  np.testing.assert_array_equal(np.ravel(pixel), np.ravel(expected))
