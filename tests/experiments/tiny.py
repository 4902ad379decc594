"""The smallest experiment there is, for the command line and the run: logistic regression on made-up points.

`python -m tests.experiments.tiny --config=FILE --workdir=...`, FILE as `CONFIG` below.
"""

import time

import flax.linen as nn
import ml_collections
import numpy as np
import optax

from experiments.command import cli
from research.data import pipeline
from research.families import classifier
from research.training import steps
from research.training.experiment import Experiment, Program, Report

CONFIG = """
import ml_collections
from configs import common

def get_config(variant=""):
  if variant not in ("", "short"):
    raise ValueError(f"config variant {variant!r}: there is short")
  config = common.base()
  config.model = ml_collections.ConfigDict({"width": 8, "scale": 1.0, "bias": True})
  config.data.delay = 0.0
  config.train.update({"batch_size": 16, "duration": "12 steps" if variant else "60 steps"})
  config.optimizer.learning_rate = 1e-2
  config.run.update({"eval_every": "20 steps", "save_every": "10 steps", "log_every": "5 steps"})
  config.published = {"test_accuracy": {"value": 1.0, "source": "nobody"}}
  config.bars = {"test_accuracy": {"min": 0.5}}
  return config
"""


class Net(nn.Module):
  width: int

  @nn.compact
  def __call__(self, x, train=False):
    del train
    return nn.Dense(3)(nn.tanh(nn.Dense(self.width)(x)))


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  rng = np.random.default_rng(0)
  x = rng.normal(size=(96, 4)).astype(np.float32)
  label = (x @ rng.normal(size=(4, 3))).argmax(-1).astype(np.int32)
  with np.errstate(over="ignore"):  # a test asks for inputs that are not finite
    arrays = {"inputs": np.float32(config.model.scale) * x, "label": label}
  family = classifier.classifier(Net(config.model.width))
  learner = steps.gradient_learner(
    init=family.init,
    loss=family.loss,
    evaluate=family.evaluate,
    optimizer=optax.adam(config.optimizer.learning_rate),
    ema_decay=0.9,
  )
  train = pipeline.shuffled(arrays, config.train.batch_size, seed=config.seed, assemble=slowly(config.data.delay))
  test = pipeline.sequential(arrays, 32)
  logits = lambda state, batch: family.log_probabilities(steps.variables_of(state), batch["inputs"])
  return Experiment(
    learner,
    train,
    test,
    test,
    report=lambda state: Report({"norm": 1.0}),
    definitions={"loss": "nats"},
    program=Program.of_batches(logits, test),
  )


def slowly(seconds: float):
  """Rows, made to take a while on the device's side of things, so that a signal finds the run at work."""

  def assemble(resident, fed):
    import jax

    batch = pipeline.rows(resident, fed)
    if seconds:
      wait = lambda: np.float32(time.sleep(seconds) or 0)
      nothing = jax.pure_callback(wait, jax.ShapeDtypeStruct((), np.float32))
      batch["mask"] = batch["mask"] + nothing
    return batch

  return assemble


if __name__ == "__main__":
  cli.main(experiment, "configs/none.py")
