"""The step that most families share: the gradient of one loss."""

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

Variables = Mapping[str, Any]


@struct.dataclass
class GradientState(learner_lib.State):
  """State of a learner by gradient.

  Attributes:
    params: what the optimizer moves.
    mutable: Flax's other collections, such as `batch_stats`.
    opt_state: Optax's.
    ema: exponential moving average of `params` and `mutable`; None without.
  """

  params: Any
  mutable: Any
  opt_state: Any
  ema: Any


def variables_of(state: GradientState) -> dict[str, Any]:
  """The Flax variables to evaluate with: the moving average where there is one."""
  if state.ema is not None:
    return {"params": state.ema["params"], **state.ema["mutable"]}
  return {"params": state.params, **state.mutable}


def gradient_learner(
  *,
  init: Callable[[jax.Array, Any], Variables],
  loss: Callable[[Variables, Any, jax.Array], tuple[Mean, tuple[Mapping[str, Mean], Mapping[str, Any]]]],
  evaluate: Callable[[Variables, Any], Mapping[str, Mean]],
  optimizer: optax.GradientTransformation,
  schedule: Callable | None = None,
  ema_decay: float = 0.0,
  accumulate: int = 1,
) -> learner_lib.Learner:
  """A learner that follows the gradient of one loss.

  Args:
    init: `init(key, batch) -> variables`, Flax's collections.
    loss: `loss(variables, batch, key) -> (loss, (metrics, mutated))`: the loss as a (sum over examples, count) pair,
      and the collections that the forward pass changed.
    evaluate: `evaluate(variables, batch) -> metrics`.
    optimizer: an Optax transformation; clipping and weight decay belong to it.
    schedule: learning rate by step, logged only.
    ema_decay: decay of the moving average that evaluation uses, 0 for none; it warms up as (1 + t) / (10 + t).
    accumulate: micro-batches per update, whose gradients are summed before the optimizer's step.

  The gradient is that of the *global* mean: sums and counts are psum-ed apart, after `grad`, and divided once.  So
  masks may differ between devices, and nothing is differentiated through a collective.  An update whose loss or
  gradient is not finite leaves parameters, optimizer and averages as they were.
  """

  def init_state(key, batch):
    variables = dict(init(randomness.stream_key(key, "init"), batch))
    params = variables.pop("params")
    ema = {"params": params, "mutable": variables} if ema_decay else None
    return GradientState.create(key, params=params, mutable=variables, opt_state=optimizer.init(params), ema=ema)

  def update(state, batch):
    key = randomness.stream_key(state.key, "loss", state.step)
    total, grads, metrics, mutable = _gradients(loss, state, batch, key, accumulate)
    total, summed = axes.psum((total, grads))
    weight = 1 / total.count
    grad_norm = global_norm(summed) * weight
    finite = jnp.isfinite(total.value()) & jnp.isfinite(grad_norm)

    def learn(old):
      grads = jax.tree.map(lambda g: (g * weight).astype(g.dtype), summed)
      updates, opt_state = optimizer.update(grads, old["opt_state"], old["params"])
      params = optax.apply_updates(old["params"], updates)
      ema = (
        moving_average(old["ema"], {"params": params, "mutable": mutable}, ema_decay, state.step) if ema_decay else None
      )
      return {"params": params, "mutable": mutable, "opt_state": opt_state, "ema": ema}

    learned = learn_if(
      finite, learn, {name: getattr(state, name) for name in ("params", "mutable", "opt_state", "ema")}
    )
    new = state.replace(step=state.step + 1, skipped=state.skipped + ~finite, **learned)
    logged = {"loss": Mean.constant(total.value()), **metrics, "grad_norm": Mean.constant(grad_norm)}
    if schedule is not None:
      logged["learning_rate"] = Mean.constant(schedule(state.step))
    return new, logged

  def evaluate_state(state, batch):
    return evaluate(variables_of(state), batch)

  return learner_lib.Learner(init_state, update, evaluate_state)


def _gradients(loss, state, batch, key, accumulate):
  """Sums over the local share: the loss pair, the gradient of its total, the metrics; and the mutated collections."""

  def total_loss(params, mutable, batch, key):
    mean, (metrics, mutated) = loss({"params": params, **mutable}, batch, key)
    return mean.total, (mean, metrics, {**mutable, **mutated})

  grad = jax.grad(total_loss, has_aux=True)
  if accumulate == 1:
    grads, (mean, metrics, mutable) = grad(state.params, state.mutable, batch, key)
    return mean, grads, metrics, mutable

  def micro_step(mutable, inputs):
    i, micro = inputs
    grads, (mean, metrics, mutable) = grad(state.params, mutable, micro, jax.random.fold_in(key, i))
    return mutable, (mean, grads, metrics)

  rows = len(jax.tree.leaves(batch)[0])
  if rows % accumulate:
    remedy = f"it must divide the {rows} examples that each device has of a batch."
    raise UserError("config.train.accumulate", accumulate, remedy)
  micros = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)
  mutable, sums = jax.lax.scan(micro_step, state.mutable, (jnp.arange(accumulate), micros))
  mean, grads, metrics = jax.tree.map(lambda x: x.sum(0), sums)
  return mean, grads, metrics, mutable


def learn_if(finite: jax.Array, learn: Callable, old):
  """`learn(old)` where finite, else `old`.

  On CPU a branch: a selection would read and write every array once more, a tenth of a small network's step.  Elsewhere
  a selection: it is fused into the update, and a branch would wait for the host.
  """
  learn = jax.jit(learn, inline=True)  # traced once for both
  branch = lambda finite, old: jax.lax.cond(finite, learn, lambda old: old, old)
  select = lambda finite, old: learner_lib.keep_if(finite, learn(old), old)
  return jax.lax.platform_dependent(finite, old, cpu=branch, default=select)


def global_norm(grads) -> jax.Array:
  """Norm of all leaves together, by dot products: XLA's CPU backend takes a third longer to sum squares."""
  return jnp.sqrt(sum(jnp.vdot(g, g, preferred_element_type=jnp.float32) for g in jax.tree.leaves(grads)))


def moving_average(ema, new, decay: float, step: jax.Array):
  """The exponential moving average after one more; its decay warms up as (1 + step) / (10 + step)."""
  kept = jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(lambda old, x: (kept * old + (1 - kept) * x).astype(old.dtype), ema, new)
