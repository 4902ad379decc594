"""From a config's `model` to a flow: its bijection or its velocities, and how its bytes are dequantised."""

import functools

import ml_collections
import numpy as np

from research.errors import UserError
from research.families.flows import base, continuous, dequantisation, elementwise
from research.families.flows import bijection as b
from research.families.flows import model as family_lib
from research.families.flows.bijection import Bijection
from research.networks.conditioned import ConditionedMLP
from research.networks.coupling import GatedConv, ResidualMLP
from research.networks.made import MADE


def flow_of(model: ml_collections.ConfigDict, shape: tuple[int, ...], classes: int, observed: bool) -> family_lib.Flow:
  """The flow that `model` describes, of data of `shape`.

  Args:
    model: of the config.
    shape: of an example.
    classes: above 0 the flow is told the label.
    observed: it is told an observation, and is of parameters in a box, 0 to 1.

  Raises:
    UserError: a continuous flow, or a mixture as the base, of what it is not for.
  """
  if model.base == "mixture" and model.name == "image":
    raise UserError("config.model.base", model.base, "it has a covariance of all pixels: choose normal or logistic.")
  noise = base.by_name(model.base, model.base_components)
  if model.name == "continuous":
    if observed:
      raise UserError("config.model.name", model.name, "it is of points and tables: choose coupling.")
    part = model.continuous
    network = ConditionedMLP(part.width, part.blocks, num_classes=classes)
    return continuous.continuous(network, shape, base=noise, steps=part.steps, probes=part.probes, classes=classes)
  bijection = bijection_of(model, shape)
  if observed:
    bijection = b.chain([b.logit(1e-4), bijection])
  return family_lib.flow(
    bijection,
    (int(np.prod(shape)),),
    base=noise,
    dequantiser=dequantiser_of(model),
    num_classes=classes,
    context=(lambda observation: observation) if observed else None,
  )


def bijection_of(model: ml_collections.ConfigDict, shape: tuple[int, ...]) -> Bijection:
  """The bijection from data of `shape` to a vector of noise that `model.name` names."""
  part = model[model.name]
  function = elementwise.by_name(part.elementwise, bins=part.bins, components=part.components)
  match model.name:
    case "coupling":
      return couplings(shape[0], function, part.layers, part.width, part.blocks)
    case "maf":
      return masked(shape[0], function, part)
    case "image":
      return multi_scale(shape, function, part)
  raise UserError("config.model.name", model.name, "choose coupling, maf, continuous or image.")


def couplings(features: int, function: elementwise.Elementwise, layers: int, width: int, blocks: int) -> Bijection:
  """Couplings of vectors, whose halves change by turns, with an actnorm and a rotation in front of each."""
  if features < 2:
    raise UserError("data", features, "a coupling divides two columns at least.")
  network = lambda out: ResidualMLP(out, width, blocks)
  parts = []
  for i in range(layers):
    parts += [b.actnorm(), b.linear(features, seed=i)] if i else []
    parts.append(b.coupling(network, function, b.halves(i % 2 == 1)))
  return b.chain(parts)


def masked(features: int, function: elementwise.Elementwise, part: ml_collections.ConfigDict) -> Bijection:
  """Masked autoregressive layers, in this order and the other by turns; or their inverses."""
  network = lambda out: MADE(out, tuple(part.hidden), zeros=True)
  parts = []
  for i in range(part.layers):
    parts += [b.permutation(np.arange(features)[::-1])] if i else []
    parts.append(b.autoregressive(network, function))
  flow = b.chain(parts)
  return b.invert(flow) if part.inverse else flow


def multi_scale(
  shape: tuple[int, ...], function: elementwise.Elementwise, part: ml_collections.ConfigDict
) -> Bijection:
  """Of images in [0, 1]: at each scale steps of Glow, then half of the channels are factored out."""
  network = lambda out: GatedConv(out, part.width, part.blocks)

  def steps(channels: int, scale: int) -> list[Bijection]:
    parts = []
    for i in range(part.steps):
      parts += [b.actnorm(), b.linear(channels, seed=part.steps * scale + i)]
      parts.append(b.coupling(network, function, b.halves(i % 2 == 1)))
    return parts

  def level(shape: tuple[int, int, int], scale: int) -> Bijection:
    height, width, channels = shape
    shape = (height // 2, width // 2, 4 * channels)
    parts = [b.squeeze(), *steps(shape[-1], scale)]
    if scale == part.scales - 1:
      return b.chain([*parts, b.flatten(shape)])
    inner = level((*shape[:2], shape[-1] - shape[-1] // 2), scale + 1)
    return b.chain([*parts, b.split(shape, inner, b.conditional(network, elementwise.affine()))])

  if part.scales < 1 or any(side % 2**part.scales for side in shape[:2]):
    remedy = f"sides of {shape[:2]} must divide by 2 once for each, and there is one at least."
    raise UserError("config.model.image.scales", part.scales, remedy)
  height, width, channels = shape
  return b.chain([b.logit(), level((height, width, channels), 0)])


def dequantiser_of(model: ml_collections.ConfigDict) -> dequantisation.Dequantiser | None:
  """Of images; None of what is continuous."""
  if model.name != "image":
    return None
  part = model.image
  match part.dequantisation:
    case "uniform":
      return dequantisation.uniform()
    case "variational":
      network = functools.partial(GatedConv, width=part.width, blocks=part.blocks)
      function = elementwise.by_name(part.elementwise, bins=part.bins, components=part.components)
      layers = [b.coupling(network, function, b.halves(i % 2 == 1)) for i in range(part.noise_steps)]
      return dequantisation.variational(b.chain(layers))
  raise UserError("config.model.image.dequantisation", part.dequantisation, "choose uniform or variational.")
