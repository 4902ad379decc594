"""The diffusion experiment: what it refuses, the files it writes, its arithmetic on pixels."""

import io
import wave

import numpy as np
import pytest

from experiments import diffusion
from experiments.command import cli
from experiments.parts.sound import wav
from experiments.reports import diffusion as diffusion_report
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor

SMOKE = "configs/diffusion/digits.py:smoke"


@pytest.mark.parametrize(
  ("field", "value", "match"),
  [
    ("model.name", "vit", "mlp, unet or dit"),
    ("model.dit.heads", "5", "divide"),
    ("model.dit.mixing", "mlp", "static"),
    ("model.dit.window", "0", "at least 1"),
    ("model.dit.patch", "0", "at least 1"),
    ("report.factor", "0", "at least 1"),
    ("sampler.name", "dpm", "dpm_solver"),
    ("sampler.steps", "0", "at least one step"),
    ("sampler.loop", "gpu", "device"),
    ("report.compare", "('ddim',)", "ddim:20"),
    ("data.limit", "5000", "1438"),
  ],
)
def test_what_does_not_exist_is_refused_before_any_compute(field, value, match):
  with pytest.raises(UserError, match=match):
    diffusion.experiment(cli.load_config(SMOKE, {field: value}))


def test_samples_without_a_label_teach_no_classifier():
  changes = {"report.augment": "20", "model.conditional": "False"}
  with pytest.raises(UserError, match="have no labels"):
    diffusion.experiment(cli.load_config(SMOKE, changes))


def test_stages_of_a_unet_that_do_not_fit_are_refused():
  config = cli.load_config("configs/diffusion/digits.py:smoke")
  config.model.name = "unet"
  config.model.unet.attention = (True,)
  with pytest.raises(UserError, match=r"unet\.attention.*one for each"):
    diffusion.experiment(config)


def test_the_test_loss_does_not_depend_on_the_batch_size():
  losses = []
  for size in ("360", "100"):
    experiment = diffusion.experiment(cli.load_config(SMOKE, {"data.eval_batch_size": size}))
    executor = Executor(experiment, parallel.plan("jit", 1), 0)
    losses.append(executor.evaluate(executor.init_state(), experiment.test_data)["loss"])
  assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_images_whose_sides_differ_and_do_not_divide_are_inpainted_enlarged_and_redrawn(tmp_path):
  """13x17 in colour, by patches of 2 and blocks of 2."""
  rng = np.random.default_rng(0)
  arrays = {f"{part}_inputs": rng.integers(0, 256, (20, 13, 17, 3), np.uint8) for part in ("train", "test")}
  labels = {f"{part}_label": np.arange(20) % 2 for part in ("train", "test")}
  np.savez(tmp_path / "own.npz", **arrays, **labels)
  np.savez(tmp_path / "given.npz", inputs=arrays["test_inputs"][:2])
  changes = {"data.path": str(tmp_path / "own.npz"), "train.batch_size": "4"}
  experiment = diffusion.experiment(cli.load_config(SMOKE, changes))
  state = Executor(experiment, parallel.plan("jit", 1), 0).init_state()
  edits = experiment.predict(state, str(tmp_path / "given.npz"))
  assert {name: rows.shape[1:] for name, rows in edits.items()} == dict.fromkeys(edits, (2, 13, 17, 3))
  assert len(edits) == 3


def test_a_limit_draws_examples_from_all_of_the_training_set():
  chosen = []
  for seed in ("0", "1"):
    train = diffusion.load(cli.load_config(SMOKE, {"data.limit": "100", "seed": seed})).parts.train
    assert len(train) == 100
    chosen.append(train.inputs)
  assert (chosen[0] != chosen[1]).any()


def test_every_byte_survives_the_way_to_floats_and_back():
  pixels = np.arange(256, dtype=np.uint8)
  values = diffusion_report.as_floats(pixels)
  assert (values[0], values[-1]) == (-1, 1)
  np.testing.assert_array_equal(diffusion_report.as_bytes(values), pixels)
  np.testing.assert_array_equal(diffusion_report.as_bytes(np.array([-3.0, 3.0])), [0, 255])


def test_a_sound_is_read_back_from_its_file():
  sound = np.sin(np.linspace(0, 50, 400)).astype(np.float32)
  with wave.open(io.BytesIO(wav(sound, 8000))) as file:
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
