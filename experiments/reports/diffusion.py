"""What a trained diffusion model is used for: likelihoods, samples, strips, edits, sound, and data for a classifier."""

import pathlib
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, UInt8

from experiments.command import cli
from experiments.parts import features, generative, sound
from research import randomness
from research.data import files, mixtures
from research.errors import UserError
from research.evaluation import figures
from research.evaluation import generative as measures
from research.families.diffusion import generation, likelihood, samplers
from research.families.diffusion import model as family
from research.training import steps
from research.training.experiment import Report

Pixels = UInt8[np.ndarray, "example height width channel"]
DEFINITIONS = {
  "log_likelihood": "exact log-likelihood along the probability flow, nats, mean over the test points",
  "true_log_likelihood": "log-density of the mixture itself, nats, mean over the same test points",
  "likelihood_gap": "true_log_likelihood - log_likelihood, nats",
  "bits_per_dim": "variational bound in continuous time, bits per pixel and channel, mean over the test set; the KL of "
  "the prior, the reconstruction of 8 bits, and the diffusion loss by the midpoint rule over the log signal-to-noise",
  **features.DEFINITIONS,
  **features.CLASS_AGREEMENT,
  "distance_of": "classifier_feature_distance of another sampler and number of steps, or of the last parameters in "
  "place of their average",
  "seconds_per_1000_samples": "wall time of drawing those samples, compilation included, for 1,000 of them",
  "accuracy_real": "test accuracy of a classifier trained on the labelled examples alone",
  "accuracy_with_samples": "test accuracy of the same classifier, trained as long on those and the model's samples",
}


class Use:
  """A model in use: `report(state)` and `predict(state, path)` of the experiment."""

  def __init__(self, config: ml_collections.ConfigDict, model: family.Diffusion, draw: generation.Generator, data):
    self._config, self._model, self._generator = config, model, draw
    self._kind, self._rate, (self._train, _, self._test) = data.kind, data.rate, data.parts
    for name in config.report.get("compare", ()):  # before any compute
      self._other(name)
    if config.report.get("factor", 1) < 1:
      raise UserError("config.report.factor", config.report.factor, "it is how many times larger: at least 1.")
    if config.report.get("augment") and not config.model.conditional:
      remedy = "samples of an unconditional model have no labels: set config.model.conditional."
      raise UserError("config.report.augment", config.report.augment, remedy)
    self._shape = self._test.inputs.shape[1:]
    self._classes = self._train.num_classes if config.model.conditional else 0

  def report(self, state) -> Report:
    """Measures, figures and files, by the kind of data."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "report")
    results = {"points": self._points, "sound": self._sound, "images": self._images}[self._kind](variables, key)
    if "measure" in self._config and self._config.measure.samples and self._train.labelled:
      results |= self._measures(variables, {"params": state.params, **state.mutable}, key)
    if self._config.report.get("augment"):
      results |= self._augmentation(variables, key)
    metrics = {name: value for name, value in results.items() if isinstance(value, float)}
    pictures = {name: value for name, value in results.items() if not isinstance(value, float | bytes)}
    others = {name: DEFINITIONS["distance_of"] for name in metrics if name.startswith("distance_of_")}
    definitions = {name: DEFINITIONS[name] for name in metrics if name in DEFINITIONS} | others
    sounds = {name: value for name, value in results.items() if isinstance(value, bytes)}
    return Report(metrics, pictures, definitions, sounds)

  def predict(self, state, path: str) -> dict[str, np.ndarray]:
    """Samples with their labels; or, of the images at `path`, what becomes of them."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "predict")
    if path and self._kind != "images":
      raise UserError("--input", path, "only images are inpainted, enlarged and redrawn: leave it out for samples.")
    if path:
      inputs, _ = files.unlabelled(path, self._shape, dtype=np.uint8)
      return self._edits(variables, inputs, key)
    labels = self._labels(self._config.report.samples)
    return {"samples": self._draw(self._generator, variables, labels, key), "label": labels}

  def samples(self, state, inputs, index) -> Float[Array, "batch ..."]:
    """One for each `seed` int [batch], of the class `label` int [batch] where classes condition."""
    del index
    keys, shape = jax.vmap(jax.random.key)(inputs["seed"]), (len(inputs["seed"]), *self._shape)
    return self._generator.draw(steps.variables_of(state), shape, keys, inputs["label"] if self._classes else None)

  def _labels(self, count: int) -> np.ndarray:
    """Every class in turn."""
    return (np.arange(count) % max(self._classes, 1)).astype(np.int32)

  def _draw(self, generator: generation.Generator, variables, labels: np.ndarray, key) -> np.ndarray:
    """As many samples as labels, `eval_batch_size` at a time, each with a key of its own; images as bytes."""
    size, keys = min(self._config.data.eval_batch_size, len(labels)), randomness.place_keys(key, np.arange(len(labels)))
    given = (jnp.asarray(labels),) if self._classes else ()
    draw = lambda keys, label=None: generator.draw(variables, (size, *self._shape), keys, label)
    samples = generative.batched(draw, size, keys, *given)
    return as_bytes(samples) if self._kind == "images" else samples

  def _points(self, variables, key) -> dict[str, Any]:
    """The exact likelihood beside the truth, and where samples lie."""
    mixture, test = mixtures.MIXTURES[self._config.data.name](), self._test.inputs
    setup = lambda variables: (self._model.process(variables), self._model.denoiser(variables))
    density = likelihood.log_likelihood(setup)
    process = self._model.process(variables)
    times = samplers.grid(process, self._config.report.likelihood_steps, self._config.sampler.spacing)
    mean_density = float(density(variables, jnp.asarray(test), times, key).mean())
    truth = float(mixture.log_density(test).mean())
    samples = self._draw(self._generator, variables, self._labels(self._config.report.samples), key)
    axis = np.linspace(-2.2, 2.2, self._config.report.density_side, dtype=np.float32)
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    logs = np.asarray(density(variables, jnp.asarray(places), times, key)).reshape(len(axis), -1)
    path = np.asarray(self._generator.path(variables, samples.shape, key, 6, self._given(len(samples))))
    return {
      "log_likelihood": mean_density,
      "true_log_likelihood": truth,
      "likelihood_gap": truth - mean_density,
      "density": figures.densities(
        {"model": np.exp(logs), "truth": np.exp(mixture.log_density(places)).reshape(logs.shape)}, axis, samples
      ),
      "denoising": figures.point_clouds(path, 2.5),
    }

  def _given(self, count: int):
    return jnp.asarray(self._labels(count)) if self._classes else None

  def _sound(self, variables, key) -> dict[str, Any]:
    """A recording of every class to listen to, and its spectrogram."""
    samples = self._draw(self._generator, variables, self._labels(self._config.report.samples), key)[..., 0]
    labels, count = self._labels(len(samples)), min(len(samples), 10)
    sounds = sound.files(samples, labels, self._test.class_names, self._rate)
    real = self._test.inputs[sound.of_classes(self._test, labels[:count]), :, 0]
    return {**sounds, "spectrograms": figures.spectrograms({"samples": samples[:count], "recordings": real})}

  def _images(self, variables, key) -> dict[str, Any]:
    """Sample grid, strip, edits; the bound; distances to the training set."""
    report, results = self._config.report, {}
    columns = self._classes or None
    labels = self._labels(report.samples // (columns or 1) * (columns or 1) or report.samples)
    samples = self._draw(self._generator, variables, labels, key)
    results["samples"] = figures.image_grid(samples, columns=columns, title=f"{len(samples)} samples")
    path = self._generator.path(variables, (6, *self._shape), key, 9, self._given(6))
    strip = as_bytes(np.asarray(path)).swapaxes(0, 1).reshape(-1, *self._shape)
    results["denoising"] = figures.image_grid(strip, columns=9, title="from noise to image")
    chosen = measures.subset(len(self._test), report.edits, self._config.seed)
    for name, images in self._edits(variables, self._test.inputs[chosen], key).items():
      rows = np.concatenate(list(images)).reshape(-1, *self._shape)
      results[name] = figures.image_grid(rows, columns=len(chosen), title=EDITS[name])
    if report.bound_nodes:
      results["bits_per_dim"] = self._bound(variables, key)
    return results

  def _edits(self, variables, images: Pixels, key) -> dict[str, np.ndarray]:
    """Inpainting, super-resolution, image to image, each [row, image, ...]: what is given and what is made of it."""
    report, x = self._config.report, jnp.asarray(as_floats(images))
    ancestral = samplers.ancestral()
    options = {"spacing": self._config.sampler.spacing, "loop": self._config.sampler.loop}
    several = max(2 * self._config.sampler.steps, 2)
    keep = lambda given: samplers.keep(*given)
    inpaint = generation.generator(self._model, ancestral, several, constrain=keep, repeats=report.repeats, **options)
    mask = jnp.ones(self._shape).at[:, self._shape[1] // 2 :].set(0.0)
    enlarge = generation.generator(
      self._model, ancestral, several, constrain=lambda given: samplers.match_low_pass(given, report.factor), **options
    )
    painted, larger = (
      [generator.draw(variables, x.shape, jax.random.fold_in(key, i), None, given) for i in range(3)]
      for generator, given in ((inpaint, (x, mask)), (enlarge, x))
    )
    redrawn = [
      self._generator.redraw(variables, x, jax.random.fold_in(key, i), report.strength, self._given_class(len(x), i))
      for i in range(3)
    ]
    edits = {
      "inpainting": [x, jnp.where(mask > 0, x, 0.0), *painted],
      "super_resolution": [x, samplers.low_pass(x, report.factor), *larger],
      "image_to_image": [x, *redrawn],
    }
    return {name: as_bytes(np.stack(rows)) for name, rows in edits.items()}

  def _given_class(self, count: int, label: int):
    return jnp.full(count, label) if self._classes else None

  def _bound(self, variables, key) -> float:
    """Bits per dimension of the whole test set, without labels."""
    setup = lambda variables: (self._model.process(variables), self._model.denoiser(variables))
    bound = likelihood.variational_bound(setup, self._config.report.bound_nodes, loop=self._config.sampler.loop)
    pixels, keys = self._test.inputs, randomness.place_keys(key, np.arange(len(self._test)))
    of_batch = lambda rows, keys: bound(variables, jnp.asarray(as_floats(rows)), keys).total()
    nats = generative.batched(of_batch, self._config.data.eval_batch_size, pixels, keys)
    return float(likelihood.bits_per_dimension(nats, pixels[0].size).mean())

  def _measures(self, variables, last, key) -> dict[str, float]:
    """Distances of features, and whether samples are of their class; `last` are the parameters without average."""
    config, count = self._config, self._config.measure.samples
    judge = features.classifier(config.measure, config.data)
    against = features.reference(judge, self._train, self._test, config.seed)
    labels = measures.labels_like(self._train.label, count, config.seed) if self._classes else self._labels(count)
    begin = time.perf_counter()
    samples = judge.measure(self._draw(self._generator, variables, labels, key))
    seconds = time.perf_counter() - begin
    values = {**features.measures(against, samples), "seconds_per_1000_samples": 1000 * seconds / count}
    if self._classes:
      values["class_agreement"] = float((samples.labels == labels).mean())
    for other in config.report.compare:
      others = self._draw(self._other(other), last if other == "last" else variables, labels, key)
      distance = against.distance(judge.measure(others).features, min(count, len(self._test)))
      values[f"distance_of_{other.replace(':', '_')}"] = distance
    return {name: float(value) for name, value in values.items()}

  def _other(self, name: str) -> generation.Generator:
    """The sampler of an entry of `report.compare`: 'ddim:20', or 'last', which is the config's own."""
    if name == "last":
      return self._generator
    kind, _, number = name.partition(":")
    if not number.isdigit():
      raise UserError("config.report.compare", name, "write sampler:steps, such as ddim:20, or last.")
    sampler = self._config.sampler
    options = {key: sampler[key] for key in ("spacing", "guidance", "guidance_interval", "loop")}
    return generation.generator(self._model, samplers.by_name(kind), int(number), **options)

  def _augmentation(self, variables, key) -> dict[str, Any]:
    """A classifier's test accuracy with the labelled examples alone, and with samples beside them; some of both."""
    train, count = self._train, self._config.report.augment
    labels = self._labels(count)
    samples = self._draw(self._generator, variables, labels, randomness.stream_key(key, "augment"))
    together = np.concatenate([train.inputs, samples]), np.concatenate([train.label, labels])
    alone, both = self._accuracy(train.inputs, train.label), self._accuracy(*together)
    columns = self._classes or 8
    real = train.inputs[measures.subset(len(train), columns, self._config.seed)]
    images = np.concatenate([real, samples[: columns * 3]])
    title = f"training images, and samples below: accuracy {alone:.1%} without, {both:.1%} with these"
    figure = figures.image_grid(images, columns=columns, title=title)
    return {"accuracy_real": alone, "accuracy_with_samples": both, "augmentation": figure}

  def _accuracy(self, inputs: Pixels, label: np.ndarray) -> float:
    """Of the classifier of `report.augment_config`, trained on these and measured on the test set."""
    config = cli.load_config(self._config.report.augment_config)
    with tempfile.TemporaryDirectory() as folder:
      path, test = pathlib.Path(folder) / "examples.npz", self._test
      np.savez(path, train_inputs=inputs, train_label=label, test_inputs=test.inputs, test_label=test.label)
      with config.unlocked():
        config.data.update({"path": str(path), "validation": 0.0})
        config.train.duration = self._config.report.augment_duration
      executor, state = features.trained(config)
      return float(executor.evaluate(state, executor.experiment.test_data)["accuracy"])


EDITS = {
  "inpainting": "given, hidden, and three completions of the right half",
  "super_resolution": "given, its blocks, and three enlargements of them",
  "image_to_image": "given, and redrawn as three classes",
}


def as_bytes(x: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
  """Values from -1 to 1 as pixels."""
  return np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8)


def as_floats(pixels: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
  """Pixels as values from -1 to 1."""
  return pixels.astype(np.float32) / np.float32(127.5) - 1
