"""PyTorch's WaveNet of the same net, data and minutes as configs/autoregressive/spoken_digits.py: bits a sample.

  python tests/peers/wavenet_torch.py --path=.../spoken_digit.npz --minutes=12

A program for an environment with PyTorch and NumPy alone; nothing of this library is imported.
"""

import argparse
import math
import time

import numpy as np
import torch
from torch import nn

LENGTH, LEVELS, CLASSES = 4096, 256, 10


def frames(path: str):
  """Mu-law levels [recording, time] and digits, of training and test: each scaled to its peak, cut or filled."""
  with np.load(path) as archive:
    samples, offsets, labels, takes = (archive[name] for name in ("samples", "offsets", "labels", "indices"))
  rows = np.zeros((len(labels), LENGTH), np.float32)
  for row, recording in zip(rows, np.split(samples, offsets[1:-1])):
    recording = recording[:LENGTH].astype(np.float32)
    row[: len(recording)] = recording / (np.abs(recording).max(initial=0) or 1)
  compressed = np.sign(rows) * np.log1p(255 * np.abs(rows)) / np.log(256)
  tokens = np.floor((compressed + 1) / 2 * (LEVELS - 1) + 0.5).astype(np.int64)
  test = takes < 5
  return (tokens[~test], labels[~test].astype(np.int64)), (tokens[test], labels[test].astype(np.int64))


class Block(nn.Module):
  """A gated convolution of two taps, with a residual and a skip connection."""

  def __init__(self, dilation: int, width: int, skip: int):
    super().__init__()
    self.dilation, self.width = dilation, width
    self.gates = nn.Conv1d(width, 2 * width, 2, dilation=dilation)
    self.condition = nn.Linear(CLASSES, 2 * width, bias=False)
    self.out = nn.Conv1d(width, width + skip, 1)

  def forward(self, x, label):
    y = self.gates(nn.functional.pad(x, (self.dilation, 0))) + self.condition(label)[:, :, None]
    value, gate = y.chunk(2, 1)
    out = self.out(torch.tanh(value) * torch.sigmoid(gate))
    return x + out[:, : self.width], out[:, self.width :]


class WaveNet(nn.Module):
  """van den Oord et al. 2016c, section 2: ten blocks of dilations 1 to 512."""

  def __init__(self, width: int = 32, skip: int = 64):
    super().__init__()
    self.embedding = nn.Embedding(LEVELS + 1, width)
    self.blocks = nn.ModuleList(Block(2**i, width, skip) for i in range(10))
    self.hidden, self.output = nn.Conv1d(skip, skip, 1), nn.Conv1d(skip, LEVELS, 1)

  def forward(self, tokens, label):
    x = self.embedding(nn.functional.pad(tokens[:, :-1], (1, 0), value=LEVELS)).transpose(1, 2)
    label, total = nn.functional.one_hot(label, CLASSES).float(), 0.0
    for block in self.blocks:
      x, skip = block(x, label)
      total = total + skip
    return self.output(torch.relu(self.hidden(torch.relu(total))))


def bits(model, tokens, labels) -> float:
  """Mean negative log2 probability a sample."""
  total = 0.0
  with torch.no_grad():
    for part, label in zip(torch.split(tokens, 25), torch.split(labels, 25)):
      total += nn.functional.cross_entropy(model(part, label), part, reduction="sum").item()
  return total / tokens.numel() / math.log(2)


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("--path", required=True)
  parser.add_argument("--minutes", type=float, required=True, help="of CPU time of all threads, updates alone")
  parser.add_argument("--seed", type=int, default=0)
  flags = parser.parse_args()
  torch.manual_seed(flags.seed)
  rng = np.random.default_rng(flags.seed)
  (train, digits), test = frames(flags.path)
  train, digits = torch.from_numpy(train), torch.from_numpy(digits)
  model = WaveNet()
  average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
  optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
  limit, spent, step = 60 * flags.minutes, 0.0, 0
  while spent < limit:
    begun = time.process_time()
    rows = torch.from_numpy(rng.choice(len(train), 8, replace=False))
    # Warm-up, then a cosine over the minutes: the schedule of our config, whose length is in steps.
    optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * spent / limit))
    optimizer.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(model(train[rows], digits[rows]), train[rows]).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    average.update_parameters(model)
    step, spent = step + 1, spent + time.process_time() - begun
  print(f"{step} updates, test bits a sample {bits(average.eval(), *map(torch.from_numpy, test)):.4f}")


if __name__ == "__main__":
  main()
