"""Image to image translation: CycleGAN, of two domains without pairs; pix2pix, of pairs.

  python -m experiments.style                                       digits to slanted ones, embedded: two minutes
  python -m experiments.style --config=configs/style/mnist.py --config.data.data_dir=...
  python -m experiments.style --config=configs/style/edges.py --config.data.data_dir=...     pix2pix: edges to digits
  python -m experiments.style --config=configs/style/own.py --config.data.path=folder     A/ and B/; own.py:pairs
  python -m experiments.style --mode=predict --workdir=... --input=my_images/ --config.report.direction=to_a

Zhu et al. 2017; Isola et al. 2017: `research/families/image_translation.py`, a game of two.
"""

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, generative, learning, splits
from experiments.reports import style as style_report
from experiments.reports.style import Data
from research.data import domains as domains_lib
from research.data import raw, remembered
from research.errors import UserError
from research.families import image_translation as family_lib
from research.networks import image_translation as networks
from research.training import game, precision
from research.training.experiment import Experiment, Program

DEFAULT = "configs/style/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """Translators and their critics, their optimizers, and images of both domains."""
  data = load(config)
  channels = data.parts.train.a.inputs.shape[-1], data.parts.train.b.inputs.shape[-1]
  family = translation(config, channels[0], data.known)
  check_direction(config.report.direction, family.directions)
  learner = learning.game_learner(config, family, data.sets.train)
  translator = lambda state: style_report.Translator(family, state)
  direction, size = config.report.direction, config.domains.size
  return Experiment(
    learner=learner,
    train_data=data.sets.train,
    eval_data=data.sets.validation,
    test_data=data.sets.test,
    report=lambda state: style_report.report(translator(state), data, config),
    predict=lambda state, path: style_report.predictions(translator(state), path, data, direction),
    definitions=family.definitions,
    program=Program(
      lambda state, inputs, _: {
        "images": (family.translate(game.generator_of(state), direction, 2 * inputs["inputs"] - 1) + 1) / 2
      },
      {"inputs": np.zeros((1, size, size, channels[0]), np.float32)},
    ),
  )


def translation(config: ml_collections.ConfigDict, channels: int, known: bool) -> family_lib.Translation:
  """The game that `config.model` names.

  Args:
    config: of the run.
    channels: of an image.
    known: whether in what is measured the rows of both domains are pairs.
  """
  model, dtype = config.model, precision.dtype(config.train.precision)
  critic = networks.PatchCritic(tuple(model.critic_widths), dtype)
  match model.name:
    case "pix2pix":
      section = model.pix2pix
      generator = networks.UNetGenerator(tuple(section.widths), channels, dtype)
      return family_lib.pix2pix(generator, critic, reconstruction=section.reconstruction, loss=section.loss)
    case "cyclegan":
      section = model.cyclegan
      generator = networks.ResNetGenerator(tuple(section.widths), section.blocks, channels, dtype)
      weights = {"cycle": section.cycle, "identity": section.identity}
      return family_lib.cycle_gan(generator, critic, **weights, loss=section.loss, known=known)
  raise UserError("config.model.name", model.name, "choose cyclegan (without pairs) or pix2pix (with).")


def load(config: ml_collections.ConfigDict) -> Data:
  """Both domains, made of digits, none of which is in two of train, validation and test; or one's own.

  Raises:
    UserError: no such set or look, or folders that are not as they are to be.
  """
  data, scene, paired = config.data, config.domains, config.model.name == "pix2pix"
  if data.path or data.name == raw.OWN:
    fields.refuse_unread(data, {"path", "validation", "channels"}, "a folder of two domains")
    own = lambda: splits.Splits(*domains_lib.own(data.path, scene.size, data.channels or 3, data.validation, paired))
    parts, known = remembered.data("domains", own), paired
  else:
    look = lambda part, paired: domains_lib.made(part, (scene.a, scene.b), scene.size, scene.margin, paired)
    examples = generative.load_pixels(data)
    parts = examples.map(lambda part: look(part, True))._replace(train=look(examples.train, paired))
    known = True
  measured = lambda part: domains_lib.measured(part, data.eval_batch_size)
  train = domains_lib.training(parts.train, config.train.batch_size, config.seed)
  return Data(parts.map(measured)._replace(train=train), parts, known)


def check_direction(direction: str, directions: tuple[str, ...]) -> None:
  """Raises UserError where nothing translates so."""
  if direction not in directions:
    raise UserError("config.report.direction", direction, f"this model translates {' or '.join(directions)} alone.")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
