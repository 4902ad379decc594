"""The umbrella world: weather is seen only by whether someone carries an umbrella; simulated, so the truth is known.

Russell & Norvig, Artificial Intelligence: A Modern Approach, 3rd ed. 2010, fig. 15.2.
"""

import numpy as np

from research.data.examples import choose, parse_split, part
from research.data.sequences import Sequences, padded

STATES, SYMBOLS = ("rain", "dry"), ("umbrella", "none")
INITIAL = np.array([0.5, 0.5])  # p(z_1)
TRANSITION = np.array([[0.7, 0.3], [0.3, 0.7]])  # p(z_t | z_t-1), from row to column
EMISSION = np.array([[0.9, 0.1], [0.2, 0.8]])  # p(x_t | z_t), state by symbol
SIZES = {"train": 1000, "test": 200}
LENGTHS = (50, 101)  # days, the second excluded


def load(split: str = "train") -> Sequences:
  """A split: 1,000 sequences of 50 to 100 days to train, 200 to test, the same ones always.

  Args:
    split: 'train' or 'test', or part of one ('train[:90%]').

  Returns:
    Symbols int32 [sequence, day], 0 an umbrella and 1 none, with the weather in `states`, 0 for rain and 1 for dry.

  Raises:
    UserError: no such split.
  """
  size = choose(SIZES, split)
  generator = np.random.Generator(np.random.Philox(key=list(SIZES).index(parse_split(split)[0])))
  length = generator.integers(*LENGTHS, size)
  states = [_chain(generator, days) for days in length]
  symbols = [_draw(generator, EMISSION[path]) for path in states]
  stretch = part(split, size)
  return padded(f"weather {split}", symbols[stretch], states[stretch])


def _chain(generator: np.random.Generator, days: int) -> np.ndarray:
  states = [_draw(generator, INITIAL[None])[0]]
  for _ in range(days - 1):
    states.append(_draw(generator, TRANSITION[states[-1:]])[0])
  return np.array(states, np.int32)


def _draw(generator: np.random.Generator, probabilities: np.ndarray) -> np.ndarray:
  """An outcome for each row of probabilities [row, outcome]."""
  below = probabilities.cumsum(1)[:, :-1] < generator.random((len(probabilities), 1))
  return below.sum(1).astype(np.int32)
