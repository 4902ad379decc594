"""Images of one domain as images of another: CycleGAN without pairs, pix2pix with.

Zhu et al. 2017 and Isola et al. 2017: two games of `training.game`.  CycleGAN's generator is two networks, G from A to
B and F from B to A, and its critic is two, D_B and D_A; their variables stand side by side in one tree.  Images are in
[-1, 1], errors in units of [0, 1].

Not here is the history of made images that Zhu et al. (section 4) show their critics: a step is of its batch alone.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness
from research.errors import UserError
from research.families.gan import Loss
from research.metrics import Mean

Images = Float[Array, "batch height width channel"]
Rows = Float[Array, " batch"]
TO_A, TO_B = "to_a", "to_b"  # the directions: F and G

LOSSES = {
  # Zhu et al. 2017, section 4: D minimises (D(y) - 1)^2 + D(G(x))^2, halved, and G (D(G(x)) - 1)^2.
  "least_squares": Loss(lambda s: (s - 1) ** 2 / 2, lambda s: s**2 / 2, lambda s: (s - 1) ** 2, 0.5),
  # Isola et al. 2017, equation 1 for D, halved (section 3.3), and for G maximise log D(x, G(x)) in its place.
  "non_saturating": Loss(
    lambda s: jax.nn.softplus(-s) / 2, lambda s: jax.nn.softplus(s) / 2, lambda s: jax.nn.softplus(-s), 0.0
  ),
}


class Translation(NamedTuple):
  """The functions of a game of translation, as `training.game.game_learner` takes them, and `translate`.

  A batch has `a`, `b` and `mask`; one of evaluation may have `has_a` and `has_b`, 0 for rows that are not to count.

  Attributes:
    translate: `translate(variables of the generator, direction, images) -> images`.
    directions: of `TO_B`, `TO_A`.
    definitions: of what `evaluate` measures.
  """

  init: Callable
  generate: Callable
  critic_loss: Callable
  generator_loss: Callable
  evaluate: Callable
  translate: Callable[[Mapping[str, Any], str, Images], Images]
  directions: tuple[str, ...]
  definitions: Mapping[str, str]


def absolute_error(x: Images, y: Images) -> Rows:
  """Mean of |x - y| over each image: ‖·‖₁ of the papers, per pixel as their implementations have it."""
  return jnp.abs(x - y).mean((1, 2, 3))


def cycle_loss(a: Images, b: Images, around_a: Images, around_b: Images) -> Rows:
  """‖F(G(a)) - a‖₁ + ‖G(F(b)) - b‖₁ (Zhu et al. 2017, equation 2).

  Args:
    a, b: images of the domains.
    around_a, around_b: F(G(a)) and G(F(b)).
  """
  return absolute_error(around_a, a) + absolute_error(around_b, b)


def identity_loss(a: Images, b: Images, same_a: Images, same_b: Images) -> Rows:
  """‖G(b) - b‖₁ + ‖F(a) - a‖₁ (Zhu et al. 2017, section 5.2): what is of a domain already is to stay as it is.

  Args:
    a, b: images of the domains.
    same_a, same_b: F(a) and G(b).
  """
  return absolute_error(same_a, a) + absolute_error(same_b, b)


def adversarial_loss(of_patch: Callable, logits: Float[Array, "batch row column"]) -> Rows:
  """The mean of a loss over an image's patches (Isola et al. 2017, section 3.2.2)."""
  return of_patch(logits).mean((1, 2))


def cycle_gan(
  generator: nn.Module,
  critic: nn.Module,
  *,
  cycle: float = 10.0,
  identity: float = 0.5,
  loss: str = "least_squares",
  known: bool = False,
) -> Translation:
  """CycleGAN: equation 3 of Zhu et al. 2017, with the identity loss of its section 5.2.

  Args:
    generator: `images -> images`; G and F have variables of their own.
    critic: `images -> logits [batch, row, column]`; so have D_A and D_B.
    cycle: λ.
    identity: weight of the identity loss, as a share of λ; 0 for none.
    loss: one of `LOSSES`.
    known: whether in what is measured each row of `b` is what that of `a` is to become.

  Raises:
    UserError: no such loss.
  """
  losses = _loss(loss)
  made_by = lambda variables, direction, x: _apply(generator, variables, direction, x)

  def init(key, batch):
    sides = {TO_A: batch["b"][:1], TO_B: batch["a"][:1]}
    makes = {side: _init(generator, key, f"generator_{side}", x) for side, x in sides.items()}
    judges = {side: _init(critic, key, f"critic_{side}", x) for side, x in sides.items()}
    return {"params": makes}, {"params": judges}

  def generate(variables, batch, key):
    del key
    a, b = batch["a"], batch["b"]
    # One pass for what one network makes of both: images are normalised each by itself.
    of_both = lambda direction, x, other: _halves(made_by(variables, direction, jnp.concatenate([x, other])))
    fake = {}
    if identity:
      fake[TO_B], fake["same_b"] = of_both(TO_B, a, b)
      fake[TO_A], fake["same_a"] = of_both(TO_A, b, a)
    else:
      fake[TO_B], fake[TO_A] = made_by(variables, TO_B, a), made_by(variables, TO_A, b)
    fake["around_a"] = made_by(variables, TO_A, fake[TO_B])
    fake["around_b"] = made_by(variables, TO_B, fake[TO_A])
    return fake, {}

  def evaluate(variables, judged, batch):
    del judged
    a, b = batch["a"], batch["b"]
    to_b, to_a = made_by(variables, TO_B, a), made_by(variables, TO_A, b)
    return {
      "cycle_error": _error(made_by(variables, TO_A, to_b), a, batch, "a"),
      "cycle_error_back": _error(made_by(variables, TO_B, to_a), b, batch, "b"),
      **(_target_errors(to_b, batch) | {"target_error_back": _error(to_a, a, batch)} if known else {}),
    }

  names = CYCLE_DEFINITIONS | (TARGET_DEFINITIONS | BACK_DEFINITIONS if known else {})
  judgement = _cycle_judgement(critic, losses, cycle, identity)
  return Translation(init, generate, *judgement, evaluate, made_by, (TO_B, TO_A), names)


def _cycle_judgement(critic: nn.Module, losses: Loss, cycle: float, identity: float) -> tuple[Callable, Callable]:
  """`critic_loss` and `generator_loss`."""

  def critic_loss(variables, batch, fake, key):
    del key
    judge = lambda direction, x: _apply(critic, variables, direction, x)
    real = {TO_A: batch["a"], TO_B: batch["b"]}
    sides = [_judged(losses, functools.partial(judge, side), real[side], fake[side]) for side in (TO_B, TO_A)]
    values = sides[0][0] + sides[1][0]
    metrics = {name: Mean.of((sides[0][1][name] + sides[1][1][name]) / 2, batch["mask"]) for name in sides[0][1]}
    return Mean.of(values, batch["mask"]), (metrics, {})

  def generator_loss(variables, batch, fake, key):
    del key
    a, b, mask = batch["a"], batch["b"], batch["mask"]
    fooling = lambda side: adversarial_loss(losses.generator, _apply(critic, variables, side, fake[side]))
    terms = {"adversarial": fooling(TO_B) + fooling(TO_A)}
    terms["cycle"] = cycle_loss(a, b, fake["around_a"], fake["around_b"])
    values = terms["adversarial"] + cycle * terms["cycle"]
    if identity:
      terms["identity"] = identity_loss(a, b, fake["same_a"], fake["same_b"])
      values += cycle * identity * terms["identity"]
    return Mean.of(values, mask), ({name: Mean.of(term, mask) for name, term in terms.items()}, {})

  return critic_loss, generator_loss


def pix2pix(
  generator: nn.Module, critic: nn.Module, *, reconstruction: float = 100.0, loss: str = "non_saturating"
) -> Translation:
  """pix2pix: equation 4 of Isola et al. 2017, without noise, which its section 3.1 finds G to ignore.

  Args:
    generator: `images -> images`.
    critic: `images -> logits [batch, row, column]` of an input and its output, channel beside channel.
    reconstruction: λ.
    loss: one of `LOSSES`.

  Raises:
    UserError: no such loss.
  """
  losses = _loss(loss)
  translate = lambda variables, direction, x: _apply(generator, variables, direction, x)
  judge = lambda variables, a, x: _apply(critic, variables, TO_B, jnp.concatenate([a, x], -1))

  def init(key, batch):
    a, b = batch["a"][:1], batch["b"][:1]
    judged = _init(critic, key, "critic", jnp.concatenate([a, b], -1))
    return {"params": {TO_B: _init(generator, key, "generator", a)}}, {"params": {TO_B: judged}}

  def generate(variables, batch, key):
    del key
    return translate(variables, TO_B, batch["a"]), {}

  def critic_loss(variables, batch, fake, key):
    del key
    values, scores = _judged(losses, functools.partial(judge, variables, batch["a"]), batch["b"], fake)
    return Mean.of(values, batch["mask"]), ({name: Mean.of(x, batch["mask"]) for name, x in scores.items()}, {})

  def generator_loss(variables, batch, fake, key):
    del key
    terms = {
      "adversarial": adversarial_loss(losses.generator, judge(variables, batch["a"], fake)),
      "reconstruction": absolute_error(fake, batch["b"]),  # equation 3
    }
    values = terms["adversarial"] + reconstruction * terms["reconstruction"]
    return Mean.of(values, batch["mask"]), ({name: Mean.of(x, batch["mask"]) for name, x in terms.items()}, {})

  def evaluate(variables, judged, batch):
    del judged
    return _target_errors(translate(variables, TO_B, batch["a"]), batch)

  return Translation(init, generate, critic_loss, generator_loss, evaluate, translate, (TO_B,), TARGET_DEFINITIONS)


_PIXELS = "a pixel, pixels from 0 to 1"
CYCLE_DEFINITIONS = {
  "cycle_error": f"mean absolute error of F(G(a)) against a, {_PIXELS}",
  "cycle_error_back": f"mean absolute error of G(F(b)) against b, {_PIXELS}",
}
TARGET_DEFINITIONS = {
  "target_error": f"mean absolute error of G(a) against the b that a is to become, {_PIXELS}",
  "target_error_unchanged": f"the same error of a itself, left as it is, {_PIXELS}",
}
BACK_DEFINITIONS = {"target_error_back": f"mean absolute error of F(b) against the a that b is to become, {_PIXELS}"}


def _loss(name: str) -> Loss:
  if name not in LOSSES:
    raise UserError("config.model.loss", name, f"choose one of {', '.join(LOSSES)}.")
  return LOSSES[name]


def _init(network: nn.Module, key, stream: str, x):
  return network.init(randomness.stream_key(key, stream), x)["params"]


def _apply(network: nn.Module, variables, direction: str, x):
  return network.apply({"params": variables["params"][direction]}, x)


def _halves(x):
  return jnp.split(x, 2)


def _judged(losses: Loss, judge: Callable, real: Images, fake: Images) -> tuple[Rows, dict[str, Rows]]:
  """A critic's loss of every row, and the shares of real and made patches that it takes for what they are."""
  on_real, on_fake = judge(real), judge(fake)
  values = adversarial_loss(losses.real, on_real) + adversarial_loss(losses.fake, on_fake)
  share = lambda says: says.astype(jnp.float32).mean((1, 2))
  scores = {"real_accuracy": share(on_real > losses.threshold), "fake_accuracy": share(on_fake <= losses.threshold)}
  return values, scores


def _error(x: Images, y: Images, batch, *sides: str) -> Mean:
  """In units of [0, 1], of the rows that count: by default those that both domains have."""
  mask = batch["mask"]
  for side in sides or ("a", "b"):
    mask = mask * batch.get(f"has_{side}", 1.0)
  return Mean.of(absolute_error(x, y) / 2, mask)


def _target_errors(to_b: Images, batch) -> dict[str, Mean]:
  return {
    "target_error": _error(to_b, batch["b"], batch),
    "target_error_unchanged": _error(batch["a"], batch["b"], batch),
  }
