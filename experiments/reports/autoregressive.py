"""What a trained autoregressive model is used for: samples, completions, speech, compression."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from experiments.parts import generative, sequential, sound
from research import randomness
from research.data import pipeline, spoken_digits
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import figures
from research.families import autoregressive as family_lib
from research.training import steps
from research.training.experiment import Report

DEFINITIONS = {
  "coded_bits_per_dim": "length of the arithmetic code of config.report.coded test examples, all in one; "
  "bits an element",
  "coded_model_bits_per_dim": "what the model's probabilities say that these examples take; bits an element",
  "coded_exactly": "share of those examples that the decoder gives back as they were",
}


class Use:
  """A model in use: `report(state)` and `predict(state, path)` of the experiment."""

  def __init__(self, config: ml_collections.ConfigDict, family, network: nn.Module, test: Examples):
    self._config, self._family, self._test = config, family, test
    self._shape, self._levels = test.inputs.shape[1:-1], family.head.levels
    self._is_sound = len(self._shape) == 1
    self._classes = test.num_classes if config.model.conditional else 0
    self._model = sequential.model_of(network, family.head, self._shape, config.model.conditional)
    self._draw = sequential.drawer(self._model, self._shape, config.report.temperature)

  def report(self, state) -> Report:
    """Figures, sounds, and the length of a code."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "report")
    labels = self._labels(self._config.report.samples)
    tokens = self._draw(variables, labels, key)
    pictures, files = {}, {}
    if self._is_sound:
      files, pictures["spectrograms"] = self._sounds(tokens, labels)
    else:
      pictures["samples"] = figures.image_grid(self._images(tokens), columns=self._classes or None, title="samples")
    if self._config.report.completions:
      examples = self._spread(self._config.report.completions)
      rows = self._completions(variables, self._tokens(examples), examples.label, key)
      title = "given, hidden, and three completions of the lower half"
      pictures["completions"] = figures.image_grid(np.concatenate(rows), columns=len(examples), title=title)
    return Report(self._coded(variables), pictures, DEFINITIONS, files)

  def predict(self, state, path: str) -> dict[str, np.ndarray]:
    """Samples; or of the images at `path` the log-likelihood, and what their lower halves could be."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "predict")
    if not path:
      labels = self._labels(self._config.report.samples)
      return {"samples": self._draw(variables, labels, key), "label": labels}
    if self._is_sound or self._classes:
      raise UserError("--input", path, "only images, without labels, are scored and completed: leave it out.")
    size = self._config.data.eval_batch_size
    dataset, names = generative.inputs_at(
      path, self._test.inputs.shape[1:], size, pipeline.normalised(), self._test.inputs.dtype
    )

    tokens = generative.over(dataset, lambda _, batch: family_lib.as_tokens(batch["inputs"], self._levels), state)
    logs = generative.over(dataset, self.log_likelihood, state)
    completed = self._completions(variables, tokens, np.zeros(len(tokens), np.int32), key)[2:]
    return {"log_likelihood": logs, "completions": np.stack(completed, 1), "input": names}

  def log_likelihood(self, state, batch) -> Float[Array, " batch"]:
    """Of each example, nats."""
    tokens = family_lib.as_tokens(batch["inputs"], self._levels)
    return family_lib.total(self._family.log_prob(steps.variables_of(state), tokens, batch["label"]))

  def _labels(self, count: int) -> np.ndarray:
    """Every class in turn."""
    return (np.arange(count) % max(self._classes, 1)).astype(np.int32)

  def _spread(self, count: int) -> Examples:
    """Test examples from all over the set."""
    return self._test.select(np.linspace(0, len(self._test) - 1, min(count, len(self._test))).round().astype(int))

  def _tokens(self, examples: Examples) -> np.ndarray:
    return np.asarray(family_lib.as_tokens(jnp.asarray(examples.inputs) / 255.0, self._levels))

  def _images(self, tokens: np.ndarray) -> np.ndarray:
    return sequential.as_inputs(tokens, self._levels)[..., None]

  def _completions(self, variables, tokens, label, key) -> list[np.ndarray]:
    """Images, their upper halves, and three drawings of the rest."""
    seen = np.zeros(tokens.shape, bool)
    seen[:, : self._shape[0] // 2] = True
    completions = [self._draw(variables, label, jax.random.fold_in(key, i), tokens, seen) for i in range(3)]
    hidden = np.where(seen[..., None], self._images(tokens), 0.5)
    return [self._images(tokens), hidden, *(self._images(t) for t in completions)]

  def _sounds(self, tokens: np.ndarray, labels: np.ndarray):
    """WAV files, and spectrograms beside recordings of the same digits."""
    waves = family_lib.mu_law_inverse(tokens, self._levels)
    files = {
      f"digit_{label}_{i}.wav": sound.wav(wave, spoken_digits.RATE)
      for i, (label, wave) in enumerate(zip(labels, waves))
    }
    count = min(len(waves), 10)
    places = [np.flatnonzero(self._test.label == label)[0] for label in labels[:count]]
    real = family_lib.mu_law_inverse(self._test.inputs[places, :, 0], self._levels)
    return files, figures.spectrograms({"samples": waves[:count], "recordings": real})

  def _coded(self, variables) -> dict[str, float]:
    """Compression of test examples, there and back."""
    chosen = self._spread(self._config.report.coded)
    tokens, compressor = self._tokens(chosen), sequential.Compressor(self._model, self._shape)
    code, bits = compressor.encode(variables, tokens, chosen.label)
    back = compressor.decode(variables, code, chosen.label)
    return {
      "coded_bits_per_dim": 8 * len(code) / tokens.size,
      "coded_model_bits_per_dim": bits / tokens.size,
      "coded_exactly": float((back == tokens).reshape(len(tokens), -1).all(1).mean()),
    }
