"""Citation networks."""

from pathlib import Path

import numpy as np


def write(folder: Path, papers: int = 60) -> None:
  """`cora.npz`: a Planetoid archive of so many papers, three words each of twenty, four classes."""
  rng = np.random.default_rng(0)
  order = rng.permutation(papers)
  np.savez(
    folder / "cora.npz",
    features_data=np.ones(3 * papers, np.float32),
    features_indices=np.concatenate([rng.choice(20, 3, False) for _ in range(papers)]),
    features_indptr=np.arange(0, 3 * papers + 1, 3),
    features_shape=np.array([papers, 20]),
    edges=rng.integers(0, papers, (2, 3 * papers)),
    labels=np.arange(papers) % 4,
    train=order[:16],
    val=order[16:32],
    test=order[32:],
  )
