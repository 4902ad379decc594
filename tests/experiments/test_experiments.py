"""What the classification experiments refuse, and what they predict."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiments import cnn, mlp, resnet
from experiments.command import cli
from experiments.parts import classification, learning, splits
from research.data import embedded, examples, pipeline, sources
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor
from research.training.steps import GradientState


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


def test_new_images_are_cropped_as_test_images_are(tmp_path):
  """A white frame around black: in half of the side, and what antialiasing sees beside it, there is no white."""
  folder = tmp_path / "images" / "a"
  folder.mkdir(parents=True)
  picture = np.full((32, 32), 255, np.uint8)
  picture[5:27, 5:27] = 0
  for number in range(10):
    Image.fromarray(picture).save(folder / f"{number}.png")
  fields = {"data.path": str(tmp_path / "images"), "data.streamed": "True", "data.centre": "0.5"}
  config = cli.load_config("configs/cnn/own.py", fields | {"data.image_size": "8", "data.validation": "0.0"})
  test = splits.load(config.data).test
  assert isinstance(test, examples.Stream)
  test_data = sources.evaluation(test, 4, centre=config.data.centre)
  brightest = lambda state, batch: batch["inputs"].max((1, 2, 3))[:, None]  # in place of log-probabilities
  for path in ("", str(folder)):
    found = classification.predictions(None, brightest, path, test_data, test, config)
    np.testing.assert_array_equal(found["probabilities"], np.ones_like(found["probabilities"]))


def test_a_cross_validation_predicts_new_inputs_by_the_mean_of_its_networks():
  logs = jnp.log(jnp.array([[0.9, 0.1], [0.5, 0.5]]))

  class Family:
    log_probabilities = staticmethod(lambda variables, inputs: jnp.tile(variables["params"], (len(inputs), 1)))

  class State:
    members = GradientState(jnp.zeros(2), None, jnp.zeros(2), logs, {}, None, None)

  predict = classification.predictive(Family, 1, 2)
  batch = {"inputs": jnp.zeros((3, 4))}
  np.testing.assert_allclose(np.exp(predict(State, batch)), [[0.7, 0.3]] * 3, rtol=1e-5)
  held = np.exp(predict(State, batch | {"fold": jnp.array([1, 0, 1])}))
  np.testing.assert_allclose(held, [[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]], rtol=1e-5)


def test_folds_refuse_a_validation_share():
  config = cli.load_config("configs/mlp/iris.py", {"data.validation": "0.1"})
  with pytest.raises(UserError, match="folds hold out"):
    mlp.experiment(config)


def test_own_archive_trains_with_the_defaults_of_its_config(tmp_path):
  """As its docstring says: `--config.data.path=my_images.npz` and nothing else."""
  np.savez(tmp_path / "own.npz", inputs=np.zeros((30, 9, 9), np.uint8), label=np.arange(30) % 3)
  experiment = cnn.experiment(cli.load_config("configs/cnn/own.py", {"data.path": str(tmp_path / "own.npz")}))
  assert experiment.train_data.resident["inputs"].shape == (22, 32, 32, 3)  # a fifth to test, a tenth of the rest


def test_what_rows_begin_with_reaches_the_learner():
  config = cli.load_config("configs/mlp/iris.py")
  family = types.SimpleNamespace(init=None, loss=None, evaluate=None)
  train_data = pipeline.shuffled({"inputs": np.zeros((8, 2), np.float32)}, 4, seed=0)
  begin = lambda batch: jnp.zeros(len(batch["mask"]))
  assert learning.gradient_learner(config, family, train_data).carry is None
  assert learning.gradient_learner(config, family, train_data, init_carry=begin).carry is begin
