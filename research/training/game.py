"""The step of two players: a generator, and the critic that it plays against (Goodfellow et al. 2014, algorithm 1)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from research import axes, randomness
from research.errors import UserError
from research.metrics import Mean
from research.training import learner as learner_lib
from research.training import steps

Variables = Mapping[str, Any]
_WATCHED = ("critic_loss", "critic_grad_norm", "generator_loss", "generator_grad_norm")
Score = tuple[Mean, tuple[Mapping[str, Mean], Mapping[str, Any]]]


@struct.dataclass
class Player:
  """One of the two.

  Attributes:
    params: what its optimizer moves.
    mutable: Flax's other collections: running statistics, the vectors of spectral normalisation.
    opt_state: Optax's.
  """

  params: Any
  mutable: Any
  opt_state: Any

  @property
  def variables(self) -> dict[str, Any]:
    """Flax's collections."""
    return {"params": self.params, **self.mutable}


@struct.dataclass
class GameState(learner_lib.State):
  """State of a game.

  Attributes:
    generator, critic: the players.
    ema: exponential moving average of the generator's `params` and `mutable`; None without.
  """

  generator: Player
  critic: Player
  ema: Any


def generator_of(state: GameState) -> dict[str, Any]:
  """The generator's variables to sample with: the moving average where there is one."""
  if state.ema is not None:
    return {"params": state.ema["params"], **state.ema["mutable"]}
  return state.generator.variables


def game_learner(
  *,
  init: Callable[[jax.Array, Any], tuple[Variables, Variables]],
  generate: Callable[[Variables, Any, jax.Array], tuple[Any, Mapping[str, Any]]],
  critic_loss: Callable[[Variables, Any, Any, jax.Array], Score],
  generator_loss: Callable[[Variables, Any, Any, jax.Array], Score],
  evaluate: Callable[[Variables, Variables, Any], Mapping[str, Mean]],
  generator_optimizer: optax.GradientTransformation,
  critic_optimizer: optax.GradientTransformation,
  schedule: Callable | None = None,
  critic_steps: int = 1,
  ema_decay: float = 0.0,
) -> learner_lib.Learner:
  """A learner of two players with a loss and an optimizer each.

  One update is `critic_steps` steps of the critic, then one of the generator.  A batch is divided among the critic's
  steps, so each sees real examples and noise that no other has seen, and an epoch remains one pass over the data.  The
  generator answers on the noise of the last of them: it has not moved since, so the examples that the critic has just
  been shown are the ones it would make, and one forward pass is saved, as implementations of DCGAN do.

  Args:
    init: `init(key, batch) -> (generator, critic)`, Flax's collections of both.
    generate: `generate(generator, batch, key) -> (fake, mutated)`: one made example for each of the batch, and what the
      pass changed in the generator's collections.
    critic_loss: `critic_loss(critic, batch, fake, key) -> (loss, (metrics, mutated))`, the loss as a (sum over
      examples, count) pair and the critic's changed collections.
    generator_loss: the same for the generator, by the critic's judgement of `fake`; `mutated` is again the critic's.
    evaluate: `evaluate(generator, critic, batch) -> metrics`.
    generator_optimizer, critic_optimizer: Optax transformations.
    schedule: the generator's learning rate by step, logged only.
    critic_steps: critic steps per update.
    ema_decay: decay of the generator's moving average, 0 for none; it warms up as (1 + t) / (10 + t).

  Gradients are those of global means, as in `steps.gradient_learner`.  A player whose loss or gradient is not finite
  stays as it was, and an update in which that happened counts itself in `skipped`.
  """
  if critic_steps < 1:
    raise UserError("config.train.critic_steps", critic_steps, "give 1 or more.")

  def init_state(key, batch):
    generator, critic = init(randomness.stream_key(key, "init"), batch)
    one = _player(generator, generator_optimizer)
    ema = {"params": one.params, "mutable": one.mutable} if ema_decay else None
    return GameState.create(key, generator=one, critic=_player(critic, critic_optimizer), ema=ema)

  def update(state, batch):
    key = randomness.stream_key(state.key, "game", state.step)
    generator, critic, finite, metrics = state.generator, state.critic, jnp.asarray(True), {}
    # Not a scan: XLA's CPU backend runs convolutions several times slower in a loop.
    for i, part in enumerate(_parts(batch, critic_steps)):
      step_key = jax.random.fold_in(key, i)
      fake, pull_back, generator = _make(generate, generator, part, step_key)
      critic, metrics, fine = _critic_step(critic_loss, critic, (part, fake, step_key), critic_optimizer)
      finite &= fine
    answer = lambda fake: generator_loss(critic.variables, part, fake, step_key)
    new, mutable, ema, more, fine = _generator_step(
      answer, fake, pull_back, state, generator.mutable, critic.mutable, generator_optimizer, ema_decay
    )
    finite &= fine
    critic = Player(critic.params, mutable, critic.opt_state)
    if schedule is not None:
      more["learning_rate"] = Mean.constant(schedule(state.step))
    skipped = state.skipped + ~finite
    state = state.replace(step=state.step + 1, skipped=skipped, generator=new, critic=critic, ema=ema)
    return state, {**metrics, **more}

  def evaluate_state(state, batch):
    return evaluate(generator_of(state), state.critic.variables, batch)

  return learner_lib.Learner(init_state, update, evaluate_state, watched=_WATCHED)


def _player(variables, optimizer) -> Player:
  mutable = dict(variables)
  params = mutable.pop("params")
  return Player(params, mutable, optimizer.init(params))


def _parts(batch, count: int) -> list[Any]:
  """The batch in `count` equal parts, every `count`-th example to one: the same parts on any number of devices."""
  rows = len(jax.tree.leaves(batch)[0])
  if rows % count:
    remedy = f"it must divide the {rows} examples that each device has of a batch."
    raise UserError("config.train.critic_steps", count, remedy)
  return [jax.tree.map(lambda x, i=i: x[i::count], batch) for i in range(count)]


def _make(generate, generator: Player, batch, key):
  """Made examples, the pull-back of their gradient to the parameters, and the generator with what the pass changed."""
  pass_of = lambda params: generate({"params": params, **generator.mutable}, batch, key)
  fake, pull_back, mutated = jax.vjp(pass_of, generator.params, has_aux=True)
  return fake, pull_back, Player(generator.params, {**generator.mutable, **mutated}, generator.opt_state)


def _critic_step(critic_loss, critic: Player, played, optimizer):
  """The critic after one step, its metrics, and whether the step was finite."""

  def total_loss(params):
    mean, (metrics, mutated) = critic_loss({"params": params, **critic.mutable}, *played)
    return mean.total, (mean, metrics, mutated)

  grads, (mean, metrics, mutated) = jax.grad(total_loss, has_aux=True)(critic.params)
  loss, grads, norm, counted = _global(mean, grads)
  finite = jnp.isfinite(loss) & jnp.isfinite(norm)

  def learn(old: Player) -> Player:
    updates, opt_state = optimizer.update(grads, old.opt_state, old.params)
    return Player(optax.apply_updates(old.params, updates), {**old.mutable, **mutated}, opt_state)

  logged = {"critic_loss": Mean.where(counted, loss), "critic_grad_norm": Mean.where(counted, norm), **metrics}
  return steps.learn_if(finite & counted, learn, critic), logged, finite


def _generator_step(answer, fake, pull_back, state: GameState, mutable, critic_mutable, optimizer, ema_decay):
  """The generator, the critic's collections and the average after one step; metrics; whether it was finite."""

  def total_loss(fake):
    mean, (metrics, mutated) = answer(fake)
    return mean.total, (mean, metrics, mutated)

  to_fake, (mean, metrics, mutated) = jax.grad(total_loss, has_aux=True)(fake)
  loss, grads, norm, counted = _global(mean, pull_back(to_fake)[0])
  finite = jnp.isfinite(loss) & jnp.isfinite(norm)

  def learn(old):
    player, critic, ema = old
    updates, opt_state = optimizer.update(grads, player.opt_state, player.params)
    params = optax.apply_updates(player.params, updates)
    if ema_decay:
      ema = steps.moving_average(ema, {"params": params, "mutable": mutable}, ema_decay, state.step)
    return Player(params, mutable, opt_state), {**critic, **mutated}, ema

  new, critic, ema = steps.learn_if(finite & counted, learn, (state.generator, critic_mutable, state.ema))
  logged = {"generator_loss": Mean.where(counted, loss), "generator_grad_norm": Mean.where(counted, norm), **metrics}
  return new, critic, ema, logged, finite


def _global(mean: Mean, grads):
  """Loss, gradient and its norm of the mean over all devices, from the sums of this one; whether anything counted."""
  mean, grads = axes.psum((mean, grads))
  counted = mean.count > 0
  weight = 1 / jnp.where(counted, mean.count, 1)
  grads = jax.tree.map(lambda g: (g * weight).astype(g.dtype), grads)
  return mean.total * weight, grads, steps.global_norm(grads), counted
