"""Measures of the first items against a loop over them."""

import jax
import numpy as np
import pytest

from research.evaluation import ranking

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("first", [3, 10, 40])
def test_top_measures_are_those_of_a_loop(first):
  scores = RNG.normal(size=(30, 20)).astype(np.float32)
  relevant, seen = RNG.random((30, 20)) < 0.2, RNG.random((30, 20)) < 0.3
  relevant[0] = False
  found = jax.jit(ranking.top_measures, static_argnums=3)(scores, relevant, seen, first)
  for row in range(30):
    wanted = {i for i in range(20) if relevant[row, i] and not seen[row, i]}
    ranked = sorted((i for i in range(20) if not seen[row, i]), key=lambda i: -scores[row, i])[:first]
    gain, hits, precision = 0.0, 0, 0.0
    for place, item in enumerate(ranked, 1):
      if item in wanted:
        hits += 1
        gain += 1 / np.log2(place + 1)
        precision += hits / place
    most = min(len(wanted), first)
    ideal = sum(1 / np.log2(place + 1) for place in range(1, most + 1))
    expected = (gain / ideal, hits / len(wanted), precision / most) if wanted else (0, 0, 0)
    np.testing.assert_allclose(
      [found[name][row] for name in ("ndcg", "recall", "average_precision")], expected, rtol=1e-5
    )
