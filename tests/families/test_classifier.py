"""The classifier's parts against scikit-learn and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy.special import log_softmax, logsumexp
from sklearn.metrics import accuracy_score, log_loss

from research.families import classifier


class Linear(nn.Module):
  """Logits W x; `train` changes nothing."""

  @nn.compact
  def __call__(self, x, train):
    return nn.Dense(4, use_bias=False)(x)


@pytest.fixture
def problem():
  rng = np.random.default_rng(0)
  inputs, weights = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
  batch = {"inputs": inputs, "label": rng.integers(0, 4, 9), "mask": np.array([1.0] * 7 + [0.0] * 2, np.float32)}
  return batch, {"params": {"Dense_0": {"kernel": weights}}}, log_softmax(inputs @ weights, axis=1)


def test_evaluation_is_that_of_scikit_learn_and_leaves_padding_out(problem):
  batch, variables, logs = problem
  found = classifier.classifier(Linear()).evaluate(variables, batch)
  labels = batch["label"][:7]
  np.testing.assert_allclose(found["loss"].value(), log_loss(labels, np.exp(logs[:7]), labels=range(4)), rtol=1e-5)
  np.testing.assert_allclose(found["accuracy"].value(), accuracy_score(labels, logs[:7].argmax(1)), rtol=1e-6)
  assert found["loss"].count == 7


@pytest.mark.parametrize("amount", [0.0, 0.1])
def test_smoothed_loss_is_a_mixture_of_two_cross_entropies(problem, amount):
  """(1 - a) H(label, p) + a H(uniform, p), Szegedy et al. 2016, section 7."""
  batch, variables, logs = problem
  loss, _ = classifier.classifier(Linear(), label_smoothing=amount).loss(variables, batch, jax.random.key(0))
  of_label, of_uniform = -logs[np.arange(9), batch["label"]], -logs.mean(1)
  np.testing.assert_allclose(loss.value(), ((1 - amount) * of_label + amount * of_uniform)[:7].mean(), rtol=1e-5)


def test_probabilities_as_labels_are_the_mixture_of_their_losses(problem):
  batch, variables, logs = problem
  soft = np.random.default_rng(1).dirichlet(np.ones(4), 9).astype(np.float32)
  loss, _ = classifier.classifier(Linear()).loss(variables, {**batch, "label": soft}, jax.random.key(0))
  np.testing.assert_allclose(loss.value(), -(soft * logs).sum(1)[:7].mean(), rtol=1e-5)


def test_averaged_predictions_are_a_distribution(problem):
  logs = log_softmax(np.random.default_rng(2).normal(size=(5, 9, 4)), axis=-1)
  averaged = classifier.average_log_probabilities(jnp.asarray(logs))
  np.testing.assert_allclose(averaged, logsumexp(logs, axis=0, b=1 / 5), rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(np.exp(averaged).sum(-1), 1, rtol=1e-5)


def test_views_are_averaged_at_test_time_alone(problem):
  batch, variables, _ = problem
  plain, viewed = (classifier.classifier(Linear(), views=v) for v in (None, lambda x: [x, -x]))
  both = [np.exp(plain.log_probabilities(variables, x)) for x in (batch["inputs"], -batch["inputs"])]
  np.testing.assert_allclose(np.exp(viewed.log_probabilities(variables, batch["inputs"])), np.mean(both, 0), rtol=1e-5)
  losses = [family.loss(variables, batch, jax.random.key(0))[0].value() for family in (plain, viewed)]
  assert losses[0] == losses[1]


def test_augmentation_sees_one_key_per_example_and_only_in_training(problem):
  batch, variables, _ = problem
  seen = []

  def augment(keys, batch):
    seen.append(np.asarray(jax.random.key_data(keys)))
    return batch

  family = classifier.classifier(Linear(), augment=augment)
  family.evaluate(variables, batch)
  assert not seen
  for step in range(2):
    family.loss(variables, batch, jax.random.key(step))
  assert len(np.unique(np.concatenate(seen), axis=0)) == 18
