"""Pictures from captions: an Experiment, what it paints, and how much of it is as the captions say.

A diffusion transformer whose blocks attend to the caption, which a Transformer's encoder reads, with guidance against
no caption (Ho & Salimans 2021; cross-attention as Rombach et al. 2022, sec. 3.3).
"""

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float, Int

from experiments.command.opened import Run
from experiments.parts import as_files, fields, generative, language, learning, placed, splits
from research import randomness
from research.data import captions, pipeline, remembered
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import captions as judged
from research.evaluation import figures, segments
from research.evaluation.detection import Objects
from research.families.diffusion import generation
from research.families.diffusion import model as family_lib
from research.networks.dit import DiT
from research.text.tokenizers import Words
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report

OUTCOMES = ("objects", "colours", "relation", "all")
DEFINITIONS = {
  "seen_<outcome>": "share of captions of pairs that were learnt from in whose picture the detector of `measure` tells "
  "the two digits; these in their colours; these where the caption has them; all of it",
  "unseen_<outcome>": "the same of captions in each of which one pair of a digit and a colour was in none learnt from",
  "judge_<outcome>": "the same of true scenes with their captions: what the detector itself gets right",
}


class Data(NamedTuple):
  """Batches; of scenes alone, those of captions with a pair that was held out; the tokenizer; a caption's length."""

  sets: splits.Splits[Dataset]
  unseen: Dataset | None
  tokenizer: Words
  length: int


def experiment(config: ml_collections.ConfigDict, generator: Callable[..., generation.Generator]) -> Experiment:
  """A painter of scenes, or of what one's own captions tell; `generator(config.sampler, family)` draws."""
  data, model, size = load(config), config.model, config.scene.size
  options = {name: model[name] for name in ("features", "depth", "heads", "patch", "window", "reader_depth", "dropout")}
  vocabulary = captions.FIRST + data.tokenizer.size
  family = family_lib.diffusion(
    DiT(**options, vocabulary=vocabulary, dtype=precision.dtype(config.train.precision)),
    model.process,
    predicts=model.predicts,
    weighting=config.train.weighting,
    times=config.train.times,
    data_std=model.data_std,
    label_dropout=config.train.label_dropout,
    without=jnp.full(data.length, captions.PAD).at[0].set(captions.BEGIN),
  )
  painter = Painter(config, generator(config.sampler, family), data)
  return Experiment(
    learner=learning.gradient_learner(config, family, data.sets.train),
    train_data=data.sets.train,
    eval_data=data.sets.validation,
    test_data=data.sets.test,
    report=painter.report,
    predict=painter.predictions,
    sample=lambda state: painter.predictions(state, ""),
    as_file=as_files.lines,
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, index: painter.of_keys(state, inputs["caption"], jax.vmap(jax.random.key)(inputs["seed"])),
      {"caption": np.zeros((1, data.length), np.int32), "seed": np.zeros(1, np.int32)},
      {"size": size, "words": list(data.tokenizer.vocabulary), "first": captions.FIRST},
    ),
  )


def load(config: ml_collections.ConfigDict) -> Data:
  """Scenes of digits, or one's own images and captions.

  Raises:
    UserError: no such set, or no such scenes.
  """
  data, size = config.data, config.scene.size
  if placed.is_own(data, "captioned", captions.at(data.path)):
    fields.refuse_unread(data, {"path", "validation"})
    parts = remembered.data("captioned", lambda: splits.Splits(*captions.load(data.path, size, data.validation)))
    sets = splits.datasets(parts, config, pipeline.normalised(0.5, 0.5))
    validation, test = sets.validation and generative.identified(sets.validation), generative.identified(sets.test)
    return Data(splits.Splits(sets.train, validation, test), None, parts.train.tokenizer, parts.train.label.shape[1])
  style, parts = placed.style(config), placed.digits(data, captions.KINDS)
  if style.sides[1] > size / 2:
    raise UserError("config.scene.sides", style.sides, f"two objects must fit side by side: at most {size / 2:g}.")
  make = lambda part, size, **options: captions.dataset(part, style, size, **options)
  unseen = make(parts.test, data.eval_batch_size, seed=0, count=data.scenes, name="unseen", unseen=True)
  sets = splits.procedural(parts, config, data.scenes, make)
  return Data(sets, unseen, captions.SCENES, captions.LENGTH)


@dataclasses.dataclass(frozen=True)
class Painter:
  """A diffusion of images with what it takes to paint by captions.

  Attributes:
    config: with the sections `scene`, `data`, `report` and `measure`.
    generator: of its family.
    data: see there.
  """

  config: ml_collections.ConfigDict
  generator: generation.Generator
  data: Data

  def of_keys(self, state, tokens, keys) -> Float[Any, "image size size 3"]:
    """Images from 0 to 1, one a caption and key."""
    size = self.config.scene.size
    x = self.generator.draw(steps.variables_of(state), (len(tokens), size, size, 3), keys, tokens)
    return jnp.clip((x + 1) / 2, 0, 1)

  def painted(self, state, tokens: Int[np.ndarray, "caption token"], stream: str) -> Float[np.ndarray, "..."]:
    """Images of captions, `eval_batch_size` at a time, each with a key of its own."""
    keys = randomness.place_keys(randomness.stream_key(state.key, stream), np.arange(len(tokens)))
    rows = min(self.config.data.eval_batch_size, len(tokens))
    return generative.batched(lambda tokens, keys: self.of_keys(state, tokens, keys), rows, jnp.asarray(tokens), keys)

  def text(self, tokens) -> str:
    """A caption in words."""
    return self.data.tokenizer.decode(int(t) - captions.FIRST for t in tokens if t >= captions.FIRST)

  def predictions(self, state, source: str) -> dict[str, Any]:
    """A picture of each caption, a line each of a file or of the text itself; without any, of captions of the test set.

    Raises:
      UserError: a caption that is too long, or has a word that was not learnt.
    """
    if source:
      tokens = captions.encoded(language.prompts(source), self.data.tokenizer, self.data.length, "--input")
    else:
      tokens = batch_of(self.data.sets.test, 0)["label"][: self.config.report.samples]
    pixels = np.round(255 * self.painted(state, tokens, "predict")).astype(np.uint8)
    files = {f"{i:04d}.png": segments.png(image) for i, image in enumerate(pixels)}
    return {"samples": pixels, "caption": np.asarray([self.text(row) for row in tokens]), **files}

  def report(self, state) -> Report:
    """Pictures under their captions, then some of captions with a pair that was held out; shares that are right."""
    parts = {"seen": self.data.sets.test} | ({"unseen": self.data.unseen} if self.data.unseen else {})
    tokens = np.concatenate([batch_of(part, 0)["label"][: self.config.report.samples] for part in parts.values()])
    names = ["\n".join(textwrap.wrap(self.text(row), 18)) for row in tokens]
    figure = figures.image_grid(self.painted(state, tokens, "report"), names, title=f"captions: {', '.join(parts)}")
    return Report(self.measured(state), {"captions": figure}, self.definitions)

  @property
  def definitions(self) -> dict[str, str]:
    """Of what is measured."""
    parts = ("seen", "unseen", "judge")
    return {f"{part}_{name}": DEFINITIONS[f"{part}_<outcome>"] for part in parts for name in OUTCOMES}

  def measured(self, state) -> dict[str, float]:
    """Shares of what is as captions say; nothing without a detector, or of one's own captions."""
    folder, unseen = self.config.measure.detector, self.data.unseen
    if not folder or unseen is None:
      return {}
    judge, metrics = Judge(Run(folder), self.config.measure.score), {}
    for part, which in (("seen", self.data.sets.test), ("unseen", unseen), ("judge", self.data.sets.test)):
      right: list[dict[str, bool]] = []
      for step in range(which.num_batches):
        batch = batch_of(which, step)
        true, stream = part == "judge", f"measure {part} {step}"
        images = (batch["inputs"] + 1) / 2 if true else self.painted(state, batch["label"], stream)
        right += [outcome for outcome, kept in zip(judge.outcomes(images, batch), batch["mask"]) if kept]
      metrics |= {f"{part}_{name}": float(np.mean([outcome[name] for outcome in right])) for name in OUTCOMES}
    return metrics


@dataclasses.dataclass(frozen=True)
class Judge:
  """A detector that was trained on scenes by `experiments.detection`.

  Attributes:
    run: of it.
    score: from which on a detection counts.
  """

  run: Run
  score: float

  def outcomes(self, images, batch) -> list[dict[str, bool]]:
    """Of each image what is as its caption says."""
    program = self.run.experiment.program
    assert program is not None
    told = jax.device_get(program.call(self.run.state, {"inputs": jnp.asarray(images)}, np.arange(len(images))))
    outcomes = []
    for i, image in enumerate(np.asarray(images)):
      sure = told["score"][i] > self.score
      objects = Objects(told["boxes"][i][sure], told["label"][i][sure], told["score"][i][sure])
      caption = {name: batch[name][i] for name in ("digit", "colour", "relation")}
      outcomes.append(judged.true_of(image, objects, caption))
    return outcomes


def batch_of(data: Dataset, step: int) -> dict[str, np.ndarray]:
  """One of a set's batches, on the host."""
  return jax.device_get(jax.jit(data.assemble)(dict(data.resident), data.feed(step)))
