"""What listens: log-mel features of sound, computed in the step, and recurrent layers over them.

Mel scale: O'Shaughnessy 1987; masks on features in training: Park et al. 2019 (SpecAugment).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research import randomness
from research.networks import layers
from research.networks.recurrent import Recurrent

Sound = Float[Array, "batch time"]  # samples from -1 to 1
_FLOOR = 1e-3  # power, of samples from -1 to 1, below which nothing is told apart


def mel_filters(rate: int, window: int, bands: int) -> Float[np.ndarray, "frequency band"]:
  """Triangles of height 1, their corners equally far apart in mel = 2595 log10(1 + Hz / 700), up to half the rate."""
  mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
  corners = 700 * (10 ** (np.linspace(0, mel(rate / 2), bands + 2) / 2595) - 1)
  hertz = np.arange(window // 2 + 1)[:, None] * rate / window
  low, middle, high = corners[:-2], corners[1:-1], corners[2:]
  return np.maximum(0, np.minimum((hertz - low) / (middle - low), (high - hertz) / (high - middle)))


def log_mel(sound: Sound, rate: int, window: int, hop: int, bands: int) -> Float[Array, "batch frame band"]:
  """Log of the power in each mel band, of frames of `window` samples under a Hann window, one every `hop`."""
  frames = (sound.shape[1] - window) // hop + 1
  at = jnp.arange(frames)[:, None] * hop + jnp.arange(window)
  spectrum = jnp.fft.rfft(sound[:, at] * np.hanning(window).astype(np.float32))
  power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
  return jnp.log(power @ mel_filters(rate, window, bands).astype(np.float32) + _FLOOR)


def masked_spans(key, batch: int, size: int, longest: int) -> Float[Array, "batch size"]:
  """0 in a span of 0 to `longest` places, drawn for each example by its place in the global batch, else 1."""

  def one(key):
    width, start = jax.random.split(key)
    count = jax.random.randint(width, (), 0, longest + 1)
    first = jax.random.randint(start, (), 0, max(size - longest, 0) + 1)
    place = jnp.arange(size)
    return 1.0 - ((place >= first) & (place < first + count))

  return jax.vmap(one)(randomness.example_keys(key, batch))


class LogMel(nn.Module):
  """Features of sound, centred and scaled by those of each sound; in training with two spans of each kind masked.

  Attributes:
    rate: samples a second.
    bands: of the mel scale.
    window, hop: seconds of a frame, and from one to the next.
    stack: frames that become one step.
    mask_steps, mask_bands: longest span of steps, and of bands, that training sets to 0; 0 for none.
  """

  rate: int
  bands: int = 40
  window: float = 0.032
  hop: float = 0.016
  stack: int = 1
  mask_steps: int = 0
  mask_bands: int = 0

  @nn.compact
  def __call__(self, sound: Sound, lengths: Int[Array, " batch"], train: bool):
    """[batch, step, stack * bands], and the steps of each sound, 1 at least; `lengths` counts its samples."""
    window, hop = round(self.rate * self.window), round(self.rate * self.hop)
    short = window + hop * (self.stack - 1) - sound.shape[1]
    x = log_mel(jnp.pad(sound, ((0, 0), (0, max(short, 0)))), self.rate, window, hop, self.bands)
    frames = jnp.clip((lengths - window) // hop + 1, 1, x.shape[1])
    real = (jnp.arange(x.shape[1]) < frames[:, None])[:, :, None]
    count = frames[:, None, None]
    x = jnp.where(real, x - jnp.where(real, x, 0).sum(1, keepdims=True) / count, 0)
    x *= jax.lax.rsqrt(jnp.square(x).sum((1, 2), keepdims=True) / (count * self.bands) + 1e-5)
    steps = x.shape[1] // self.stack
    x = x[:, : steps * self.stack].reshape(len(x), steps, self.stack, self.bands)
    for _ in range(2 if train else 0):
      if self.mask_steps:
        x *= masked_spans(self.make_rng("dropout"), len(x), steps, self.mask_steps)[:, :, None, None]
      if self.mask_bands:
        x *= masked_spans(self.make_rng("dropout"), len(x), self.bands, self.mask_bands)[:, None, None, :]
    return x.reshape(len(x), steps, -1), jnp.clip(frames // self.stack, 1, steps)


def sound_lengths(sound: Sound) -> Int[Array, " batch"]:
  """Samples up to the last that is not 0."""
  return jnp.where(sound != 0, jnp.arange(1, sound.shape[1] + 1), 0).max(1)


class SoundClassifier(nn.Module):
  """Classes of sounds, followed by zeros: the mean and the maximum over time of what recurrent layers make of them.

  Attributes:
    num_classes: number of logits.
    features: of the sound.
    recurrent: the layers.
  """

  num_classes: int
  features: LogMel
  recurrent: Recurrent

  @nn.compact
  def __call__(self, sound: Float[Array, "batch time 1"], train: bool) -> Float[Array, "batch classes"]:
    x, lengths = self.features(sound[:, :, 0], sound_lengths(sound[:, :, 0]), train)
    y, _ = self.recurrent(x, train, None, lengths)
    real = (jnp.arange(y.shape[1]) < lengths[:, None])[:, :, None]
    mean = jnp.where(real, y, 0).sum(1) / lengths[:, None]
    highest = jnp.where(real, y, jnp.finfo(y.dtype).min).max(1)
    return nn.Dense(self.num_classes, dtype=jnp.float32)(jnp.concatenate([mean, highest], -1))


class SoundTranscriber(nn.Module):
  """Logits of every step of a sound, for CTC.

  Attributes:
    outputs: labels, the blank included.
    features: of the sound.
    recurrent: the layers.
  """

  outputs: int
  features: LogMel
  recurrent: Recurrent

  @nn.compact
  def __call__(self, sound: Sound, lengths: Int[Array, " batch"], train: bool):
    """[batch, step, output], and the steps of each sound; `lengths` counts its samples."""
    x, steps = self.features(sound, lengths, train)
    y, _ = self.recurrent(x, train, None, steps)
    return layers.Dense(self.outputs, dtype=jnp.float32)(y), steps
