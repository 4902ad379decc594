"""Hourly series of a transformer."""

from pathlib import Path

import numpy as np


def write(folder: Path, hours: int = 300) -> None:
  """`ETTh1.csv`: three series of a day's period and some noise, behind a column of times."""
  rng, time = np.random.default_rng(0), np.arange(hours)
  values = np.sin(2 * np.pi * time[:, None] / 24 + np.arange(3)) + 0.1 * rng.normal(size=(hours, 3))
  lines = [f"2016-07-{1 + t // 24:02} {t % 24:02}:00:00,{a:.4f},{b:.4f},{c:.4f}" for t, (a, b, c) in zip(time, values)]
  (folder / "ETTh1.csv").write_text("\n".join(["date,HUFL,MUFL,OT", *lines]) + "\n")
