"""Images that are none of the data, told by how improbable a model finds them; and where that is known to fail.

A density may be higher where no data are: what is simpler than the data has more of it (Nalisnick et al. 2019; Serrà
et al. 2020).  So a model is shown images that anyone would call odd, and the area under the ROC curve says whether it
does too.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from research.evaluation import latents
from research.training.experiment import Report

Images = UInt8[np.ndarray, "example height width channel"]
KINDS = {
  "inverted": "the test images, black for white",
  "shuffled": "the test images, the pixels of each in an order of its own",
  "noise": "pixels drawn from all that the test images have, each value as likely",
  "constant": "images of one grey, the mean of a test image",
}


def odd_images(images: Images, seed: int = 0) -> dict[str, Images]:
  """As many of each of `KINDS`, of the grey levels that the images have."""
  rng, values = np.random.default_rng(seed), np.unique(images)
  flat = images.reshape(len(images), -1)
  means = values[np.abs(flat.mean(1)[:, None] - values).argmin(1)]
  return {
    "inverted": 255 - images,
    "shuffled": rng.permuted(flat, axis=1).reshape(images.shape),
    "noise": rng.choice(values, images.shape),
    "constant": np.broadcast_to(means[:, None], flat.shape).reshape(images.shape),
  }


def report(
  log_likelihood: Callable[[Images], Float[np.ndarray, " example"]],
  images: Images,
  score: str = "negative log-likelihood",
) -> Report:
  """Areas under the ROC curve by which a score, nats, tells odd images from those of the test set.

  Args:
    log_likelihood: the score's negative.
    images: the test set's.
    score: its name.
  """
  known = log_likelihood(images)
  panels = {}
  for kind, odd in odd_images(images).items():
    scores = -np.concatenate([known, log_likelihood(odd)])
    panels[kind] = (scores, np.arange(len(scores)) >= len(known))
  metrics = {f"test_auroc_{kind}": latents.roc_auc(*panel) for kind, panel in panels.items()}
  definitions = {
    f"test_auroc_{kind}": f"area under the ROC curve by which the {score} tells from "
    f"{len(images)} test images as many odd ones: {text}"
    for kind, text in KINDS.items()
  }
  figure = latents.score_histograms(panels, f"{score}, nats", ("test set", "odd"))
  return Report(metrics, {"oddities": figure}, definitions)
