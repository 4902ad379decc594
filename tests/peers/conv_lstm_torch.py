"""PyTorch's ConvLSTM of the same net, films and minutes as a config of `video`: squared error of the frames to come.

  python -m tests.peers.films films.npz                    with this library
  python tests/peers/conv_lstm_torch.py films.npz --minutes=2 --widths 48

A program for an environment with PyTorch and NumPy alone; nothing of this library is imported.
"""

import argparse
import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

KNOWN, HORIZON, BATCH = 10, 10, 16


class ConvLSTM(nn.Module):
  """Layers over a grid of patches; each frame from those before, known or predicted (Shi et al. 2015)."""

  def __init__(self, widths: list[int], patch: int = 4):
    super().__init__()
    self.widths, self.patch = widths, patch
    inputs = [patch * patch, *widths[:-1]]
    self.gates = nn.ModuleList(nn.Conv2d(i + w, 4 * w, 3, padding=1) for i, w in zip(inputs, widths))
    self.out = nn.Conv2d(patch * patch + sum(widths), patch * patch, 3, padding=1)

  def forward(self, known: torch.Tensor) -> torch.Tensor:
    """Logits [batch, known + horizon - 1, height, width]."""
    batch, _, height, width = known.shape
    grid = height // self.patch, width // self.patch
    states = [(known.new_zeros(batch, w, *grid), known.new_zeros(batch, w, *grid)) for w in self.widths]
    logits = []
    for t in range(KNOWN + HORIZON - 1):
      frame = known[:, t] if t < KNOWN else torch.sigmoid(logits[-1])
      outputs = [functional.pixel_unshuffle(frame[:, None], self.patch)]
      for layer, gates in enumerate(self.gates):
        h, c = states[layer]
        i, f, g, o = gates(torch.cat([outputs[-1], h], 1)).chunk(4, 1)
        c = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states[layer] = h, c
        outputs.append(h)
      logits.append(functional.pixel_shuffle(self.out(torch.cat(outputs, 1)), self.patch)[:, 0] - 2)
    return torch.stack(logits, 1)


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("films")
  parser.add_argument("--minutes", type=float, required=True, help="of CPU time of all threads, updates alone")
  parser.add_argument("--widths", type=int, nargs="+", default=[64, 64])
  parser.add_argument("--seed", type=int, default=0)
  flags = parser.parse_args()
  torch.manual_seed(flags.seed)
  rng = np.random.default_rng(flags.seed)
  with np.load(flags.films) as archive:
    train, test = (torch.from_numpy(archive[name]) for name in ("train", "test"))
  model = ConvLSTM(flags.widths)
  optimizer = torch.optim.Adam(model.parameters())
  limit, spent, step = 60 * flags.minutes, 0.0, 0
  while spent < limit:
    begun = time.process_time()
    films = train[torch.from_numpy(rng.choice(len(train), BATCH, replace=False))].float() / 255
    # Warm-up, then a cosine over the minutes: the schedule of our config, whose length is in steps.
    optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * spent / limit))
    optimizer.zero_grad(set_to_none=True)
    functional.binary_cross_entropy_with_logits(model(films[:, :KNOWN]), films[:, 1:]).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    step, spent = step + 1, spent + time.process_time() - begun
  errors = []
  with torch.no_grad():
    for films in test.float().div(255).split(100):
      coming = torch.sigmoid(model(films[:, :KNOWN])[:, KNOWN - 1 :])
      errors.append((coming - films[:, KNOWN:]).square().mean((1, 2, 3)))
  print(f"{step} updates, test mse {torch.cat(errors).mean():.6f}")


if __name__ == "__main__":
  main()
