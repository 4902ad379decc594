"""Sound as files."""

import io
import wave

import numpy as np
from jaxtyping import Float


def wav(sound: Float[np.ndarray, " time"], rate: int) -> bytes:
  """A mono WAV file of 16 bits, of samples from -1 to 1."""
  file = io.BytesIO()
  with wave.open(file, "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(rate)
    out.writeframes((32767 * np.clip(sound, -1, 1)).astype("<i2").tobytes())
  return file.getvalue()
