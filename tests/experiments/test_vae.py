"""The experiment of VAEs: what is left out is not learnt from, what it refuses, what it predicts and reports."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import vae
from experiments.command import cli
from experiments.parts import generative
from experiments.reports import anomaly
from experiments.reports import vae as vae_report
from experiments.reports import vq as vq_report
from research.data import embedded, pipeline
from research.errors import UserError
from research.families import vae as family_lib
from research.training import parallel
from research.training.executor import Executor

SMALL = {
  "data.binarise": "True",
  "model.likelihood": "bernoulli",
  "model.mlp.hidden": "(8,)",
  "model.mlp.latents": "(2,)",
  "report.importance_samples": "4",
  "report.chunk": "2",
}


def built(spec="configs/vae/digits.py:smoke", small=SMALL, **overrides):
  """The experiment, and its state before the first step."""
  config = cli.load_config(spec, {**small, **{name.replace("__", "."): text for name, text in overrides.items()}})
  experiment = vae.experiment(config)
  return experiment, Executor(experiment, parallel.plan("jit", 1), seed=0).init_state()


@pytest.mark.parametrize(
  ("overrides", "remedy"),
  [
    ({"data__leave_out": "3,11"}, "no class 11"),
    ({"data__name": "iris"}, "set of images"),
    ({"model__likelihood": "poisson"}, "bernoulli, gaussian or logistic"),
    ({"train__warmup": "ten"}, "config.train.warmup"),
  ],
)
def test_bad_fields_are_refused_with_a_remedy(overrides, remedy):
  with pytest.raises(UserError, match=remedy):
    built(**overrides)


@pytest.mark.parametrize("field", ["data.binarise", "model.conditional"])
def test_a_quantised_one_refuses_what_it_does_not_do(field):
  config = cli.load_config("configs/vae/vq.py:smoke", {"data.name": "digits", field: "True"})
  with pytest.raises(UserError, match=f"config.{field}.*leave it out"):
    vae.experiment(config)


def test_another_network_brings_its_own_fields():
  config = cli.load_config("configs/vae/digits.py:smoke")
  config.model.name = "conv"
  assert "mlp" not in config.model
  config.model.conv.widths = (4,)
  assert vae.network(config, embedded.load("digits", "train"), 1).widths == (4,)
  with pytest.raises(ValueError, match="mlp, conv or vq"):
    config.model.name = "transformer"


def test_a_class_that_the_test_set_has_none_of_cannot_be_told():
  digits = embedded.load("digits", "test")
  few = digits.select(np.flatnonzero(digits.label != 3))
  with pytest.raises(UserError, match="none of the test examples are of class 3"):
    anomaly.classes_left_out("all", digits, few)
  assert anomaly.classes_left_out("1, 3", digits, digits) == (1, 3)


def test_a_class_that_is_left_out_teaches_its_model_nothing():
  experiment, state = built(data__leave_out="0,3", optimizer__warmup="0 steps")
  assert state.members.params["output"]["bias"].shape == (2, 64)
  data = experiment.train_data
  batch = {**data.assemble(dict(data.resident), data.feed(0)), "label": jnp.array([0, 0, 0, 3, 3, 1, 2, 5])}
  zeros = (batch["label"] == 0)[:, None, None, None]
  other = {**batch, "inputs": jnp.where(zeros, 1 - batch["inputs"], batch["inputs"])}
  update = jax.jit(experiment.learner.update)
  one, two = (update(state, b)[0].members.params for b in (batch, other))
  pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(two)))
  assert all((a[0] == b[0]).all() for a, b in pairs)
  assert max(float(jnp.abs(a[1] - b[1]).max()) for a, b in pairs) > 1e-5


def test_anomalies_are_reported_for_each_class_left_out():
  experiment, state = built(data__leave_out="0,3")
  report = experiment.report(state)
  assert {"test_auroc", "test_auroc_0", "test_auroc_3"} == set(report.metrics) <= set(report.definitions)
  np.testing.assert_allclose(
    report.metrics["test_auroc"], (report.metrics["test_auroc_0"] + report.metrics["test_auroc_3"]) / 2
  )
  assert set(report.figures) == {"anomalies"}
  assert experiment.predict is None


@pytest.mark.parametrize("conditional", ["False", "True"])
def test_reports_each_use(conditional):
  experiment, state = built(model__conditional=conditional)
  report = experiment.report(state)
  uses = {"reconstructions", "samples", "interpolation", "latent_map", "imputation"}
  assert set(report.figures) == (uses if conditional == "True" else uses | {"manifold"})
  assert set(report.metrics) <= set(report.definitions)
  assert 20 < report.metrics["test_nll"] < 64 * np.log(2) * 1.5, "about a bit a pixel before training"


def test_predicts_latents_and_bound_of_images_and_samples_without(tmp_path):
  experiment, state = built()
  assert experiment.predict is not None
  digits = embedded.load("digits", "test")
  np.savez(tmp_path / "images.npz", inputs=digits.inputs[:5])
  found = experiment.predict(state, str(tmp_path / "images.npz"))
  assert found["latents"].shape == (5, 2)
  assert found["reconstruction"].shape == (5, 8, 8, 1)
  assert np.isfinite(found["log_likelihood_bound"]).all()
  np.savez(tmp_path / "one.npz", inputs=digits.inputs[:1])
  one = experiment.predict(state, str(tmp_path / "one.npz"))
  np.testing.assert_allclose(one["latents"][0], found["latents"][0], rtol=1e-5)
  drawn = experiment.predict(state, "")["samples"]
  assert drawn.shape == (8, 8, 8, 1)
  assert (drawn >= 0).all()
  assert (drawn <= 1).all()


def test_evaluation_binarises_once_and_training_not_before_the_step():
  experiment, _ = built()
  again, _ = built(seed="1")
  pixels, same = (generative.over(one.test_data, lambda _, batch: batch["inputs"], None) for one in (experiment, again))
  assert set(np.unique(pixels)) == {0, 1}
  np.testing.assert_array_equal(pixels, same)
  grey = embedded.load("digits", "test").inputs / 255
  assert np.abs(pixels.mean(0) - grey.mean(0)).max() < 5 * 0.5 / len(grey) ** 0.5
  data = experiment.train_data
  assert len(np.unique(data.assemble(dict(data.resident), data.feed(0))["inputs"])) > 2


def test_vq_predicts_codes_and_says_that_it_cannot_sample(tmp_path):
  experiment, state = built("configs/vae/vq.py:smoke", {"data.name": "digits", "model.vq.widths": "(4,)"})
  assert experiment.predict is not None
  np.savez(tmp_path / "images.npz", inputs=embedded.load("digits", "test").inputs[:3])
  found = experiment.predict(state, str(tmp_path / "images.npz"))
  assert found["codes"].shape == (3, 4, 4)
  assert found["codes"].max() < 8
  with pytest.raises(UserError, match="prior"):
    experiment.predict(state, "")


def test_vq_shows_an_image_beside_its_own_reconstruction(monkeypatch):
  """A code that loses nothing: what is shown as the reconstruction must be the image itself."""
  rng = np.random.default_rng(0)
  arrays = {"inputs": rng.integers(0, 256, (70, 2, 2, 1), np.uint8), "label": np.zeros(70, np.int32)}
  lossless = types.SimpleNamespace(
    codes=lambda variables, inputs: jnp.round(255 * inputs[..., 0]).astype(jnp.int32),
    decode=lambda variables, codes: codes[..., None, None] / 255,
    likelihood=family_lib.gaussian(1.0),
  )
  shown = []
  monkeypatch.setattr(vae_report, "pairs", lambda *images: shown.extend(images))
  config = cli.load_config("configs/vae/vq.py:smoke", {"model.vq.codes": "256", "report.samples": "20"})
  test = pipeline.sequential(arrays, 32, assemble=pipeline.normalised())
  vq_report.report(types.SimpleNamespace(ema=None, params={}, mutable={}), lossless, config, test)
  assert len(shown[0]) == 20
  np.testing.assert_allclose(shown[1], shown[0], atol=1e-6)


def test_images_shown_are_of_every_class_of_a_sorted_set():
  label = np.repeat(np.arange(10, dtype=np.int32), 7)
  arrays = {"inputs": np.zeros((70, 2, 2, 1), np.uint8), "label": label}
  shown = vae_report.spread(pipeline.sequential(arrays, 32), 20)
  assert set(np.asarray(shown["label"])) == set(range(10))
  assert len(vae_report.spread(pipeline.sequential(arrays, 32), 100)["label"]) == 70, "no image twice"
