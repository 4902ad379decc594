"""Classes that a model has never seen, told from those that it has learnt by how improbable it finds them.

A model for each class left out (`config.data.leave_out`), trained side by side, and one report of all.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import latents
from research.training.experiment import Report
from research.training.learner import Learner, ensemble


def classes_left_out(names: str, train: Examples, test: Examples) -> tuple[int, ...]:
  """The classes that `config.data.leave_out` names: "3,5" or "all".

  Raises:
    UserError: there is no such class; or the test set has none of it, or nothing else, so that it cannot be told.
  """
  chosen = train.class_names if names == "all" else tuple(name.strip() for name in names.split(",") if name.strip())
  for name in chosen:
    if name not in train.class_names:
      raise UserError("config.data.leave_out", names, f"there is no class {name}: {', '.join(train.class_names)}.")
    share = float((test.label == train.class_names.index(name)).mean())
    if share in (0, 1):
      remedy = (
        f"{'all' if share else 'none'} of the test examples are of class {name}, so it cannot be told: name others."
      )
      raise UserError("config.data.leave_out", names, remedy)
  return tuple(train.class_names.index(name) for name in chosen)


def without(learner: Learner, classes: tuple[int, ...]) -> Learner:
  """A model for each of the classes, trained side by side, that never learns from that class."""

  def view(member, batch, training):
    del training
    return {**batch, "mask": batch["mask"] * (batch["label"] != jnp.asarray(classes)[member])}

  return ensemble(learner, len(classes), view)


def report(
  scores: Float[np.ndarray, "example model"],
  labels: Int[np.ndarray, " example"],
  classes: Sequence[int],
  class_names: Sequence[str],
  score_name: str,
) -> Report:
  """Area under the ROC curve of every class left out, and their mean.

  Args:
    scores: of the test set by each class's model, nats, higher for what is stranger.
    labels: of the test set.
    classes: those left out.
    class_names: of all.
    score_name: for definitions and figure, such as "-ELBO".
  """
  names = [class_names[c] for c in classes]
  panels = {name: (scores[:, i], labels == c) for i, (name, c) in enumerate(zip(names, classes))}
  areas = {f"test_auroc_{name}": latents.roc_auc(*panel) for name, panel in panels.items()}
  definitions = {name: f"the same of class {name.rpartition('_')[2]} alone" for name in areas}
  definitions["test_auroc"] = (
    f"mean over the {len(names)} classes left out of the area under the ROC curve by which the {score_name} tells the "
    "class, never trained on, from the others; test set"
  )
  figure = latents.score_histograms(panels, f"{score_name}, nats", ("trained on", "left out"))
  return Report({"test_auroc": np.mean(list(areas.values())), **areas}, {"anomalies": figure}, definitions)
