"""The step that most families share: the gradient of one loss.

With `init_carry` the rows of a batch hand arrays [rows, ...] on to the next batch, such as the state of a recurrent
network: `loss(variables, batch, key, carry) -> (loss, (metrics, mutated, carry))` and
`evaluate(variables, batch, carry) -> (metrics, carry)`, of this device's rows.  Training carries on from step to step,
an evaluation from batch to batch; no gradient flows to the step before.  Where a row begins anew the data say
(`streams.contiguous`: `fresh`).
"""

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
    carry: arrays [rows, ...] that each row of the batch hands on to the next step, of all devices; None without.
  """

  params: Any
  mutable: Any
  opt_state: Any
  ema: Any
  carry: Any = None


def variables_of(state: GradientState) -> dict[str, Any]:
  """The Flax variables to evaluate with: the moving average where there is one."""
  if state.ema is not None:
    return {"params": state.ema["params"], **state.ema["mutable"]}
  return {"params": state.params, **state.mutable}


def gradient_learner(
  *,
  init: Callable[[jax.Array, Any], Variables],
  loss: Callable[..., tuple[Mean, tuple[Any, ...]]],
  evaluate: Callable[..., Any],
  optimizer: optax.GradientTransformation,
  schedule: Callable | None = None,
  ema_decay: float = 0.0,
  accumulate: int = 1,
  init_carry: Callable[[Any], Any] | None = None,
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
    init_carry: `init_carry(batch) -> carry`, what the rows of the batch begin with: see the module.

  The gradient is that of the *global* mean: sums and counts are psum-ed apart, after `grad`, and divided once.  So
  masks may differ between devices, and nothing is differentiated through a collective.  An update whose loss or
  gradient is not finite leaves parameters, optimizer, averages and carry as they were; so does a batch of padding
  alone, which is no error.

  Raises:
    UserError: a carry together with accumulation, whose micro-batches are other rows.
  """
  carried = _carried(loss, init_carry, accumulate)

  def init_state(key, batch):
    variables = dict(init(randomness.stream_key(key, "init"), batch))
    params = variables.pop("params")
    ema = {"params": params, "mutable": variables} if ema_decay else None
    carry = init_carry(batch) if init_carry else None
    opt_state = optimizer.init(params)
    return GradientState.create(key, params=params, mutable=variables, opt_state=opt_state, ema=ema, carry=carry)

  def update(state, batch):
    key = randomness.stream_key(state.key, "loss", state.step)
    total, grads, metrics, mutable, carry = _gradients(carried, state, batch, key, accumulate)
    carry = axes.whole(carry)
    total, summed = axes.psum((total, grads))
    counted = total.count > 0
    weight = 1 / jnp.where(counted, total.count, 1)
    loss_value, grad_norm = total.total * weight, global_norm(summed) * weight
    finite = jnp.isfinite(loss_value) & jnp.isfinite(grad_norm)

    def learn(old):
      grads = jax.tree.map(lambda g: (g * weight).astype(g.dtype), summed)
      return {**_descend(optimizer, ema_decay, state.step, old, grads, mutable), "carry": carry}

    old = {name: getattr(state, name) for name in ("params", "mutable", "opt_state", "ema", "carry")}
    learned = learn_if(finite & counted, learn, old)
    new = state.replace(step=state.step + 1, skipped=state.skipped + ~finite, **learned)
    logged = {"loss": Mean.where(counted, loss_value), **metrics, "grad_norm": Mean.where(counted, grad_norm)}
    if schedule is not None:
      logged["learning_rate"] = Mean.constant(schedule(state.step))
    return new, logged

  def evaluate_state(state, batch, *carry):
    return evaluate(variables_of(state), batch, *carry)

  return learner_lib.Learner(init_state, update, evaluate_state, carry=init_carry, watched=("loss", "grad_norm"))


def _descend(optimizer, ema_decay: float, step, old: Mapping[str, Any], grads, mutable) -> dict[str, Any]:
  """Parameters, collections, optimizer and average after one step of the optimizer."""
  updates, opt_state = optimizer.update(grads, old["opt_state"], old["params"])
  params = optax.apply_updates(old["params"], updates)
  ema = moving_average(old["ema"], {"params": params, "mutable": mutable}, ema_decay, step) if ema_decay else None
  return {"params": params, "mutable": mutable, "opt_state": opt_state, "ema": ema}


def _carried(loss, init_carry, accumulate: int):
  """The loss as one with a carry, None where there is none."""
  if init_carry and accumulate > 1:
    remedy = "rows that carry state from step to step cannot take turns: use 1, and a smaller batch."
    raise UserError("config.train.accumulate", accumulate, remedy)
  if init_carry:
    return loss

  def with_none(variables, batch, key, carry):
    mean, (metrics, mutated) = loss(variables, batch, key)
    return mean, (metrics, mutated, carry)

  return with_none


def _gradients(loss, state, batch, key, accumulate):
  """Sums over the local share: the loss pair, the gradient of its total, the metrics; collections; the carry."""
  carry = axes.mine(state.carry)

  def total_loss(params, mutable, batch, key):
    mean, (metrics, mutated, after) = loss({"params": params, **mutable}, batch, key, carry)
    return mean.total, (mean, metrics, {**mutable, **mutated}, after)

  grad = jax.grad(total_loss, has_aux=True)
  if accumulate == 1:
    grads, (mean, metrics, mutable, carry) = grad(state.params, state.mutable, batch, key)
    return mean, grads, metrics, mutable, carry

  def micro_step(mutable, inputs):
    i, micro = inputs
    grads, (mean, metrics, mutable, _) = grad(state.params, mutable, micro, jax.random.fold_in(key, i))
    return mutable, (mean, grads, metrics)

  rows = len(jax.tree.leaves(batch)[0])
  if rows % accumulate:
    remedy = f"it must divide the {rows} examples that each device has of a batch."
    raise UserError("config.train.accumulate", accumulate, remedy)
  micros = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)
  mutable, sums = jax.lax.scan(micro_step, state.mutable, (jnp.arange(accumulate), micros))
  mean, grads, metrics = jax.tree.map(lambda x: x.sum(0), sums)
  return mean, grads, metrics, mutable, carry


def learn_if(finite: jax.Array, learn: Callable, old):
  """`learn(old)` where finite, else `old`.

  On CPU a branch: a selection would read and write every array once more, a tenth of a small network's step.  Elsewhere
  a selection: it is fused into the update, and a branch would wait for the host.
  """
  learn = jax.jit(learn, inline=True)  # traced once for both
  branch = lambda finite, old: jax.lax.cond(finite, learn, lambda old: old, old)
  select = lambda finite, old: learner_lib.keep_if(finite, learn(old), old)
  return jax.lax.platform_dependent(finite, old, cpu=branch, default=select)


def guarded_step(optimizer: optax.GradientTransformation, local: Mean, grads, params, opt_state):
  """One step of the optimizer, for learners that make several an update: (params, opt_state, whether it was finite).

  Args:
    optimizer, params, opt_state: Optax's.
    local: this device's loss, as a (sum over examples, count) pair.
    grads: of its total, over this device's examples.

  The step follows the gradient of the global mean; where that or the loss is not finite, nothing moves.
  """
  total, summed = axes.psum((local, grads))
  grads = jax.tree.map(lambda g: g / total.count, summed)
  finite = jnp.isfinite(total.total) & jnp.isfinite(global_norm(grads))

  def learn(old):
    params, opt_state = old
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state

  return *learn_if(finite, learn, (params, opt_state)), finite


def global_norm(grads) -> jax.Array:
  """Norm of all leaves together, by dot products: XLA's CPU backend takes a third longer to sum squares."""
  return jnp.sqrt(sum(jnp.vdot(g, g, preferred_element_type=jnp.float32) for g in jax.tree.leaves(grads)))


def moving_average(ema, new, decay: float, step: jax.Array):
  """The exponential moving average after one more; its decay warms up as (1 + step) / (10 + step)."""
  kept = jnp.minimum(decay, (1 + step) / (10 + step))
  return jax.tree.map(lambda old, x: (kept * old + (1 - kept) * x).astype(old.dtype), ema, new)
