"""What a trained autoregressive model is used for: samples, completions, speech, music, compression, oddities."""

import flax.linen as nn
import jax
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from experiments.parts import elements, generative, oddities, sequential, sound
from research import randomness
from research.data import chorales, pipeline
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import chains, figures, music
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

  def __init__(self, config: ml_collections.ConfigDict, family, network: nn.Module, data: elements.Elements):
    self._config, self._family, self._data = config, family, data
    self._test, self._levels = data.parts.test, family.head.levels
    rows = min(config.report.steps, data.shape[0]) if data.kind == "voices" else data.shape[0]
    self._shape = (rows, *data.shape[1:])
    self._classes = data.num_classes if config.model.conditional else 0
    for field in ("completions", "coded"):
      if data.kind == "voices" and config.report[field]:
        raise UserError(f"config.report.{field}", config.report[field], "it is not for music: leave it at 0.")
    if config.report.oddities and (data.kind != "images" or self._classes):
      remedy = "only images are told, by models without labels: leave it at 0."
      raise UserError("config.report.oddities", config.report.oddities, remedy)
    self._model = sequential.model_of(network, family.head, self._shape, config.model.conditional)
    self._draw = sequential.drawer(self._model, self._shape, config.report.temperature)

  def report(self, state) -> Report:
    """Figures, sounds, music, and the length of a code."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "report")
    options = self._config.report
    labels = self._labels(options.samples)
    files, pictures = self._shown(self._draw(variables, labels, key), labels)
    metrics, definitions = {}, dict(DEFINITIONS)
    if options.completions:
      examples = self._spread(options.completions)
      rows = self._completions(variables, self._tokens(examples), examples.label, key)
      title = "given, hidden, and three completions of the lower half"
      pictures["completions"] = figures.image_grid(np.concatenate(rows), columns=len(examples), title=title)
    if options.coded:
      metrics |= self._coded(variables)
    if options.oddities:
      odd = oddities.report(lambda images: self._scores(state, images), self._spread(options.oddities).inputs)
      metrics, definitions = {**metrics, **odd.metrics}, {**definitions, **odd.definitions}
      pictures = {**pictures, **odd.figures}
    return Report(metrics, pictures, definitions, files)

  def predict(self, state, path: str) -> dict[str, np.ndarray | bytes]:
    """Samples; or of the images at `path` the log-likelihood, and what their lower halves could be."""
    variables, key = steps.variables_of(state), randomness.stream_key(state.key, "predict")
    if not path:
      labels = self._labels(self._config.report.samples)
      tokens = self._draw(variables, labels, key)
      if self._data.kind == "codes":
        return {"samples": self._images(tokens), "codes": tokens, "label": labels}
      files = self._music(tokens) if self._data.kind == "voices" else {}
      return {"samples": tokens, "label": labels, **files}
    if self._data.kind != "images" or self._classes:
      raise UserError("--input", path, "only images, without labels, are scored and completed: leave it out.")
    size = self._config.data.eval_batch_size
    dataset, names = generative.inputs_at(path, self._data.parts.test, size, pipeline.normalised())

    tokens = generative.over(dataset, lambda _, batch: family_lib.as_tokens(batch["inputs"], self._levels), state)
    logs = generative.over(dataset, self.log_likelihood, state)
    completed = self._completions(variables, tokens, np.zeros(len(tokens), np.int32), key)[2:]
    return {"log_likelihood": logs, "completions": np.stack(completed, 1), "input": names}

  def log_likelihood(self, state, batch) -> Float[Array, " batch"]:
    """Of each example, nats."""
    tokens = family_lib.as_tokens(batch["inputs"], self._levels)
    logs = self._family.log_prob(steps.variables_of(state), tokens, batch.get("label"))
    return family_lib.total(family_lib.within(batch, logs))

  def _scores(self, state, images: np.ndarray) -> np.ndarray:
    """Log-likelihoods of images of bytes, nats."""
    arrays = {"inputs": images, "label": np.zeros(len(images), np.int32)}
    dataset = pipeline.sequential(arrays, self._config.data.eval_batch_size, assemble=pipeline.normalised())
    return generative.over(dataset, self.log_likelihood, state)

  def _shown(self, tokens: np.ndarray, labels: np.ndarray):
    """Samples to be listened to, and as pictures."""
    match self._data.kind:
      case "sound":
        files, picture = self._sounds(tokens, labels)
        return files, {"spectrograms": picture}
      case "voices":
        piece = chorales.rolls_of(self._test.inputs[:1, : self._test.length[0]])[0][: self._shape[0]]
        rolls = [piece, *chorales.rolls_of(tokens[:3])]
        picture = chains.piano_rolls(rolls, ["of the test set", *["sample"] * (len(rolls) - 1)])
        return self._music(tokens), {"piano_rolls": picture}
    images = self._images(tokens)
    return {}, {"samples": figures.image_grid(images, columns=self._classes or None, title="samples")}

  def _music(self, tokens: np.ndarray) -> dict[str, bytes]:
    return {f"sample-{n}.mid": music.midi(roll) for n, roll in enumerate(chorales.rolls_of(tokens))}

  def _labels(self, count: int) -> np.ndarray:
    """Every class in turn."""
    return (np.arange(count) % max(self._classes, 1)).astype(np.int32)

  def _spread(self, count: int) -> Examples:
    """Test examples from all over the set."""
    return self._test.select(np.linspace(0, len(self._test) - 1, min(count, len(self._test))).round().astype(int))

  def _tokens(self, examples: Examples) -> np.ndarray:
    return self._data.tokens(examples, self._levels)

  def _images(self, tokens: np.ndarray) -> np.ndarray:
    if self._data.pictures is not None:
      return self._data.pictures(tokens)
    return sequential.as_inputs(tokens, self._levels)[..., None]

  def _completions(self, variables, tokens, label, key) -> list[np.ndarray]:
    """Images, their upper halves, and three drawings of the rest."""
    seen = np.zeros(tokens.shape, bool)
    seen[:, : self._shape[0] // 2] = True
    completions = [self._draw(variables, label, jax.random.fold_in(key, i), tokens, seen) for i in range(3)]
    images = self._images(tokens)
    hidden = np.where(np.arange(images.shape[1])[:, None, None] < images.shape[1] // 2, images, 0.5)
    return [images, hidden, *(self._images(t) for t in completions)]

  def _sounds(self, tokens: np.ndarray, labels: np.ndarray):
    """WAV files, and spectrograms beside recordings of the same classes."""
    waves, count = family_lib.mu_law_inverse(tokens, self._levels), min(len(tokens), 10)
    files = sound.files(waves, labels, self._test.class_names, self._data.rate)
    places = sound.of_classes(self._test, labels[:count])
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
