"""An arithmetic coder: symbols of given frequencies as bits, as few as -log2 of their probability (Witten et al. 1987).

The coder's interval is [low, low + range) of 2^32 parts, in Python's integers, with carries resolved when they come
(Subbotin's range coder would be the same in bytes).  Frequencies are integers that add up to `TOTAL`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

PRECISION = 16  # bits of the frequencies
TOTAL = 1 << PRECISION
_BITS = 32
_FULL, _HALF, _QUARTER = 1 << _BITS, 1 << (_BITS - 1), 1 << (_BITS - 2)


def frequencies(log_probs: Float[np.ndarray, "*shape level"]) -> Int[np.ndarray, "*shape level"]:
  """Positive integers in proportion to probabilities, that add up to `TOTAL`.

  Every level has one at least, so that whatever comes can be coded; what rounding leaves goes to the likeliest.  A
  function of its argument's bits alone: the decoder must give it the same.
  """
  logs = np.asarray(log_probs, np.float64)
  weights = np.exp(logs - logs.max(-1, keepdims=True))
  levels = logs.shape[-1]
  counts = 1 + np.floor((TOTAL - levels) * weights / weights.sum(-1, keepdims=True)).astype(np.int64)
  rest = TOTAL - counts.sum(-1, keepdims=True)
  counts += rest * (np.arange(levels) == counts.argmax(-1)[..., None])
  return counts


class Encoder:
  """Symbols in, bits out."""

  def __init__(self):
    self._low, self._high, self._pending, self._bits = 0, _FULL - 1, 0, []

  def encode(self, symbol: int, counts: Int[np.ndarray, " level"]) -> None:
    """Appends a symbol that has the share `counts[symbol] / TOTAL`."""
    below = int(counts[:symbol].sum())
    width = self._high - self._low + 1
    self._high = self._low + width * (below + int(counts[symbol])) // TOTAL - 1
    self._low += width * below // TOTAL
    while True:
      if self._high < _HALF:
        self._emit(0)
      elif self._low >= _HALF:
        self._emit(1)
        self._low, self._high = self._low - _HALF, self._high - _HALF
      elif self._low >= _QUARTER and self._high < _HALF + _QUARTER:  # the next bit is not known yet, but its opposite
        self._pending += 1
        self._low, self._high = self._low - _QUARTER, self._high - _QUARTER
      else:
        return
      self._low, self._high = 2 * self._low, 2 * self._high + 1

  def _emit(self, bit: int) -> None:
    self._bits += [bit, *[1 - bit] * self._pending]
    self._pending = 0

  def finish(self) -> bytes:
    """The code of all symbols so far, filled up to whole bytes."""
    self._pending += 1
    self._emit(0 if self._low < _QUARTER else 1)
    return np.packbits(np.array(self._bits, np.uint8)).tobytes()


class Decoder:
  """Bits in, symbols out."""

  def __init__(self, code: bytes):
    self._bits, self._place = np.unpackbits(np.frombuffer(code, np.uint8)), 0
    self._low, self._high, self._value = 0, _FULL - 1, 0
    for _ in range(_BITS):
      self._value = 2 * self._value + self._next()

  def _next(self) -> int:
    bit = int(self._bits[self._place]) if self._place < len(self._bits) else 0
    self._place += 1
    return bit

  def decode(self, counts: Int[np.ndarray, " level"]) -> int:
    """The next symbol; `counts` are those that it was encoded by."""
    width = self._high - self._low + 1
    scaled = ((self._value - self._low + 1) * TOTAL - 1) // width
    edges = np.cumsum(counts)
    symbol = int(np.searchsorted(edges, scaled, side="right"))
    below = int(edges[symbol] - counts[symbol])
    self._high = self._low + width * int(edges[symbol]) // TOTAL - 1
    self._low += width * below // TOTAL
    while True:
      if self._high < _HALF:
        shift = 0
      elif self._low >= _HALF:
        shift = _HALF
      elif self._low >= _QUARTER and self._high < _HALF + _QUARTER:
        shift = _QUARTER
      else:
        return symbol
      self._low, self._high = 2 * (self._low - shift), 2 * (self._high - shift) + 1
      self._value = 2 * (self._value - shift) + self._next()


def encode(symbols: Sequence[int], counts: Int[np.ndarray, "symbol level"]) -> bytes:
  """The code of symbols whose frequencies are all known beforehand."""
  encoder = Encoder()
  for symbol, row in zip(symbols, counts):
    encoder.encode(int(symbol), row)
  return encoder.finish()
