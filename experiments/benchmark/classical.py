"""Fits of the classical families, by scikit-learn's interface."""

import time
import warnings

import numpy as np
from sklearn import datasets
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from experiments.benchmark.timing import images, milliseconds, result, wall_and_cpu
from research.estimators import hmm as hmm_estimators
from research.estimators import naive_bayes as naive_bayes_estimators
from research.estimators.gaussian_mixture import GaussianMixture
from research.training.compilation import CompileClock


def naive_bayes(name: str) -> dict:
  """Milliseconds of a fit and a prediction in float64, the least of several; compilation is left out."""
  model, dataset = name.rpartition("nb_")[2].split("_")
  if dataset == "digits":  # pixels 0 to 16; the first 1,000 to fit
    inputs, labels = datasets.load_digits(return_X_y=True)
    train, test, repeats = (inputs[:1000], labels[:1000]), (inputs[1000:], labels[1000:]), 20
  else:
    splits = (images("mnist", split, None)[:2] for split in ("train", "test"))
    train, test = ((inputs.reshape(-1, 784).astype(np.float64), labels) for inputs, labels in splits)
    repeats = 3
  estimator = {
    "gaussian": lambda: naive_bayes_estimators.GaussianNB(var_smoothing=1e-2),
    "multinomial": lambda: naive_bayes_estimators.MultinomialNB(),
    "bernoulli": lambda: naive_bayes_estimators.BernoulliNB(binarize=8.0 if dataset == "digits" else 0.5),
  }[model]()
  clock = CompileClock()
  accuracy = estimator.fit(*train).score(*test)
  compilation = clock.seconds
  fit_ms, predict_ms = (
    min(milliseconds(call) for _ in range(repeats))
    for call in (lambda: estimator.fit(*train), lambda: estimator.predict(test[0]))
  )
  measured = {"fit_ms": fit_ms, "predict_ms": predict_ms, "test_accuracy": accuracy, "compilation_s": compilation}
  sizes = {"train": len(train[0]), "test": len(test[0]), "best_of": repeats}
  return result(name, "fit_and_predict", fit_ms + predict_ms, "ms", **measured, **sizes)


def gaussian_mixture(name: str) -> dict:
  """Seconds an EM iteration over 20 of them in float64, from the start that `peers/classical.py` has."""
  inputs = images("mnist", "train", None)[0].reshape(-1, 784).astype(np.float64)
  points = PCA(50, svd_solver="covariance_eigh").fit_transform(inputs)
  start = {
    "means_init": KMeans(10, n_init=1, max_iter=10, random_state=0).fit(points).cluster_centers_,
    "weights_init": np.full(10, 0.1),
    "precisions_init": np.stack([np.linalg.inv(np.cov(points.T))] * 10),
  }
  model = GaussianMixture(10, tol=0, max_iter=20, **start)
  clock = CompileClock()
  with warnings.catch_warnings(action="ignore"):  # 20 iterations are not to convergence
    model.fit(points)
    compilation, begin = clock.seconds, time.perf_counter()
    model.fit(points)
  seconds = time.perf_counter() - begin
  detail = {"points": len(points), "dim": 50, "components": 10, "compilation_s": compilation}
  likelihood = {"iterations": model.n_iter_, "mean_log_likelihood": model.score(points)}
  return result(name, "em_iteration", seconds / model.n_iter_, "s", **likelihood, **detail)


def hidden_markov(name: str) -> dict:
  """Seconds a Baum-Welch iteration over 10 of them in float64, from where hmmlearn starts with seed 0."""
  inputs, (states, iterations) = _hmm_sequences(name), (10, 10)
  lengths, rows = [inputs.shape[1]] * len(inputs), inputs.reshape(-1, inputs.shape[-1])
  rng = np.random.RandomState(0)
  start = {"startprob_init": rng.dirichlet(np.full(states, 1 / states))}
  start["transmat_init"] = rng.dirichlet(np.full(states, 1 / states), size=states)
  if name.endswith("gaussian"):
    start["means_init"] = KMeans(states, n_init=10, random_state=0).fit(rows).cluster_centers_
    start["covars_init"] = np.tile(np.diag(np.cov(rows.T) + 1e-3 * np.eye(rows.shape[1])), (states, 1))
    model = hmm_estimators.GaussianHMM(states, covars_prior=1e-2, tol=-np.inf, **start)
  else:
    emission = np.random.RandomState(0).rand(states, rows.max() + 1)
    start["emissionprob_init"] = emission / emission.sum(1, keepdims=True)
    model = hmm_estimators.CategoricalHMM(states, tol=-np.inf, **start)
  clock, seconds, cpu = CompileClock(), {}, {}
  for count in (1, 1 + iterations):
    fit = lambda count=count: model.set_params(n_iter=count).fit(rows, lengths=lengths)
    fit()
    times = [wall_and_cpu(fit) for _ in range(5)]
    seconds[count], cpu[count] = (min(column) for column in zip(*times))
  each = lambda times: (times[1 + iterations] - times[1]) / iterations
  detail = {"cpu_s": each(cpu), "iterations": iterations, "best_of": 5, "compilation_s": clock.seconds}
  sizes = {"states": states, "sequences": len(lengths), "length": lengths[0]}
  likelihood = {"log_likelihood_per_step": model.score(rows, lengths=lengths) / len(rows)}
  return result(name, "baum_welch_iteration", each(seconds), "s", **likelihood, **detail, **sizes)


def _hmm_sequences(name: str, states=10, sequences=200, length=500, dim=5, symbols=50):
  """Sequences drawn from a sticky chain [sequence, step, dim or 1], as `peers/classical.py` draws them."""
  rng = np.random.default_rng(0)
  transition = 0.8 * np.eye(states) + 0.2 * rng.dirichlet(np.ones(states), states)
  path = np.empty((sequences, length), np.int64)
  path[:, 0] = rng.integers(states, size=sequences)
  cumulative = transition.cumsum(1)
  for t in range(1, length):
    path[:, t] = (rng.random(sequences)[:, None] > cumulative[path[:, t - 1]]).sum(1).clip(max=states - 1)
  if name.endswith("gaussian"):
    means = 2 * rng.standard_normal((states, dim))
    return means[path] + rng.standard_normal((sequences, length, dim))
  cumulative = rng.dirichlet(np.full(symbols, 0.3), states).cumsum(1)
  return (rng.random((sequences, length, 1)) > cumulative[path]).sum(-1, keepdims=True).clip(max=symbols - 1)


WORKLOADS = {
  **{
    f"nb_{model}_{data}": naive_bayes
    for model in ("gaussian", "multinomial", "bernoulli")
    for data in ("digits", "mnist")
  },
  "gmm_mnist_pca50": gaussian_mixture,
  "hmm_gaussian": hidden_markov,
  "hmm_categorical": hidden_markov,
}
