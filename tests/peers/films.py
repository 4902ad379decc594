"""The films that a config of `video` learns from and is measured on, as bytes, for programs without this library.

python -m tests.peers.films films.npz [--config=configs/video/digits.py] [--count=8000]
"""

import argparse
import itertools

import jax
import numpy as np

from experiments import video
from experiments.command import cli
from experiments.parts import moving


def frames(dataset, count: int) -> np.ndarray:
  """Bytes [film, frame, height, width] of the first `count` films, padding left out."""
  assemble, parts, total = jax.jit(dataset.assemble), [], 0
  for step in itertools.count():
    if total >= count:
      return np.concatenate(parts)[:count]
    batch = assemble(dict(dataset.resident), dataset.feed(step))
    real = np.asarray(batch["mask"]) > 0
    parts.append(np.round(255 * np.asarray(batch["frames"])[real, ..., 0]).astype(np.uint8))
    total += len(parts[-1])


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("path")
  parser.add_argument("--config", default=video.DEFAULT)
  parser.add_argument("--count", type=int, default=8000, help="films to learn from")
  flags = parser.parse_args()
  config = cli.load_config(flags.config)
  sets = moving.load(config, config.film.known + config.film.horizon)
  np.savez(flags.path, train=frames(sets.train, flags.count), test=frames(sets.test, sets.test.num_examples))


if __name__ == "__main__":
  main()
