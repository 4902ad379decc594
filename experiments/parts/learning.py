"""From a config to a learner, by one gradient or by the game of two: durations, optimizers, schedule, average."""

from collections.abc import Callable
from typing import Any, Protocol

import ml_collections
import optax

from research.data.dataset import Dataset
from research.errors import UserError
from research.training import durations, game, optimizers, sparse, steps
from research.training.learner import Learner


class Family(Protocol):
  """What `steps.gradient_learner` asks of a family."""

  @property
  def init(self) -> Callable[..., Any]: ...

  @property
  def loss(self) -> Callable[..., Any]: ...

  @property
  def evaluate(self) -> Callable[..., Any]: ...


def duration(config: ml_collections.ConfigDict, train_data: Dataset, field: str = "duration") -> int:
  """`config.train.<field>` in steps; a percentage of any but `duration` is one of the whole run.

  Raises:
    UserError: it is no duration.
  """
  total = None if field == "duration" else duration(config, train_data)
  per_step = train_data.per_step
  return durations.steps(config.train[field], per_step=per_step, total_steps=total, field=f"config.train.{field}")


def optimizer(
  config: ml_collections.ConfigDict, train_data: Dataset, section: str = "optimizer"
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """The optimizer that `config.<section>` asks for, and its learning rate by step.

  Raises:
    UserError: an unknown field or value, by its name.
  """
  return optimizers.from_config(
    config[section].to_dict(),
    total_steps=duration(config, train_data),
    per_step=train_data.per_step,
  )


def row_optimizer(config: ml_collections.ConfigDict, train_data: Dataset) -> tuple[sparse.RowOptimizer, optax.Schedule]:
  """The optimizer of tables' rows that `config.optimizer` asks for, and its learning rate by step.

  That of `sgd` is the rate of one example's gradient, summed over the batch: where a family's loss is a mean over rows,
  so many times its gradient.

  Raises:
    UserError: no such optimizer or schedule.
  """
  section, total = config.optimizer, duration(config, train_data)
  warmup = durations.steps(
    section.warmup, per_step=train_data.per_step, total_steps=total, field="config.optimizer.warmup"
  )
  schedule = optimizers.schedule(
    section.schedule,
    learning_rate=section.learning_rate,
    total_steps=total,
    warmup_steps=warmup,
    final_fraction=section.final_fraction,
  )
  match section.name:
    case "sgd":
      return sparse.sgd(lambda step: schedule(step) * train_data.batch_size, scattered=True), schedule
    case "adagrad":
      return sparse.adagrad(schedule), schedule
    case "adam":
      return sparse.lazy_adam(schedule), schedule
  raise UserError("config.optimizer.name", section.name, "choose sgd, adagrad or adam.")


def gradient_learner(
  config: ml_collections.ConfigDict,
  family: Family | Any,
  train_data: Dataset,
  *,
  init: Callable | None = None,
  evaluate: Callable | None = None,
  init_carry: Callable | None = None,
) -> Learner:
  """The gradient of a family's loss, as `config.optimizer` and `config.train` have it.

  Args:
    config: with the fields of `configs.common.base`.
    family: its `init`, `loss` and `evaluate` are those of `steps.gradient_learner`.
    train_data: what durations in epochs and examples refer to.
    init, evaluate: in place of the family's.
    init_carry: of a family whose rows go on from batch to batch.

  Raises:
    UserError: a duration, an optimizer or a schedule that there is not.
  """
  transformation, schedule = optimizer(config, train_data)
  return steps.gradient_learner(
    init=init or family.init,
    loss=family.loss,
    evaluate=evaluate or family.evaluate,
    optimizer=transformation,
    schedule=schedule,
    ema_decay=config.train.ema_decay,
    accumulate=config.train.accumulate,
    init_carry=init_carry,
  )


def game_learner(
  config: ml_collections.ConfigDict, family: Any, train_data: Dataset, *, critic_steps: int = 1
) -> Learner:
  """The game of a family's two players, as `config.optimizer`, `config.critic_optimizer` and `config.train` have it.

  Args:
    config: with the fields of `configs.common.base`, and `critic_optimizer`.
    family: `init`, `generate`, `critic_loss`, `generator_loss` and `evaluate` are those of `game.game_learner`.
    train_data: what durations in epochs and examples refer to.
    critic_steps: of an update.

  Raises:
    UserError: a duration, an optimizer or a schedule that there is not.
  """
  generator_optimizer, schedule = optimizer(config, train_data)
  critic_optimizer, _ = optimizer(config, train_data, "critic_optimizer")
  return game.game_learner(
    init=family.init,
    generate=family.generate,
    critic_loss=family.critic_loss,
    generator_loss=family.generator_loss,
    evaluate=family.evaluate,
    generator_optimizer=generator_optimizer,
    critic_optimizer=critic_optimizer,
    schedule=schedule,
    critic_steps=critic_steps,
    ema_decay=config.train.ema_decay,
  )
