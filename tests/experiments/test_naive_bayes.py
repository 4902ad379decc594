"""The naive Bayes experiment: what it refuses, predicts and samples; the comparison with logistic regression."""

import jax
import numpy as np
import pytest
from sklearn import naive_bayes as peers
from sklearn.linear_model import LogisticRegression

from experiments import naive_bayes
from experiments.command import cli
from experiments.parts import generative
from experiments.reports import naive_bayes as naive_bayes_report
from research import randomness
from research.data import embedded
from research.errors import UserError
from research.training.precision import precision

DIGITS = "configs/naive_bayes/digits.py"
TEST = embedded.load("digits", "test")


def config_of(spec=DIGITS, **fields):
  return cli.load_config(spec, {name.replace("__", "."): str(value) for name, value in fields.items()})


@pytest.mark.parametrize(
  ("fields", "remedy"),
  [
    ({"model__name": "poisson"}, "choose gaussian, bernoulli"),
    ({"model__gaussian__var_smoothing": 0.0}, "give a number above 0"),
    ({"data__normalise": "train"}, "set it to none"),
    ({"train__precision": "bfloat16"}, "choose float32 or float64"),
  ],
)
def test_bad_fields_are_refused_with_a_remedy(fields, remedy):
  with pytest.raises(UserError, match=remedy):
    naive_bayes.experiment(config_of(**fields))


@pytest.mark.parametrize(
  ("model", "value", "remedy"),
  [
    ("multinomial", -1.0, "Negative values"),
    ("categorical", -0.1, "Negative values"),
    ("categorical", 1.5, "reach 1.5: scale them"),
  ],
)
def test_floats_that_a_model_is_not_for_are_refused(model, value, remedy, tmp_path):
  inputs = np.random.default_rng(0).random((40, 3)).astype(np.float32)
  inputs[:, 1] = value
  np.savez(tmp_path / "own.npz", inputs=inputs, label=np.arange(40) % 2)
  with pytest.raises(UserError, match=remedy):
    naive_bayes.experiment(config_of(model__name=model, data__path=tmp_path / "own.npz"))


def test_vectors_are_classified_too(tmp_path, capsys):
  run("--config.data.name=iris", "--config.data.eval_batch_size=30", folder=tmp_path, capsys=capsys)
  figures = {path.stem for path in (tmp_path / "figures").iterdir()}
  assert "confusion" in figures
  assert "samples" not in figures, "they are no images"


def run(*arguments, folder, capsys):
  with pytest.raises(SystemExit) as done:
    cli.main(naive_bayes.experiment, DIGITS, [f"--workdir={folder}", "--config.run.num_devices=1", *arguments])
  assert done.value.code == 0, capsys.readouterr().err


def test_predicts_as_scikit_learn_and_samples_without_input(tmp_path, capsys):
  run(f"--config={DIGITS}:categorical", folder=tmp_path, capsys=capsys)
  predict = [f"--config={DIGITS}:categorical", "--mode=predict"]
  np.savez(tmp_path / "images.npz", inputs=TEST.inputs[:50, ..., 0])
  run(*predict, f"--input={tmp_path / 'images.npz'}", folder=tmp_path, capsys=capsys)
  levels = lambda data: np.minimum(data.inputs.reshape(-1, 64) / 255 * 8, 7).astype(int)
  train = embedded.load("digits", "train")
  peer = peers.CategoricalNB(alpha=0.1, min_categories=8).fit(levels(train), train.label)
  with np.load(tmp_path / "predictions.npz") as found:
    np.testing.assert_allclose(found["log_probabilities"], peer.predict_log_proba(levels(TEST)[:50]), atol=1e-6)
    np.testing.assert_array_equal(found["predicted"], peer.predict(levels(TEST)[:50]))
    assert len(found["input"]) == 50
  run(*predict, folder=tmp_path, capsys=capsys)
  with np.load(tmp_path / "predictions.npz") as found:
    assert found["samples"].shape == (100, 8, 8, 1)
    # In grey levels, 0 to 7, which the model itself recognises.
    own = peer.predict(found["samples"].reshape(100, 64).astype(int)) == found["class_name"].astype(int)
    assert own.mean() > 0.9


def test_a_comparison_is_of_the_same_subsets():
  """Both models against scikit-learn, fitted to the first examples of the same random orders."""
  config = config_of("configs/naive_bayes/generative_discriminative.py:smoke")
  with precision("float64"):
    experiment, data = naive_bayes.experiment(config), generative.load(config.data)
    family, key = naive_bayes.family_of(config, data.train), jax.random.key(0)
    found = naive_bayes_report.compare(config, family, experiment.learner, data, key)
    keys = randomness.example_keys(randomness.stream_key(key, "subsets"), 2)
    orders = [np.asarray(jax.random.permutation(key, len(data.train))) for key in keys]
  on = lambda part: part.inputs.reshape(-1, 64) > 127
  for i, size in enumerate((20, 40)):
    for j, order in enumerate(orders):
      subset = on(data.train)[order[:size]], data.train.label[order[:size]]
      scores = [
        model.fit(*subset).score(on(data.test), data.test.label)
        for model in (peers.BernoulliNB(alpha=0.1), LogisticRegression(max_iter=1000))
      ]
      np.testing.assert_allclose([accuracy[i, j] for accuracy in found.accuracy.values()], scores, atol=3 / 359)
      assert found.accuracy["naive Bayes"][i, j] == pytest.approx(scores[0], abs=1e-6)
  assert found.metrics()["naive_bayes_at_40"] == pytest.approx(found.accuracy["naive Bayes"][1].mean())
  assert set(found.metrics()) <= set(found.definitions())


@pytest.mark.parametrize(
  ("generative_model", "discriminative", "crossing"),
  [
    ([0.5, 0.6, 0.7], [0.3, 0.5, 0.8], np.exp((np.log(20) + np.log(40)) / 2)),  # halfway between two sizes
    ([0.5, 0.6, 0.7], [0.6, 0.7, 0.8], 10.0),  # ahead from the start
    ([0.5, 0.6, 0.7], [0.6, 0.7, 0.6], None),  # behind in the end
    ([0.5, 0.6, 0.7], [0.6, 0.5, 0.7 + 0.1], np.exp((np.log(20) + np.log(40)) / 2)),  # the last crossing counts
  ],
)
def test_crossing(generative_model, discriminative, crossing):
  accuracy = {"naive Bayes": generative_model, "logistic regression": discriminative}
  spread = np.array([-0.1, 0.1])
  compared = naive_bayes_report.Comparison(
    (10, 20, 40), {name: np.array(mean)[:, None] + spread for name, mean in accuracy.items()}
  )
  assert compared.crossing == (crossing if crossing is None else pytest.approx(crossing))
  assert ("crossing_size" in compared.metrics()) == (crossing is not None)


@pytest.mark.parametrize("sizes", [(40, 20), (1, 20), (20, 2000)])
def test_sizes_that_no_comparison_can_have(sizes):
  config = config_of("configs/naive_bayes/generative_discriminative.py:smoke", comparison__sizes=sizes)
  data = generative.load(config.data)
  with pytest.raises(UserError, match="ascending sizes from 2 to 1438"):
    naive_bayes_report.compare(config, None, None, data, jax.random.key(0))
