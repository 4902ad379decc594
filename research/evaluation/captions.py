"""Whether a picture is what its caption says, by a detector's boxes and digits, and by the colours within."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from research.data.scenes import COLOURS
from research.evaluation.detection import Objects

BRIGHT = 0.2  # share of a box's pixels, the brightest, that its colour is told from


def colour(image: Float[np.ndarray, "height width 3"], box: Float[np.ndarray, "4"]) -> int:
  """Which of `COLOURS` the object in a box has: that of the least angle with the mean of its brightest pixels."""
  height, width = image.shape[:2]
  top, left = (int(np.clip(np.floor(x), 0, most - 1)) for x, most in zip(box[:2], (height, width)))
  pixels = image[top : max(top + 1, int(np.ceil(box[2]))), left : max(left + 1, int(np.ceil(box[3])))].reshape(-1, 3)
  brightest = pixels[np.argsort(-pixels.max(-1))[: max(1, int(BRIGHT * len(pixels)))]].mean(0)
  palette = np.asarray(list(COLOURS.values()))
  return int((palette @ brightest / np.linalg.norm(palette, axis=-1)).argmax())


def relation(first: Float[np.ndarray, "4"], second: Float[np.ndarray, "4"]) -> int:
  """How the first box lies to the second, which of `captions.RELATIONS`, along the axis that parts them most."""
  down, right = (first[:2] + first[2:] - second[:2] - second[2:]) / 2
  return (0 if right < 0 else 1) if abs(right) > abs(down) else (2 if down < 0 else 3)


def true_of(
  image: Float[np.ndarray, "height width 3"], objects: Objects, caption: Mapping[str, np.ndarray]
) -> dict[str, bool]:
  """What of a caption is true of an image: `objects`, `colours` of these, `relation`, and `all` of it.

  Args:
    image: from 0 to 1.
    objects: detections, the surest first; the two surest count.
    caption: `digit` [2], `colour` [2] and `relation` of the caption.
  """
  wrong = dict.fromkeys(("objects", "colours", "relation", "all"), False)
  if len(objects.label) < 2:
    return wrong
  outcomes = []
  for order in ([0, 1], [1, 0]):
    boxes = objects.boxes[order]
    digits = bool((objects.label[order] == caption["digit"]).all())
    colours = digits and all(colour(image, box) == told for box, told in zip(boxes, caption["colour"]))
    lies = digits and relation(*boxes) == int(caption["relation"])
    outcomes.append({"objects": digits, "colours": colours, "relation": lies, "all": colours and lies})
  return max(outcomes, key=lambda outcome: sum(outcome.values()))
