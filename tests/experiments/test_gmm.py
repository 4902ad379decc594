"""Mixtures side by side: the best start, the best size, one a class, one without each class; what they predict."""

import jax
import ml_collections
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split

from configs.gmm import _base
from experiments import gmm
from experiments.command import cli
from experiments.parts import mixtures
from research.errors import UserError
from research.families import gaussian_mixture
from research.training import parallel
from research.training.executor import Executor
from research.training.precision import precision

IRIS = load_iris()


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def config_of(**changes) -> ml_collections.ConfigDict:
  """Three Gaussians on iris, whole; small figures."""
  config = _base.base()
  config.data.update({"name": "iris", "test_split": "all", "whole": True, "eval_batch_size": 152})
  config.model.components = 3
  config.report.samples = 9
  config.update_from_flattened_dict(changes)
  return config


def trained(config, steps):
  """The experiment, its executor and its state after so many updates."""
  experiment = gmm.experiment(config)
  executor = Executor(experiment, parallel.plan("jit", 1), config.seed)
  state = executor.init_state()
  for _, _, feed, count in executor.feeds(experiment.train_data, [(step, 1) for step in range(steps)], 1):
    state, _ = executor.update(state, feed, count)
  return experiment, executor, state


@pytest.mark.parametrize(("devices", "size"), [(1, 150), (4, 152), (0, 152)])
def test_the_whole_set_is_padded_for_the_devices_of_the_run(devices, size):
  config = config_of(**{"run.num_devices": devices})
  assert gmm.training({"inputs": IRIS.data}, 150, "iris", config).batch_size == size


def test_a_smoke_run_is_one_of_exact_em():
  """A batch of eight of what should be the whole set made it stepwise EM, and nothing tested the other."""
  config = cli.load_config(f"{gmm.DEFAULT}:smoke", {"run.num_devices": "1"})
  assert gmm.experiment(config).train_data.num_batches == 1


def test_the_best_start_is_measured_and_reported():
  config = config_of(**{"model.starts": 4, "model.components": 5, "model.start": "random"})
  experiment, executor, state = trained(config, 60)
  each = jax.vmap(lambda params: gaussian_mixture.log_density(params, IRIS.data).mean())(state.members.params)
  assert np.ptp(each) > 1e-4, "the starts end in different places"
  measured = executor.evaluate(state, experiment.test_data)["log_likelihood"]
  assert measured == pytest.approx(float(each.max()), abs=1e-6)
  report = experiment.report(state)
  assert report.metrics["train_log_likelihood"] == pytest.approx(measured)
  assert -1e-9 < report.metrics["last_gain"] < 0.01
  assert set(report.figures) == {"weights", "components"}
  assert set(report.metrics) == set(report.definitions)


def test_the_best_size_is_that_of_least_bic():
  config = config_of(**{"model.candidates": (1, 2, 4), "model.starts": 2})
  experiment, _, state = trained(config, 60)
  report = experiment.report(state)
  # Components beyond a member's size never come into play.
  used = (state.members.params.weights > 0).sum(-1)
  np.testing.assert_array_equal(used, [1, 1, 2, 2, 4, 4])
  peer = GaussianMixture(2, n_init=5, tol=1e-8, max_iter=500, random_state=0).fit(IRIS.data)
  assert report.metrics["components"] == 2
  assert report.metrics["bic"] == pytest.approx(peer.bic(IRIS.data), abs=1e-2)
  assert "selection" in report.figures


def test_one_a_class_is_the_mixture_of_each_class_alone():
  """Of one Gaussian each, the joint is that of three fits by scikit-learn and the classes' shares."""
  config = config_of(**{"model.by_class": True, "model.components": 1})
  config.data.whole = False  # 120 flowers, and classes of unequal size are not to be confused
  data = mixtures.load(config)
  experiment, _, state = trained(config, 2)
  expected = []
  for label in range(3):
    of_class = data.train.inputs[data.train.label == label]
    expected.append(GaussianMixture(1).fit(of_class).score_samples(IRIS.data) + np.log(len(of_class) / len(data.train)))
  model = mixtures.model_of(config)
  found = mixtures.class_log_joint(state.members, model, data, np.asarray(IRIS.data))
  np.testing.assert_allclose(found, np.stack(expected, -1), rtol=1e-4)
  assert experiment.train_data.num_examples == np.bincount(data.train.label).max()


def test_rows_of_unequal_classes_hold_every_example_once():
  inputs, _, label, _ = train_test_split(IRIS.data, IRIS.target, train_size=70, random_state=0)
  data = mixtures.load(config_of())
  part = data.train.select(np.arange(70))
  arrays, rows = gmm.class_by_class(type(part)("unequal", inputs, label.astype(np.int32), part.class_names))
  sizes = np.bincount(label)
  assert len(set(sizes.tolist())) > 1
  assert rows == sizes.max()
  np.testing.assert_array_equal(arrays["present"].sum(0), sizes)
  for number in range(3):
    mine = arrays["inputs"][arrays["present"][:, number] > 0, number]
    np.testing.assert_array_equal(np.sort(mine, axis=0), np.sort(inputs[label == number], axis=0))
  lacking = type(part)("lacking", inputs, np.minimum(label, 1).astype(np.int32), part.class_names)
  with pytest.raises(UserError, match="virginica"):
    gmm.class_by_class(lacking)


def test_a_classifier_reports_and_predicts(tmp_path):
  experiment, executor, state = trained(config_of(**{"model.by_class": True, "model.components": 2}), 30)
  assert executor.evaluate(state, experiment.test_data)["accuracy"] > 0.96
  assert {"confusion", "reliability"} <= set(experiment.report(state).figures)
  np.savez(tmp_path / "mine.npz", inputs=IRIS.data[::10])
  found = experiment.predict(state, str(tmp_path / "mine.npz"))
  assert (found["predicted"] == IRIS.target[::10]).mean() > 0.9
  assert list(found["class_name"][:2]) == ["setosa", "setosa"]
  np.testing.assert_allclose(found["probabilities"].sum(1), 1)
  drawn = experiment.predict(state, "")
  assert drawn["samples"].shape == (9, 4)
  near = np.square(drawn["samples"][:, None] - IRIS.data).sum(-1).argmin(1)
  assert (IRIS.target_names[IRIS.target[near]] == drawn["class_name"]).mean() > 0.7


def test_a_class_left_out_is_never_learnt_and_is_told():
  config = config_of(**{"data.leave_out": "setosa, virginica", "model.components": 2})
  experiment, executor, state = trained(config, 20)
  np.testing.assert_allclose(state.members.statistics.counts.sum(-1), 100)
  report = experiment.report(state)
  assert report.metrics["test_auroc_setosa"] == pytest.approx(1, abs=1e-6)
  areas = [report.metrics["test_auroc_setosa"], report.metrics["test_auroc_virginica"]]
  assert report.metrics["test_auroc"] == pytest.approx(np.mean(areas))
  assert experiment.predict is None
  assert np.isfinite(executor.evaluate(state, experiment.test_data)["log_likelihood"])


def test_variational_begins_with_many_and_reports_those_that_are_left():
  config = config_of(**{"model.name": "variational", "model.components": 8, "model.starts": 2})
  experiment, executor, state = trained(config, 60)
  report = experiment.report(state)
  assert report.metrics["components"] < 8
  assert report.metrics["components"] == (np.asarray(state.members.statistics.counts) >= 1).sum(-1)[best(state)]
  measured = executor.evaluate(state, experiment.test_data)["log_likelihood"]
  assert measured == pytest.approx(report.metrics["train_log_likelihood"])
  assert experiment.predict(state, "")["samples"].shape == (9, 4)


def best(state):
  """The member of the highest bound."""
  return np.argmax(np.asarray(state.members.statistics.log_likelihood))


def test_own_data_are_given_components_and_densities(tmp_path):
  config = config_of()
  experiment, _, state = trained(config, 30)
  np.savez(tmp_path / "mine.npz", x=IRIS.data)
  found = experiment.predict(state, str(tmp_path / "mine.npz"))
  params = jax.tree.map(lambda x: x[0], state.members.params)
  np.testing.assert_allclose(found["log_density"], gaussian_mixture.log_density(params, IRIS.data), rtol=1e-9)
  np.testing.assert_array_equal(found["component"], found["probabilities"].argmax(1))
  np.savez(tmp_path / "bad.npz", x=np.where(IRIS.data > 7, np.nan, IRIS.data))
  with pytest.raises(UserError, match="NaN"):
    experiment.predict(state, str(tmp_path / "bad.npz"))
  np.savez(tmp_path / "other.npz", x=IRIS.data[:, :3])
  with pytest.raises(UserError, match="trained on"):
    experiment.predict(state, str(tmp_path / "other.npz"))


@pytest.mark.parametrize(
  ("field", "changes"),
  {
    "starts or candidates and by_class": {"model.by_class": True, "model.starts": 2},
    "config.train.precision": {"train.precision": "bfloat16"},
    "config.data.normalise": {"data.normalise": "train"},
    "config.model.candidates": {"model.name": "variational", "model.candidates": (1, 2)},
    "config.model.starts": {"model.starts": 0},
    "config.data.principal_components": {"data.principal_components": 5},
    "config.data.leave_out": {"data.leave_out": "rose"},
    "covariance": {"model.covariance": "round"},
    "reg_covar": {"model.reg_covar": -1.0},
  }.items(),
)
def test_bad_configs_are_refused(field, changes):
  with pytest.raises(UserError, match=field):
    gmm.experiment(config_of(**changes))
