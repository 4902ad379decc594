"""A centre-based detector on plain scenes of two of scikit-learn's digits: who judges pictures painted by captions.

Paper: Zhou, Wang & Krähenbühl 2019 (Objects as Points).
Command: python -m experiments.detection --config=configs/detection/captions.py
Hardware: 2 CPU cores
Time: 4.5 minutes on two shared cores
Expected: AP at an IoU of 0.5 of 0.991, over 0.5 to 0.95 of 0.712 (seed 0)
"""

from configs.detection import digits


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = digits.get_config(variant)
  if not variant:
    config.scene.update({"size": 24, "sides": (8.0, 12.0), "objects": (2, 2)})
    config.train.duration = "9000 steps"
  config.scene.cluttered = False
  return config
