"""Figures of Markov chains: what is drawn is what was given."""

import numpy as np

from research.evaluation import chains, figures


def test_small_matrices_show_their_numbers():
  figure = chains.probabilities(np.array([[0.25, 0.75], [1, 0]]), ["a", "b"], ["a", "b"], "moves")
  assert [text.get_text() for text in figure.axes[0].texts] == ["0.250", "0.750", "1.000", "0.000"]
  assert not chains.probabilities(np.full((40, 40), 1 / 40)).axes[0].texts


def test_segmentation_draws_every_path_and_the_music_below(tmp_path):
  path, roll = np.array([0, 0, 2, 1]), np.zeros((4, 88))
  roll[:, [30, 40]] = 1
  figure = chains.segmentation({"true": path, "found": path[::-1]}, ["a", "b", "c"], {"p": np.ones(4)}, roll)
  true, found, p, music = figure.axes
  np.testing.assert_array_equal(true.images[0].get_array(), path[None])
  np.testing.assert_array_equal(found.images[0].get_array(), path[None, ::-1])
  assert p.collections
  assert music.images[0].get_array().shape == (11, 4), "only the range that sounds"
  assert figures.save(figure, tmp_path / "figure.png").stat().st_size > 5000


def test_piano_rolls_share_their_range(tmp_path):
  rolls = [np.eye(88)[[20, 30]], np.eye(88)[[25, 50]], np.zeros((2, 88))]
  figure = chains.piano_rolls(rolls, ["one", "other"])
  assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "other", ""]
  assert {axes.images[0].get_array().shape for axes in figure.axes} == {(31, 2)}
  bottom = figure.axes[0].images[0].get_extent()[2]
  assert bottom == 20 + 21 - 0.5
  assert figures.save(chains.piano_rolls([np.zeros((3, 88))]), tmp_path / "silence.png").exists()
