"""How good samples are: modes covered, class histograms, precision and recall, distances of features, neighbours.

All of NumPy, in float64 where sums are long.  Features are whatever the caller's network computes; a distance between
features of a classifier trained here is never to be called FID, which is one of Inception's.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Features = Float[np.ndarray, "example feature"]
_CHUNK = 1024


def subset(total: int, count: int, seed: int) -> Int[np.ndarray, " count"]:
  """Places of `count` of `total` examples, drawn without replacement, in order; of all if there are not more.

  The first ones would stand for a set only where its order means nothing.
  """
  order = np.random.Generator(np.random.Philox(key=seed)).permutation(total)
  return np.sort(order[:count])


def labels_like(labels: Int[np.ndarray, " example"], count: int, seed: int) -> Int[np.ndarray, " count"]:
  """So many labels, int32, each drawn from these: classes are as frequent as there, up to chance."""
  chosen = np.random.Generator(np.random.Philox(key=seed)).integers(0, len(labels), count)
  return np.asarray(labels)[chosen].astype(np.int32)


def histogram(labels: Int[np.ndarray, " sample"], classes: int) -> Int[np.ndarray, " class"]:
  """How many samples each class has."""
  return np.bincount(labels, minlength=classes)


def covered(labels: Int[np.ndarray, " sample"], classes: int) -> int:
  """Number of classes that have a sample at least (Metz et al. 2017, section 3.3.1)."""
  return int((histogram(labels, classes) > 0).sum())


def histogram_divergence(
  labels: Int[np.ndarray, " sample"], classes: int, reference: Float[np.ndarray, " class"] | None = None
) -> float:
  """KL(p ‖ q) in nats of the samples' class histogram p from the data's, q.

  As in PacGAN (Lin et al. 2018, section 4.1) it is not smoothed: a class without samples costs what the others gain.
  Its expectation for perfect samples is about (classes - 1) / (2 samples).

  Args:
    labels: the class of each sample, as a classifier sees it.
    classes: their number.
    reference: weights q of the classes, uniform by default; classes without weight must have no samples.
  """
  p = histogram(labels, classes) / len(labels)
  q = np.full(classes, 1.0) if reference is None else np.asarray(reference, np.float64)
  there = p > 0
  with np.errstate(divide="ignore"):
    return float((p[there] * np.log(p[there] / (q / q.sum())[there])).sum())


class Coverage(NamedTuple):
  """How samples lie among the modes of a mixture of Gaussians.

  Attributes:
    modes: modes that have a sample within the radius.
    share: share of all samples that lie within the radius of some mode.
    divergence: KL in nats of the histogram of modes, of the samples within, from uniform; NaN if there are none.
  """

  modes: int
  share: float
  divergence: float


def mixture_coverage(
  samples: Float[np.ndarray, "sample axis"], centres: Float[np.ndarray, "mode axis"], std: float, within: float = 3.0
) -> Coverage:
  """Modes covered and share of good samples (Srivastava et al. 2017, section 4.1: within three standard deviations).

  Of perfect samples in two dimensions, 1 - exp(-within²/2) lie within: 98.9 % for three standard deviations.
  """
  distances = np.sqrt(squared_distances(samples, centres))
  nearest, good = distances.argmin(1), distances.min(1) <= within * std
  if not good.any():
    return Coverage(0, 0.0, float("nan"))
  modes = len(centres)
  return Coverage(covered(nearest[good], modes), float(good.mean()), histogram_divergence(nearest[good], modes))


def squared_distances(a: Features, b: Features) -> Float[np.ndarray, "a b"]:
  """Squared Euclidean distances of all pairs."""
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T, 0)


class PrecisionRecall(NamedTuple):
  """How much of the samples is like the data, and how much of the data is like the samples.

  Attributes:
    precision: share of samples that lie in the manifold of the data.
    recall: share of the data that lies in the manifold of the samples.
  """

  precision: float
  recall: float


def precision_recall(data: Features, samples: Features, neighbours: int = 3) -> PrecisionRecall:
  """Improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

  The manifold of a set is the union of balls around its points, each reaching to the point's k-th nearest neighbour in
  the set.  Memory is linear in the numbers of examples; time is their product.
  """
  return PrecisionRecall(
    float(_inside(samples, data, _radii(data, neighbours)).mean()),
    float(_inside(data, samples, _radii(samples, neighbours)).mean()),
  )


def _radii(points: Features, neighbours: int) -> Float[np.ndarray, " example"]:
  """Squared distance of each point to its k-th nearest other."""
  k = min(neighbours, len(points) - 1)
  radii = []
  for start in range(0, len(points), _CHUNK):
    rows = points[start : start + _CHUNK]
    distances = squared_distances(rows, points)
    distances[np.arange(len(rows)), start + np.arange(len(rows))] = -1  # itself, whatever its rounding
    radii.append(np.partition(distances, k, axis=1)[:, k])
  return np.concatenate(radii)


def _inside(queries: Features, points: Features, radii: Float[np.ndarray, " point"]) -> Bool[np.ndarray, " query"]:
  chunks = (queries[start : start + _CHUNK] for start in range(0, len(queries), _CHUNK))
  return np.concatenate([(squared_distances(rows, points) <= radii).any(1) for rows in chunks])


class Moments(NamedTuple):
  """Mean [feature] and covariance [feature, feature] of features."""

  mean: np.ndarray
  covariance: np.ndarray


def moments(features: Features) -> Moments:
  """Their mean and unbiased covariance."""
  features = np.asarray(features, np.float64)
  return Moments(features.mean(0), np.cov(features, rowvar=False).reshape(features.shape[1], -1))


def frechet_distance(a: Moments, b: Moments) -> float:
  """‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½), the squared 2-Wasserstein distance of Gaussians (Dowson & Landau 1982).

  As Heusel et al. 2017, equation 6.  The trace of the root is that of (Σ₁^½ Σ₂ Σ₁^½)^½, which
  is symmetric, so that rank-deficient covariances do no harm.  It grows with fewer examples: compare equal numbers.
  """
  values, vectors = np.linalg.eigh(a.covariance)
  root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
  product = np.linalg.eigvalsh(root @ b.covariance @ root)
  trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(np.maximum(product, 0)).sum()
  return float(((a.mean - b.mean) ** 2).sum() + trace)


def nearest_neighbours(
  queries: Features, data: Features
) -> tuple[Int[np.ndarray, " query"], Float[np.ndarray, " query"]]:
  """Index of, and Euclidean distance to, the nearest example of the data, for each query."""
  queries, data = (x.reshape(len(x), -1) for x in (queries, data))
  index, distance = [], []
  for start in range(0, len(queries), _CHUNK):
    nearest, least = np.zeros(len(queries[start : start + _CHUNK]), np.int64), np.inf
    for first in range(0, len(data), 8 * _CHUNK):
      distances = squared_distances(queries[start : start + _CHUNK], data[first : first + 8 * _CHUNK])
      nearest = np.where(distances.min(1) < least, first + distances.argmin(1), nearest)
      least = np.minimum(distances.min(1), least)
    index.append(nearest)
    distance.append(np.sqrt(least))
  return np.concatenate(index), np.concatenate(distance)
