"""Times training steps and classical fits: `python -m experiments.benchmark [workload...]`, one JSON line a workload.

A step is everything from a batch in memory to updated parameters: the `update` of the learner that the experiments
train, compiled with its state donated.  Its value is the median wall time after warm-up; on a shared machine `min_ms`
and `cpu_ms` (CPU time per step, all threads) are less disturbed.  Each workload runs in a process of its own, with the
allocator set as training sets it.  MNIST and CIFAR-10 are read from `TFDS_DATA_DIR`; without it steps are timed on
random images of their shape, and `detail.data` says so.
"""

import argparse
import fnmatch
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

from research.training import host
from research.training.job import EXIT_PREEMPTED

BATCH, WARMUP, BUDGET_SECONDS = 128, 5, 15
SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3)}


def _network(name: str):
  """(network, data set, optimizer, timed steps) of a workload, as `peers/vision.py` has them."""
  import optax

  from research.networks import cnn, mlp, resnet

  momentum = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1, momentum=0.9))
  return {
    "vision/mlp_step": lambda: (mlp.MLP((512, 512), 10), "mnist", optax.adam(1e-3), 500),
    "vision/cnn_step": lambda: (cnn.CNN(), "mnist", optax.adam(1e-3), 100),
    "vision/resnet20_step": lambda: (resnet.resnet20(), "cifar10", momentum, 30),
    "vision/cnn_mnist_convergence": lambda: (cnn.CNN(), "mnist", optax.adam(1e-3), 0),
  }[name]()


NAIVE_BAYES = tuple(
  f"classical/nb_{model}_{data}" for model in ("gaussian", "multinomial", "bernoulli") for data in ("digits", "mnist")
)
WORKLOADS = (
  "vision/mlp_step",
  "vision/cnn_step",
  "vision/resnet20_step",
  "vision/cnn_mnist_convergence",
  "generative/dcgan_step",
  "generative/vae_step",
  "generative/ddpm_step",
  "generative/ddim_sample",
  "loop/host_overhead",
  "loop/guards_mlp",
  "loop/guards_lenet",
  "loop/start",
  *NAIVE_BAYES,
  "classical/gmm_mnist_pca50",
  "classical/hmm_gaussian",
  "classical/hmm_categorical",
)


def _learner(network, optimizer):
  from research.families import classifier
  from research.training import steps

  family = classifier.classifier(network)
  return steps.gradient_learner(init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer)


def _data(name: str, split: str, limit: int | None):
  """Images as float32 in [0, 1] and labels, and where they are from."""
  import numpy as np

  from research.data import examples as examples_lib
  from research.data import sources
  from research.errors import UserError

  try:
    examples = sources.image_classification(name, f"{split}[:{limit}]" if limit else split)
  except UserError as error:
    if limit is None:
      raise
    rng = np.random.default_rng(0)
    return rng.random((limit, *SHAPES[name]), np.float32), rng.integers(0, 10, limit), f"random ({error})"
  assert isinstance(examples, examples_lib.Examples)  # both sets fit in memory
  return np.asarray(examples.inputs, np.float32) / 255, np.asarray(examples.label, np.int32), name


def _batch(inputs, labels):
  import jax
  import numpy as np

  return jax.device_put({"inputs": inputs, "label": labels.astype(np.int32), "mask": np.ones(len(labels), np.float32)})


def _compiled(name: str):
  """(update, initial state, batches of the workload or None, detail, timed steps)."""
  import jax

  network, dataset, optimizer, timed = _network(name)
  learner = _learner(network, optimizer)
  inputs, labels, source = _data(dataset, "train", 10 * BATCH if timed else None)
  if dataset == "cifar10":
    inputs = (inputs - 0.5) / 0.25
  state = jax.jit(learner.init)(jax.random.key(0), _batch(inputs[:BATCH], labels[:BATCH]))
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  detail = {"batch": BATCH, "parameters": parameters, "data": source}
  return learner, jax.jit(learner.update, donate_argnums=0), state, (inputs, labels), detail, timed


def step_time(name: str) -> dict:
  """Median wall time of one update, in ms."""

  _, update, state, (inputs, labels), detail, timed = _compiled(name)
  batches = [_batch(inputs[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(labels), BATCH)]
  median, measured = _timed(update, state, batches, timed)
  return _result(name, "step_time", median, "ms", **measured, **detail)


def _timed(update, state, batches, timed: int) -> tuple[float, dict]:
  """Median wall time in ms of `state, metrics = update(state, batch)` after warm-up, and what else is measured."""
  import jax

  times, cpu = [], []
  for batch in itertools.cycle(batches):
    wall_start, cpu_start = time.perf_counter(), time.process_time()
    state, metrics = update(state, batch)
    jax.block_until_ready((state, metrics))
    times.append(1e3 * (time.perf_counter() - wall_start))
    cpu.append(1e3 * (time.process_time() - cpu_start))
    if len(times) == WARMUP + timed or (len(times) >= WARMUP + 5 and sum(times) > 1e3 * BUDGET_SECONDS):
      break
  first, times, cpu = times[0], times[WARMUP:], cpu[WARMUP:]
  measured = {"steps": len(times), "warmup": WARMUP, "min_ms": min(times), "cpu_ms": statistics.mean(cpu)}
  return statistics.median(times), measured | {"first_step_s": first / 1e3}


def dcgan_step(name: str) -> dict:
  """Median wall time of one update of both players, in ms."""
  import jax
  import numpy as np
  import optax

  from research.families import gan
  from research.networks import dcgan
  from research.training import game

  family = gan.gan(dcgan.Generator((28, 28, 1)), dcgan.Discriminator(), latent_size=64)
  learner = game.game_learner(
    init=family.init,
    generate=family.generate,
    critic_loss=family.critic_loss,
    generator_loss=family.generator_loss,
    evaluate=family.evaluate,
    generator_optimizer=optax.adam(2e-4, b1=0.5),
    critic_optimizer=optax.adam(2e-4, b1=0.5),
  )
  inputs, _, source = _data("mnist", "train", 640)
  mask = np.ones(64, np.float32)
  batches = [jax.device_put({"inputs": 2 * x - 1, "mask": mask}) for x in np.split(inputs, 10)]
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves((state.generator.params, state.critic.params)))
  median, measured = _timed(jax.jit(learner.update, donate_argnums=0), state, batches, 100)
  return _result(name, "step_time", median, "ms", **measured, batch=64, parameters=parameters, data=source)


def vae_step(name: str) -> dict:
  """Median wall time of one update of the textbook VAE, 784-400-20-400-784, on MNIST, in ms."""
  import jax
  import optax

  from research.families import vae
  from research.networks.autoencoder import MLPAutoencoder
  from research.training import steps

  family = vae.vae(MLPAutoencoder(SHAPES["mnist"], 1, (20,), (400,), "relu"), vae.bernoulli())
  optimizer = optax.adam(1e-3)
  learner = steps.gradient_learner(init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer)
  inputs, labels, source = _data("mnist", "train", 10 * BATCH)
  batches = [_batch(inputs[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  median, measured = _timed(jax.jit(learner.update, donate_argnums=0), state, batches, 500)
  return _result(name, "step_time", median, "ms", **measured, batch=BATCH, parameters=parameters, data=source)


def _ddpm():
  """The U-Net of `peers/generative.py` (diffusers' UNet2DModel), its optimizer's learner, and the model."""
  import optax

  from research.families.diffusion import model as family
  from research.networks.unet import UNet
  from research.training import steps

  model = family.diffusion(UNet((32, 64, 64), 2, (False, True, False)), "linear", predicts="noise")
  optimizer = optax.adamw(1e-4, weight_decay=1e-2)
  learner = steps.gradient_learner(init=model.init, loss=model.loss, evaluate=model.evaluate, optimizer=optimizer)
  return model, learner


def ddpm_step(name: str) -> dict:
  """Median wall time of one update of DDPM's U-Net on 32 images of 32x32, in ms."""
  import jax
  import numpy as np

  batch_size = 32
  _, learner = _ddpm()
  inputs, labels, source = _data("mnist", "train", 10 * batch_size)
  inputs = np.pad(2 * inputs - 1, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
  batches = [_batch(inputs[i : i + batch_size], labels[i : i + batch_size]) for i in range(0, len(inputs), batch_size)]
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  median, measured = _timed(jax.jit(learner.update, donate_argnums=0), state, batches, 30)
  return _result(name, "step_time", median, "ms", **measured, batch=batch_size, parameters=parameters, data=source)


def ddim_sample(name: str) -> dict:
  """Seconds to draw 16 images of 32x32 by 50 steps of DDIM; `detail` has the same with the loop on the device."""
  import jax
  import numpy as np

  from research.families.diffusion import generation, samplers

  model, learner = _ddpm()
  batch = _batch(np.zeros((1, 32, 32, 1), np.float32), np.zeros(1, np.int32))
  params = jax.jit(learner.init)(jax.random.key(0), batch).params
  found = {}
  for loop in ("auto", "host", "device"):
    draw = generation.generator(model, samplers.ddim(), 50, loop=loop).draw
    seconds = []
    for i in range(4):  # the first compiles
      begin = time.perf_counter()
      jax.block_until_ready(draw({"params": params}, (16, 32, 32, 1), jax.random.key(i)))
      seconds.append(time.perf_counter() - begin)
    found[loop] = statistics.median(seconds[1:])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
  detail = {"images": 16, "ddim_steps": 50, "parameters": parameters}
  return _result(
    name, "sampling_time", found["auto"], "s", host_loop_s=found["host"], device_loop_s=found["device"], **detail
  )


def convergence(name: str) -> dict:
  """Seconds of three epochs of MNIST, compilation and evaluation included, and the test accuracy after each."""
  import jax
  import numpy as np

  learner, update, state, (inputs, labels), detail, _ = _compiled(name)
  test_inputs, test_labels, _ = _data("mnist", "test", None)
  evaluate = jax.jit(learner.evaluate)
  start, accuracies, evaluation = time.perf_counter(), [], 0.0
  for epoch in range(3):
    order = np.random.default_rng(epoch).permutation(len(labels))
    for rows in np.array_split(order[: len(order) // BATCH * BATCH], len(order) // BATCH):
      state, _ = update(state, _batch(inputs[rows], labels[rows]))
    jax.block_until_ready(state)
    begin = time.perf_counter()
    slices = [slice(i, i + 1000) for i in range(0, len(test_labels), 1000)]
    sums = [evaluate(state, _batch(test_inputs[s], test_labels[s]))["accuracy"].total for s in slices]
    accuracies.append(float(sum(sums)) / len(test_labels))
    evaluation += time.perf_counter() - begin
  seconds = time.perf_counter() - start
  measured = {"epochs": 3, "test_accuracy": accuracies[-1], "test_accuracy_by_epoch": accuracies}
  return _result(name, "train_time", seconds, "s", **measured, evaluation_s=evaluation, **detail)


def naive_bayes(name: str) -> dict:
  """Milliseconds of a fit and a prediction in float64, the least of several; compilation is left out."""
  import numpy as np
  from sklearn import datasets

  from research.estimators import naive_bayes as estimators
  from research.training.compilation import CompileClock

  model, dataset = name.rpartition("nb_")[2].split("_")
  if dataset == "digits":  # pixels 0 to 16; the first 1,000 to fit
    inputs, labels = datasets.load_digits(return_X_y=True)
    train, test, repeats = (inputs[:1000], labels[:1000]), (inputs[1000:], labels[1000:]), 20
  else:
    splits = (_data("mnist", split, None)[:2] for split in ("train", "test"))
    train, test = ((inputs.reshape(-1, 784).astype(np.float64), labels) for inputs, labels in splits)
    repeats = 3
  estimator = {
    "gaussian": lambda: estimators.GaussianNB(var_smoothing=1e-2),
    "multinomial": lambda: estimators.MultinomialNB(),
    "bernoulli": lambda: estimators.BernoulliNB(binarize=8.0 if dataset == "digits" else 0.5),
  }[model]()
  clock = CompileClock()
  accuracy = estimator.fit(*train).score(*test)
  compilation = clock.seconds
  fit_ms, predict_ms = (
    min(_milliseconds(call) for _ in range(repeats))
    for call in (lambda: estimator.fit(*train), lambda: estimator.predict(test[0]))
  )
  measured = {"fit_ms": fit_ms, "predict_ms": predict_ms, "test_accuracy": accuracy, "compilation_s": compilation}
  sizes = {"train": len(train[0]), "test": len(test[0]), "best_of": repeats}
  return _result(name, "fit_and_predict", fit_ms + predict_ms, "ms", **measured, **sizes)


def gaussian_mixture(name: str) -> dict:
  """Seconds an EM iteration over 20 of them in float64, from the start that `peers/classical.py` has."""
  import numpy as np
  from sklearn.cluster import KMeans
  from sklearn.decomposition import PCA

  from research.estimators.gaussian_mixture import GaussianMixture
  from research.training.compilation import CompileClock

  inputs = _data("mnist", "train", None)[0].reshape(-1, 784).astype(np.float64)
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
  return _result(name, "em_iteration", seconds / model.n_iter_, "s", **likelihood, **detail)


def hidden_markov(name: str) -> dict:
  """Seconds a Baum-Welch iteration over 10 of them in float64, from where hmmlearn starts with seed 0."""
  import numpy as np
  from sklearn.cluster import KMeans

  from research.estimators import hmm as estimators
  from research.training.compilation import CompileClock

  inputs, (states, iterations) = _hmm_sequences(name), (10, 10)
  lengths, rows = [inputs.shape[1]] * len(inputs), inputs.reshape(-1, inputs.shape[-1])
  rng = np.random.RandomState(0)
  start = {"startprob_init": rng.dirichlet(np.full(states, 1 / states))}
  start["transmat_init"] = rng.dirichlet(np.full(states, 1 / states), size=states)
  if name.endswith("gaussian"):
    start["means_init"] = KMeans(states, n_init=10, random_state=0).fit(rows).cluster_centers_
    start["covars_init"] = np.tile(np.diag(np.cov(rows.T) + 1e-3 * np.eye(rows.shape[1])), (states, 1))
    model = estimators.GaussianHMM(states, covars_prior=1e-2, tol=-np.inf, **start)
  else:
    emission = np.random.RandomState(0).rand(states, rows.max() + 1)
    start["emissionprob_init"] = emission / emission.sum(1, keepdims=True)
    model = estimators.CategoricalHMM(states, tol=-np.inf, **start)
  clock, seconds, cpu = CompileClock(), {}, {}
  for count in (1, 1 + iterations):
    fit = lambda count=count: model.set_params(n_iter=count).fit(rows, lengths=lengths)
    fit()
    times = [_wall_and_cpu(fit) for _ in range(5)]
    seconds[count], cpu[count] = (min(column) for column in zip(*times))
  each = lambda times: (times[1 + iterations] - times[1]) / iterations
  detail = {"cpu_s": each(cpu), "iterations": iterations, "best_of": 5, "compilation_s": clock.seconds}
  sizes = {"states": states, "sequences": len(lengths), "length": lengths[0]}
  likelihood = {"log_likelihood_per_step": model.score(rows, lengths=lengths) / len(rows)}
  return _result(name, "baum_welch_iteration", each(seconds), "s", **likelihood, **detail, **sizes)


def _hmm_sequences(name: str, states=10, sequences=200, length=500, dim=5, symbols=50):
  """Sequences drawn from a sticky chain [sequence, step, dim or 1], as `peers/classical.py` draws them."""
  import numpy as np

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


def _wall_and_cpu(call) -> tuple[float, float]:
  """Seconds of wall time, and of CPU time over all threads."""
  wall, cpu = time.perf_counter(), time.process_time()
  call()
  return time.perf_counter() - wall, time.process_time() - cpu


def _milliseconds(call) -> float:
  start = time.perf_counter()
  call()
  return 1e3 * (time.perf_counter() - start)


def host_overhead(name: str) -> dict:
  """Microseconds of host time per step: see `experiments.overhead`."""
  from experiments import overhead

  measured = overhead.measure()
  assert measured["workload"] == name
  return measured


def guards(name: str) -> dict:
  """Per cent of a ten-millisecond step that polling, finite checks and metrics take: see `experiments.guards`."""
  from experiments import guards as guards_lib

  measured = guards_lib.measure(name.rpartition("_")[2])
  assert measured["workload"] == name
  return measured


def start(name: str) -> dict:
  """Seconds of a whole process that imports `experiments.mlp`, trains one step of a cached config, saves and exits."""
  seconds = []
  for _ in range(4):
    with tempfile.TemporaryDirectory() as folder:
      begin = time.perf_counter()
      command = [sys.executable, "-m", "experiments.mlp", f"--workdir={folder}/run", "--config.run.stop_at=1"]
      done = subprocess.run(command, capture_output=True, check=False)
      seconds.append(time.perf_counter() - begin)
      assert done.returncode == EXIT_PREEMPTED, done.stderr.decode()
  return _result(name, "process_time", statistics.median(seconds[1:]), "s", first_s=seconds[0], runs=len(seconds) - 1)


def _result(name: str, metric: str, value: float, unit: str, **detail) -> dict:
  import jax

  detail |= {"cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()}
  detail |= {"device": jax.devices()[0].device_kind, "load": os.getloadavg()[0]}
  rounded = {key: float(f"{x:.5g}") if isinstance(x, float) else x for key, x in detail.items()}
  ours = f"genera on jax {jax.__version__}"
  return {"workload": name, "ours": ours, "metric": metric, "value": float(f"{value:.5g}"), "unit": unit} | {
    "detail": rounded
  }


def _apart(name: str) -> dict:
  """The workload's line, from a process of its own."""
  command = [sys.executable, "-m", "experiments.benchmark", "--here", name]
  done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
  try:
    return json.loads(done.stdout.splitlines()[-1])
  except (IndexError, ValueError):
    return {"workload": name, "error": f"exit status {done.returncode}"}


def main() -> int:
  """Runs the workloads that match; 1 if one of them failed."""
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("patterns", nargs="*", default=["*"], help="names, or patterns such as 'vision/*'")
  parser.add_argument("--list", action="store_true", help="list the workloads")
  parser.add_argument("--here", action="store_true", help="run one workload in this process")
  arguments = parser.parse_args()
  chosen = [name for name in WORKLOADS if any(fnmatch.fnmatch(name, p) for p in arguments.patterns)]
  if not chosen:
    parser.error(f"no workload matches {arguments.patterns}; there are {', '.join(WORKLOADS)}")
  if arguments.list:
    print("\n".join(chosen))
    return 0
  if arguments.here:
    host.tune_cpu()
    run = {
      "vision/cnn_mnist_convergence": convergence,
      "generative/dcgan_step": dcgan_step,
      "generative/vae_step": vae_step,
      "generative/ddpm_step": ddpm_step,
      "generative/ddim_sample": ddim_sample,
      "loop/host_overhead": host_overhead,
      "loop/guards_mlp": guards,
      "loop/guards_lenet": guards,
      "loop/start": start,
      **dict.fromkeys(NAIVE_BAYES, naive_bayes),
      "classical/gmm_mnist_pca50": gaussian_mixture,
      "classical/hmm_gaussian": hidden_markov,
      "classical/hmm_categorical": hidden_markov,
    }.get(chosen[0], step_time)
    print(json.dumps(run(chosen[0])), flush=True)
    return 0
  failed = False
  for name in chosen:
    line = _apart(name)
    failed |= "error" in line
    print(json.dumps(line), flush=True)
  return int(failed)


if __name__ == "__main__":
  sys.exit(main())
