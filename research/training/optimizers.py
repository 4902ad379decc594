"""Optimizers and schedules by name, from plain keyword arguments or a config: Optax, put together in one order.

Order of the chain, which is what papers differ in: clip the gradient of the loss; add L2; precondition; add decoupled
decay; trust ratio; multipliers of parameter groups; learning rate; max-norm projection of the updated weights.
"""

import difflib
import inspect
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from research.errors import UserError
from research.training import durations

SCHEDULES = ("constant", "cosine", "linear", "piecewise", "triangle", "one_cycle")
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "lion", "lamb", "muon")
# In the first three weight decay is L2, a term of the loss, as in the papers that use them; in the others decoupled.
_L2_BY_DEFAULT = ("sgd", "momentum", "adam")
_CYCLE_PEAK = 0.3  # where a cycle peaks if no warm-up is given, as a fraction of the run (Smith & Topin 2017)


def schedule(
  name: str = "constant",
  *,
  learning_rate: float,
  total_steps: int,
  warmup_steps: int = 0,
  initial_fraction: float = 0.0,
  final_fraction: float = 0.0,
  boundaries: tuple[int, ...] = (),
  factors: float | tuple[float, ...] = 0.1,
) -> optax.Schedule:
  """The learning rate as a function of the step.

  Args:
    name: what follows the warm-up: `constant`; `cosine` or `linear` decay to `final_fraction` at `total_steps`;
      `piecewise`, times `factors` from each of `boundaries` on; `triangle`, which is `linear`, and `one_cycle`, cosine
      up and down, both with a warm-up of 30 % of the run unless one is given.
    learning_rate: the peak, reached at step `warmup_steps`.
    total_steps: length of the run.
    warmup_steps: linear warm-up from `initial_fraction` of the peak.
    initial_fraction: of the peak, at step 0 of a warm-up.
    final_fraction: of the peak, at the end of a decay.
    boundaries: steps, counted from the start of the run, at which `piecewise` drops.
    factors: one for all boundaries, or one for each.

  Raises:
    UserError: an unknown name, a run shorter than its warm-up, boundaries that do not increase.
  """
  _known("schedule", name, SCHEDULES)
  if name in ("triangle", "one_cycle") and warmup_steps == 0:
    warmup_steps = round(_CYCLE_PEAK * total_steps)
  if not 0 <= warmup_steps <= total_steps:
    raise UserError("warmup", f"{warmup_steps} steps", f"give a warm-up between 0 and the run's {total_steps} steps")
  peak, rest = learning_rate, max(total_steps - warmup_steps, 1)
  match name:
    case "constant":
      after = optax.constant_schedule(peak)
    case "piecewise":
      after = _piecewise(peak, boundaries, factors, warmup_steps)
    case "linear" | "triangle":
      after = optax.linear_schedule(peak, final_fraction * peak, rest)
    case _:
      after = optax.cosine_decay_schedule(peak, rest, final_fraction)
  if warmup_steps == 0:
    return after
  before = optax.linear_schedule(initial_fraction * peak, peak, warmup_steps)
  if name == "one_cycle":
    fall = optax.cosine_decay_schedule(1 - initial_fraction, warmup_steps)
    before = lambda step: peak * (1 - fall(step))
  return optax.join_schedules([before, after], [warmup_steps])


def _piecewise(peak: float, boundaries, factors, warmup_steps: int) -> optax.Schedule:
  """Drops at absolute steps, expressed as Optax wants them: relative to the end of the warm-up."""
  factors = tuple(factors) if isinstance(factors, tuple | list) else (factors,) * len(boundaries)
  if not boundaries or list(boundaries) != sorted(boundaries) or boundaries[0] < warmup_steps:
    raise UserError(
      "boundaries", tuple(boundaries), f"give increasing steps, none before the warm-up's end {warmup_steps}"
    )
  if len(factors) != len(boundaries):
    raise UserError("factors", factors, f"give one factor, or one for each of the {len(boundaries)} boundaries")
  drops: dict[int, float] = {}
  for boundary, factor in zip(boundaries, factors):  # in a very short run two boundaries may fall on one step
    drops[boundary - warmup_steps] = factor * drops.get(boundary - warmup_steps, 1.0)
  return optax.piecewise_constant_schedule(peak, drops)


def optimizer(
  name: str,
  *,
  learning_rate: optax.ScalarOrSchedule,
  momentum: float | None = None,
  nesterov: bool = False,
  b1: float = 0.9,
  b2: float | None = None,
  eps: float | None = None,
  weight_decay: float = 0.0,
  decay: str | None = None,
  decay_on: str = "kernels",
  clip_norm: float | None = None,
  max_norm: float | None = None,
  multipliers: Mapping[str, float] | None = None,
) -> optax.GradientTransformation:
  """A gradient transformation whose updates are to be added to the parameters (`optax.apply_updates`).

  Settings of an optimizer that was not chosen are ignored, so that `name` alone can be overridden in a config.

  Args:
    name: `sgd`, `momentum` (heavy ball; its `nesterov`), `adam`, `adamw`, `lion`, `lamb`, or `muon` (orthogonalised
      momentum for kernels, Nesterov Adam for the rest; a convolution's is taken as the matrix [height width in, out]).
    learning_rate: a number or a schedule.
    momentum: of `momentum` (0.9) and `muon` (0.95).
    nesterov: Nesterov's form, in `momentum`, `adam` and `adamw`; `muon` always has it.
    b1: decay of the first moment in `adam`, `adamw`, `lamb`, `lion` and `muon`'s Adam.
    b2: of the second: 0.999, `lion` 0.99.
    eps: 1e-8, `lamb` 1e-6.
    weight_decay: the coefficient; decoupled decay is scaled by the learning rate, as in PyTorch and Optax.
    decay: `l2` adds to the gradient, before momentum and preconditioning (He et al. 2015); `decoupled` after them
      (Loshchilov & Hutter 2019).  By default `l2` for sgd, momentum and adam, `decoupled` for the others.
    decay_on: `kernels`, those parameters with at least two axes; `all`; or a regular expression searched in a
      parameter's path, as of `multipliers`.
    clip_norm: global norm to which the gradient is clipped.
    max_norm: bound on the norm of each unit's incoming weights, after the update (Srivastava et al. 2014).
    multipliers: regular expression searched in a parameter's path (`'Dense_0/bias'`) -> factor on its learning rate;
      the first that matches counts.

  Raises:
    UserError: an unknown name or form of decay; at `init`, a multiplier that matches no parameter.
  """
  _known("optimizer", name, OPTIMIZERS)
  decay = decay or ("l2" if name in _L2_BY_DEFAULT else "decoupled")
  _known("decay", decay, ("l2", "decoupled"))
  decayed = optax.add_decayed_weights(weight_decay, mask=_decayed(decay_on))
  chain = [
    optax.clip_by_global_norm(clip_norm) if clip_norm else None,
    decayed if weight_decay and decay == "l2" else None,
    _preconditioner(name, momentum=momentum, nesterov=nesterov, b1=b1, b2=b2, eps=eps),
    decayed if weight_decay and decay == "decoupled" else None,
    optax.scale_by_trust_ratio() if name == "lamb" else None,
    scale_by_path(multipliers) if multipliers else None,
    optax.scale_by_learning_rate(learning_rate),
    project_max_norm(max_norm) if max_norm else None,
  ]
  return optax.chain(*[transformation for transformation in chain if transformation is not None])


def from_config(
  config: Mapping[str, Any],
  *,
  total_steps: int,
  batch_size: int = 0,
  num_examples: int = 0,
  per_step: Mapping[str, int | Fraction] | None = None,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """The optimizer, and the schedule for the log, that a flat config asks for.

  Fields are the arguments of `optimizer` and of `schedule`, the latter's name in `schedule` (default `constant`) and
  its durations in any unit: `warmup` (`'5 epochs'`) and `boundaries` (`('50 %', '75 %')`), by `batch_size` and
  `num_examples` or by `per_step`, as `durations.steps` takes them.

  Raises:
    UserError: an unknown field, with the nearest that exists, or what `optimizer`, `schedule` and `durations.steps`
    raise.
  """
  of_optimizer, of_schedule = (set(inspect.signature(f).parameters) for f in (optimizer, schedule))
  fields = (of_optimizer | of_schedule | {"schedule", "warmup"}) - {"total_steps", "warmup_steps"}
  for field in config:
    _known("optimizer field", field, sorted(fields))

  def resolve(field: str, duration) -> int:
    size = {"batch_size": batch_size, "num_examples": num_examples, "per_step": per_step}
    return durations.steps(duration, total_steps=total_steps, field=f"optimizer.{field}", **size)

  shape: dict[str, Any] = {k: v for k, v in dict(config).items() if k in of_schedule - {"name", "boundaries"}}
  shape["warmup_steps"] = resolve("warmup", config.get("warmup", 0))
  shape["boundaries"] = tuple(resolve("boundaries", b) for b in config.get("boundaries", ()))
  rate = schedule(config.get("schedule", "constant"), total_steps=total_steps, **shape)
  settings: dict[str, Any] = {k: v for k, v in dict(config).items() if k in of_optimizer}
  settings["learning_rate"] = rate
  return optimizer(**settings), rate


def _preconditioner(name: str, *, momentum, nesterov: bool, b1: float, b2, eps) -> optax.GradientTransformation:
  """Gradient -> direction, before decay and learning rate."""
  adam_eps, adam_b2 = (1e-8 if eps is None else eps), (0.999 if b2 is None else b2)
  match name:
    case "sgd":
      return optax.identity()
    case "momentum":
      return optax.trace(0.9 if momentum is None else momentum, nesterov=nesterov)
    case "adam" | "adamw":
      return optax.scale_by_adam(b1, adam_b2, adam_eps, nesterov=nesterov)
    case "lion":
      return optax.scale_by_lion(b1, 0.99 if b2 is None else b2)
    case "lamb":
      return optax.scale_by_adam(b1, adam_b2, 1e-6 if eps is None else eps)
  muon = optax.contrib.muon(
    learning_rate=1.0,
    beta=0.95 if momentum is None else momentum,
    adam_b1=b1,
    adam_b2=adam_b2,
    eps=adam_eps,
    muon_weight_dimension_numbers=_muon_dimensions,
  )
  # Optax's Muon ends with its learning rate, hence with the sign of descent; the chain's own comes later.
  return optax.chain(muon, optax.scale(-1.0))


def _muon_dimensions(params: PyTree) -> PyTree:
  def of(path, leaf):
    # An embedding's rows are looked up, not multiplied: Adam's, as in Jordan's recipe.
    if leaf.ndim < 2 or getattr(path[-1], "key", "") == "embedding":
      return None
    return optax.contrib.MuonDimensionNumbers(tuple(range(leaf.ndim - 1)), leaf.ndim - 1)

  return jax.tree_util.tree_map_with_path(of, params)


def is_kernel(params: PyTree) -> PyTree:
  """True for the parameters with at least two axes: weights, not biases nor the scales of a normalisation."""
  return jax.tree.map(lambda leaf: jnp.ndim(leaf) >= 2, params)


def _decayed(decay_on: str):
  """The mask of the parameters that decay, as Optax takes it.

  Raises:
    UserError: an expression that is none; at `init`, one that matches no parameter.
  """
  if decay_on in ("kernels", "all"):
    return is_kernel if decay_on == "kernels" else None
  try:
    pattern = re.compile(decay_on)
  except re.error as error:
    raise UserError("decay_on", decay_on, f"give kernels, all, or a regular expression ({error})") from error

  def mask(params):
    matches = jax.tree_util.tree_map_with_path(lambda keys, _: bool(pattern.search(_path(keys))), params)
    if not any(jax.tree.leaves(matches)):
      paths = [_path(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]
      raise UserError("decay_on", decay_on, f"matches no parameter; there are {', '.join(paths[:12])}")
    return matches

  return mask


def _path(keys) -> str:
  return jax.tree_util.keystr(keys, simple=True, separator="/")


def project_max_norm(bound: float) -> optax.GradientTransformation:
  """Makes the *updated* kernels keep `||w|| <= bound` for each unit's incoming weights; the last of a chain.

  Incoming weights are all axes but the last: a column of a Dense kernel [in, out], a filter of a convolution [height,
  width, in, out].  (Srivastava et al., Dropout, JMLR 2014, section 5.1.)
  """

  def project(update, param):
    if param.ndim < 2:
      return update
    updated = param + update
    norm = jnp.sqrt(jnp.sum(jnp.square(updated), axis=tuple(range(param.ndim - 1)), keepdims=True))
    # Division by at least the bound: a zero vector stays zero, without a NaN.
    return updated * (bound / jnp.maximum(norm, bound)) - param

  return optax.stateless(lambda updates, params: jax.tree.map(project, updates, params))


def scale_by_path(multipliers: Mapping[str, float]) -> optax.GradientTransformation:
  """Multiplies the updates of the parameters whose path matches; see `multipliers` of `optimizer`.

  Raises:
    UserError: at `init`, a pattern that matches no parameter.
  """

  def scale(keys, update):
    return next((factor * update for pattern, factor in multipliers.items() if re.search(pattern, _path(keys))), update)

  def init(params):
    paths = [_path(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in multipliers:
      if not any(re.search(pattern, path) for path in paths):
        raise UserError("multipliers", pattern, f"matches no parameter; there are {', '.join(paths[:12])}")
    return optax.EmptyState()

  def update(updates, state, params=None):
    del params
    return jax.tree_util.tree_map_with_path(scale, updates), state

  return optax.GradientTransformation(init, update)


def _known(field: str, name: str, names) -> None:
  if name not in names:
    nearest = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    raise UserError(field, name, f"{hint}There are {', '.join(names)}")
