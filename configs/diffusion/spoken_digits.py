"""Spoken digits: the same process on half a second of sound, by a transformer over stretches of the waveform.

Paper: none for this set (Jakobovski's free spoken digits); diffusion on waveforms: Chen et al. 2021 (WaveGrad).
Command: python -m experiments.diffusion --config=configs/diffusion/spoken_digits.py --config.data.path=...
Hardware: 2 CPU cores
Time: 9 minutes
Expected: WAV files, two a digit, in the run's folder `samples`, and their spectrograms: loudness over time and broad
  bands are those of a vowel, harmonics are missing and there is noise throughout: a whisper, not yet speech
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.diffusion()
  config.data.name = "spoken_digits"
  config.data.length = 4096  # samples of a frame, at 8 kHz
  config.data.eval_batch_size = 250
  config.model.dit.update({"features": 128, "depth": 4, "heads": 4, "patch": 64, "mixing": "static"})
  config.model.data_std = 0.16
  config.train.weighting = "min_snr"
  config.train.batch_size = 32
  config.train.duration = "3000 steps"
  config.train.ema_decay = 0.999
  config.optimizer.name = "muon"
  config.optimizer.learning_rate = 2e-2
  config.optimizer.warmup = "200 steps"
  config.optimizer.clip_norm = 1.0
  config.sampler.steps = 50
  config.report.samples = 20
  config = _base.variant(config, variant)
  if variant == "smoke":
    config.data.length = 64
    config.model.dit.patch = 16
  return config
