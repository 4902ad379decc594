"""Sequences of unequal length, padded to one: what the sources of music, sentences and simulations return."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class Sequences:
  """Sequences in memory.

  Attributes:
    name: for messages, such as 'jsb_chorales train'.
    inputs: observations [sequence, time, ...], 0 at and beyond the end of each sequence.
    length: int32 [sequence], time steps that are real; 1 at least.
    states: int32 [sequence, time], the hidden states where they are known, 0 beyond the end; else None.
  """

  name: str
  inputs: np.ndarray
  length: Int[np.ndarray, " sequence"]
  states: Int[np.ndarray, "sequence time"] | None = None

  def __len__(self) -> int:
    return len(self.length)

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.passes` and `pipeline.sequential` take them."""
    arrays = {"inputs": self.inputs, "length": self.length}
    return arrays if self.states is None else {**arrays, "states": self.states}

  def select(self, index: Int[np.ndarray, " some"] | slice) -> "Sequences":
    """The sequences at `index`."""
    states = None if self.states is None else self.states[index]
    return dataclasses.replace(self, inputs=self.inputs[index], length=self.length[index], states=states)


def padded(name: str, inputs: Sequence[Any], states: Sequence[Any] | None = None) -> Sequences:
  """`Sequences` of arrays [time, ...], all of one type and, but for their length, of one shape.

  Args:
    name: for messages.
    inputs: one array for each sequence.
    states: int [time] for each sequence.

  Raises:
    UserError: no sequences, one without a step, or states of another length than their inputs.
  """
  if not inputs:
    raise UserError(f"{name}: number of sequences", 0, "give at least one.")
  length = np.array([len(sequence) for sequence in inputs], np.int32)
  if not length.all():
    raise UserError(f"{name}: sequence", int(length.argmin()), "it has no time step: remove it.")
  if states is not None and [len(path) for path in states] != length.tolist():
    unequal = next(i for i, path in enumerate(states) if len(path) != length[i])
    counted = f"it has {length[unequal]} observations and {len(states[unequal])} states: give one for each."
    raise UserError(f"{name}: sequence", unequal, counted)
  return Sequences(name, _padded(inputs), length, None if states is None else _padded(states).astype(np.int32))


def _padded(rows: Sequence[Any]) -> np.ndarray:
  first = np.asarray(rows[0])
  result = np.zeros((len(rows), max(map(len, rows)), *first.shape[1:]), first.dtype)
  for place, row in zip(result, rows):
    place[: len(row)] = row
  return result
