"""Detection in use: predictions of images of any size lie where the objects are, in the images' own pixels."""

import json

import numpy as np
from PIL import Image

from experiments.command import cli
from experiments.reports import detection
from research.families.detection import Detections


def blob(state, inputs):
  """A detector of what is bright: one box around it, and one, less sure, in the padding below."""
  boxes, sides = np.zeros((len(inputs), 2, 4), np.float32), inputs.shape[1:3]
  for i, image in enumerate(inputs):
    on = image.max(-1) > 0.5
    if on.any():
      rows, columns = np.nonzero(on.any(1))[0], np.nonzero(on.any(0))[0]
      boxes[i, 0] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    boxes[i, 1] = sides[0] - 4, sides[1] - 4, sides[0], sides[1]
  score = np.stack([boxes[:, 0].any(-1) * 0.9, np.full(len(inputs), 0.5)], 1)
  return Detections(boxes, np.zeros((len(inputs), 2), int), score)


def test_predictions_of_images_of_any_size_are_in_their_own_pixels(tmp_path):
  config = cli.load_config("configs/detection/digits.py:smoke", {"scene.size": "48"})
  truth = {"61x47": [20, 10, 40, 30], "30x20": [5, 5, 15, 12], "96x96": [40, 20, 80, 60]}
  for name, (top, left, bottom, right) in truth.items():
    height, width = map(int, name.split("x"))
    image = np.zeros((height, width, 3), np.uint8)
    image[top:bottom, left:right] = 255
    Image.fromarray(image).save(tmp_path / f"{name}.png")
  outputs = detection.Use(blob, None, ("bright",), config).predictions(None, str(tmp_path))
  names = [path.rpartition("/")[2].removesuffix(".png") for path in outputs["name"]]
  sure = outputs["score"] > 0.6
  assert outputs["image"][sure].tolist() == [0, 1, 2]
  for i, box in zip(outputs["image"][sure], outputs["boxes"][sure]):
    np.testing.assert_allclose(box, truth[names[i]], atol=2.1)  # reducing an image blurs by less than that
  in_padding = {names[i] for i in outputs["image"][~sure]}
  assert in_padding == {"96x96"}  # the only image that reaches the canvas's far corner
  rows = json.loads(outputs["detections.json"])
  assert [row["bbox"][2:] for row in rows if row["file_name"].endswith("30x20.png")] == [[7, 10]]
  assert sum(name.endswith(".png") for name in outputs) == 3
