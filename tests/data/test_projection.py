"""Projections against scikit-learn's PCA and linear algebra."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from research.data import projection
from research.errors import UserError

DIGITS = np.round(load_digits().images * (255 / 16)).astype(np.uint8)[..., None]


def test_features_are_scikit_learns_up_to_their_signs():
  found = projection.fit(DIGITS[:1000], 5)
  peer = PCA(5, svd_solver="full").fit(DIGITS[:1000].reshape(1000, -1) / 255)
  ours, theirs = found.forward(DIGITS[1000:]), peer.transform(DIGITS[1000:].reshape(-1, 64) / 255)
  np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-9)
  assert found.num_features == 5
  expected = peer.inverse_transform(theirs).reshape(-1, 8, 8, 1)
  np.testing.assert_allclose(found.backward(ours), expected, atol=1e-9)


def test_nothing_is_lost_where_nothing_is_left_out():
  for components in (0, 64):
    found = projection.fit(DIGITS, components)
    assert found.num_features == 64
    np.testing.assert_allclose(found.backward(found.forward(DIGITS[:7])), DIGITS[:7] / 255, atol=1e-9)


def test_floats_stay_in_their_unit():
  vectors = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32) * 100
  found = projection.fit(vectors)
  np.testing.assert_array_equal(found.forward(vectors, np.float32), vectors)
  assert found.forward(vectors, np.float32).dtype == np.float32


def test_bad_input_is_refused():
  with pytest.raises(UserError, match="wanted = 65"):
    projection.fit(DIGITS, 65, "wanted")
  with pytest.raises(UserError, match="20 examples"):
    projection.fit(DIGITS[:20], 21)
  vectors = np.ones((4, 2), np.float32)
  vectors[2, 1] = np.nan
  with pytest.raises(UserError, match="example = 2"):
    projection.fit(np.ones((4, 2), np.float32)).forward(vectors)
