"""What the classification experiments refuse, and what they predict."""

import numpy as np
import pytest

from experiments import cnn, mlp, resnet
from experiments.command import cli
from research.data import embedded
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor


@pytest.mark.parametrize(
  ("experiment", "spec", "field", "text", "remedy"),
  [
    (mlp, "configs/mlp/iris.py", "model.batch_norm", "True", "cross-validation"),
    (mlp, "configs/mlp/digits.py", "train.precision", "float8", "choose one of float32, bfloat16"),
    (mlp, "configs/mlp/digits.py", "data.normalise", "test", "choose none"),
    (mlp, "configs/mlp/digits.py", "data.validation", "1.5", "share of the training set"),
    (mlp, "configs/mlp/digits.py", "model.kernel_init", "zeros", "Choose one of"),
    (cnn, "configs/cnn/digits.py", "model.name", "lenet", "choose textbook, lenet5 or small"),
    (resnet, "configs/resnet/digits.py", "model.cifar.depth", "21", "choose one of 20, 32, 44"),
    (resnet, "configs/resnet/digits.py", "optimizer.name", "adm", "did you mean 'adam'"),
  ],
)
def test_bad_fields_are_refused_with_a_remedy(experiment, spec, field, text, remedy):
  with pytest.raises(UserError, match=remedy):
    begin(experiment.experiment, cli.load_config(spec, {field: text}))


def begin(experiment, config):
  """As far as the first look at the network."""
  return Executor(experiment(config), parallel.plan("jit", 1), seed=0).abstract_state()


def test_predicts_for_an_archive_what_it_predicts_for_the_same_images_in_the_test_set(tmp_path, capsys):
  digits = embedded.load("digits", "test")
  np.savez(tmp_path / "images.npz", inputs=digits.inputs[:7, ..., 0])
  arguments = ["--config=configs/mlp/digits.py:smoke", f"--workdir={tmp_path / 'run'}", "--config.run.num_devices=1"]

  def run(*more):
    with pytest.raises(SystemExit) as done:
      cli.main(mlp.experiment, mlp.DEFAULT, [*arguments, *more])
    assert done.value.code == 0, capsys.readouterr().err
    return tmp_path / "run" / "predictions.npz"

  run()
  with np.load(run("--mode=predict", f"--input={tmp_path / 'images.npz'}")) as ours:
    some = ours["probabilities"]
  with np.load(run("--mode=predict")) as theirs:
    np.testing.assert_allclose(some, theirs["probabilities"][:7], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(theirs["label"], digits.label)
  assert some.shape == (7, 10)
