"""The diffusion experiment: what it refuses, the files it writes, its arithmetic on pixels."""

import io
import wave

import numpy as np
import pytest

from experiments import diffusion
from experiments.command import cli
from experiments.reports import diffusion as diffusion_report
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor


@pytest.mark.parametrize(
  ("field", "value", "match"),
  [
    ("model.name", "vit", "mlp, unet or dit"),
    ("model.heads", "5", "divide"),
    ("model.mixing", "mlp", "static"),
    ("model.window", "0", "at least 1"),
    ("sampler.name", "dpm", "dpm_solver"),
    ("sampler.steps", "0", "at least one step"),
    ("sampler.loop", "gpu", "device"),
    ("report.compare", "('ddim',)", "ddim:20"),
    ("data.limit", "5000", "1438"),
  ],
)
def test_what_does_not_exist_is_refused_before_any_compute(field, value, match):
  with pytest.raises(UserError, match=match):
    diffusion.experiment(cli.load_config("configs/diffusion/digits.py:smoke", {field: value}))


def test_every_byte_survives_the_way_to_floats_and_back():
  pixels = np.arange(256, dtype=np.uint8)
  values = diffusion_report.as_floats(pixels)
  assert (values[0], values[-1]) == (-1, 1)
  np.testing.assert_array_equal(diffusion_report.as_bytes(values), pixels)
  np.testing.assert_array_equal(diffusion_report.as_bytes(np.array([-3.0, 3.0])), [0, 255])


def test_a_sound_is_read_back_from_its_file():
  sound = np.sin(np.linspace(0, 50, 400)).astype(np.float32)
  with wave.open(io.BytesIO(diffusion_report.wav(sound, 8000))) as file:
    assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 1, 400)
    read = np.frombuffer(file.readframes(400), "<i2") / 32767
  np.testing.assert_allclose(read, sound, atol=1e-4)


def test_samples_join_the_training_set_of_a_classifier():
  """With twenty examples and twenty samples, a classifier of two steps: what is reported, and what is shown."""
  changes = {"data.limit": "20", "report.augment": "20", "report.augment_duration": "2 steps"}
  config = cli.load_config("configs/diffusion/digits.py:smoke", changes)
  experiment = diffusion.experiment(config)
  state = Executor(experiment, parallel.plan("jit", 1), 0).init_state()
  report = experiment.report(state)
  accuracies = [report.metrics[name] for name in ("accuracy_real", "accuracy_with_samples")]
  assert all(0 <= accuracy <= 1 for accuracy in accuracies)
  assert {"accuracy_real", "accuracy_with_samples"} <= set(report.definitions)
  assert "augmentation" in report.figures
