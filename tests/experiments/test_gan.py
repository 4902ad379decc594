"""What the GAN experiment reports: measures fire on collapsed generators; samples, labels and the classifier."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from experiments import cnn, gan
from experiments.command import cli, session
from experiments.parts import features
from experiments.reports import gan as gan_report
from research.data.examples import Examples
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor


def reading(images):
  """A perfect classifier of images whose first pixel is their class: the pixels are its features."""
  return features.Measured(images.reshape(len(images), -1) / 255.0, images[:, 0, 0, 0].astype(int))


CLASSIFIER = features.Classifier(reading, 1.0, 10)


def digits(count, seed, classes=10):
  rng = np.random.default_rng(seed)
  images = rng.integers(0, 256, (count, 3, 3, 1)).astype(np.uint8)
  images[:, 0, 0, 0] = rng.integers(0, classes, count)
  return Examples("digits", images, images[:, 0, 0, 0].astype(np.int32), tuple("0123456789"))


def test_measures_tell_the_data_from_a_collapsed_generator():
  train, test = digits(1000, 0), digits(300, 1)
  against = features.reference(CLASSIFIER, train, test, seed=0)
  good = features.measures(against, reading(digits(300, 2).inputs))
  collapsed = features.measures(against, reading(np.repeat(train.inputs[:1], 300, 0)))
  assert set(good) == set(features.DEFINITIONS)
  assert good["classes_covered"] == 10
  assert good["class_divergence"] < 0.05
  assert good["classifier_feature_distance"] < 3 * good["classifier_feature_distance_floor"]
  assert collapsed["classes_covered"] == 1
  assert collapsed["class_divergence"] > np.log(10) - 0.5
  assert collapsed["classifier_feature_distance"] > 20 * collapsed["classifier_feature_distance_floor"]
  assert collapsed["recall"] < 0.1 < 0.7 < good["recall"]


def test_the_distance_is_from_the_whole_training_set_and_does_not_know_its_order():
  """Of a set sorted by class: the closed form of all its features, whichever examples come first."""
  train, test = digits(1000, 0), digits(300, 1)
  order = np.argsort(train.label, kind="stable")
  samples, values = reading(digits(300, 2).inputs), []
  for part in (train, train.select(order)):
    values.append(features.measures(features.reference(CLASSIFIER, part, test, seed=0), samples))
  mean, covariance = reading(train.inputs).features.mean(0), np.cov(reading(train.inputs).features.T)
  ours, of_ours = samples.features.mean(0), np.cov(samples.features.T)
  root = np.trace(linalg.sqrtm(covariance @ of_ours).real)
  expected = ((mean - ours) ** 2).sum() + np.trace(covariance) + np.trace(of_ours) - 2 * root
  for value in values:
    assert value["classifier_feature_distance"] == pytest.approx(expected, rel=1e-6)
    assert value["recall"] > 0.7, "the part that is drawn of a sorted set has every class"


def test_labels_of_samples_are_drawn_from_all_of_a_sorted_set():
  label = np.repeat(np.arange(10), 100)
  drawn = gan_report.measures.labels_like(label, 200, seed=3)
  assert np.bincount(drawn, minlength=10).min() > 5
  np.testing.assert_array_equal(drawn, gan_report.measures.labels_like(label, 200, seed=3))
  assert (drawn != gan_report.measures.labels_like(label, 200, seed=4)).any()


def test_stacked_measures_count_triples():
  """Every triple once is 1,000 modes and no divergence; one triple is one mode and log 1,000."""
  triples = np.stack(np.meshgrid(*[np.arange(10)] * 3, indexing="ij"), -1).reshape(-1, 1, 1, 3).astype(np.uint8)
  every, _ = gan_report.stacked_measures(CLASSIFIER, triples)
  one, _ = gan_report.stacked_measures(CLASSIFIER, np.repeat(triples[123:124], 50, 0))
  assert (every["modes_covered"], one["modes_covered"]) == (1000, 1)
  assert every["mode_divergence"] == pytest.approx(0, abs=1e-9)
  assert one["mode_divergence"] == pytest.approx(np.log(1000))


def test_report_of_points_fires_on_a_generator_that_makes_one_point():
  """All weights zero but a bias that is on a mode: 1 mode of 25, though every sample is good."""
  config = cli.load_config("configs/gan/gaussians.py:smoke")
  experiment = gan.experiment(config)
  state = Executor(experiment, parallel.plan("jit", 1), 0).init_state()
  zero = jax.tree.map(jnp.zeros_like, state.ema["params"])
  report = experiment.report(state.replace(ema={**state.ema, "params": zero}))
  assert report.metrics["modes_covered"] == 1, "the middle of the grid is at 0"
  assert report.metrics["share_within_3sd"] == 1
  assert report.metrics["mode_divergence"] == pytest.approx(np.log(25))
  assert set(report.definitions) == set(report.metrics)


def test_classifier_is_that_of_the_run_and_its_features_are_the_last_layers_input(tmp_path):
  config = cli.load_config("configs/cnn/digits.py:smoke")
  assert session.run(cnn.experiment, "cnn", "digits.py", config, str(tmp_path), "train", "") == 0
  assert session.run(cnn.experiment, "cnn", "digits.py", config, str(tmp_path), "predict", "") == 0
  wanted = cli.load_config("configs/gan/digits.py:smoke")
  with wanted.unlocked():
    wanted.measure.classifier = str(tmp_path)
  found = features.classifier(wanted.measure, wanted.data)
  test = features.splits.in_memory(wanted.data).test
  predicted = np.load(tmp_path / "predictions.npz")
  measured = found.measure(test.inputs)
  np.testing.assert_array_equal(measured.labels, predicted["predicted"])
  result = json.loads((tmp_path / "result.json").read_text())
  assert found.accuracy == pytest.approx(result["metrics"]["test_accuracy"]["value"])
  assert measured.features.shape == (len(test), 128)

  saved = json.loads((tmp_path / "config.json").read_text())
  del saved["augment"]["elastic"]
  (tmp_path / "config.json").write_text(json.dumps(saved))
  with pytest.raises(UserError, match=r"config\.measure\.classifier.*another revision.*elastic"):
    features.classifier(wanted.measure, wanted.data)


def test_features_are_the_input_of_the_last_dense_layer():
  class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return nn.Dense(3, name="last")(nn.relu(nn.Dense(5, name="first")(x)))

  x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2)), jnp.float32)
  variables = Net().init(jax.random.key(0), x, train=False)
  found, logits = jax.jit(lambda v: features.penultimate(Net(), v, x))(variables)
  first, last = (variables["params"][name] for name in ("first", "last"))
  np.testing.assert_allclose(found, np.maximum(x @ first["kernel"] + first["bias"], 0), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(logits, found @ last["kernel"] + last["bias"], rtol=1e-5, atol=1e-6)


def test_what_cannot_be_is_refused(tmp_path):
  config = cli.load_config("configs/gan/digits.py:smoke")
  with config.unlocked():
    config.measure.classifier = str(tmp_path)
  with pytest.raises(UserError, match=r"config\.measure\.classifier"):
    features.classifier(config.measure, config.data)
  for field, value in (("model.loss", "minimax"), ("model.augment", ("colour",))):
    wrong = cli.load_config("configs/gan/digits.py:smoke")
    with wrong.unlocked():
      wrong.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=field.partition(".")[2]):
      gan.experiment(wrong)
  points = cli.load_config("configs/gan/gaussians.py:smoke", {"model.name": "dcgan"})
  with pytest.raises(UserError, match="mlp"):
    gan.experiment(points)
  with pytest.raises(UserError, match="takes no input"):
    gan_report.predictions(None, "images.npz", config)


def test_points_are_chosen_by_a_set_of_their_own_and_no_share_of_training_is_asked_for():
  experiment = gan.experiment(cli.load_config("configs/gan/gaussians.py:smoke"))
  sets = experiment.train_data, experiment.eval_data, experiment.test_data
  first, second, third = (part.resident["inputs"] for part in sets)
  assert not any(np.array_equal(a, b) for a, b in ((first, second), (second, third), (first, third)))
  with pytest.raises(UserError, match="has a part to choose by") as refused:
    gan.experiment(cli.load_config("configs/gan/gaussians.py:smoke", {"data.validation": "0.1"}))
  assert refused.value.field == "config.data.validation"
