"""What learning mixtures and reporting them share: features, the kind of mixture, which member counts."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import splits
from research.data import projection, remembered
from research.data.examples import Examples
from research.data.projection import Projection
from research.errors import UserError
from research.families import gaussian_mixture, variational_mixture
from research.training import precision
from research.training.statistics import StatisticsState


class FeatureSplits(NamedTuple):
  """Sets whose inputs are features, and the projection that made them."""

  train: Examples
  validation: Examples | None
  test: Examples
  projection: Projection


class Model(NamedTuple):
  """A kind of mixture.

  Attributes:
    family: its functions.
    sizes: numbers of components that are tried.
    log_joint: `log_joint(params, inputs) -> [batch, components]`, nats.
    mixture: `mixture(params) -> Mixture`: to draw from and to look at.
    definitions: of what it evaluates.
  """

  family: gaussian_mixture.Family
  sizes: tuple[int, ...]
  log_joint: Callable[[Any, jax.Array], jax.Array]
  mixture: Callable[[Any], gaussian_mixture.Mixture]
  definitions: Mapping[str, str]


def load(config: ml_collections.ConfigDict) -> FeatureSplits:
  """Training, validation and test sets as features; the projection is of the training set alone."""
  section, dtype = config.data, precision.dtype(config.train.precision)
  if dtype == jnp.bfloat16:
    raise UserError("config.train.precision", "bfloat16", "covariances need more digits: choose float32 or float64.")
  if section.normalise != "none":
    raise UserError(
      "config.data.normalise", section.normalise, "pixels are 0 to 1, and nothing is scaled: set it to none."
    )
  labels = config.model.by_class or bool(section.leave_out)
  given = splits.in_memory(section, labels=labels, tables=True)
  train = given.test if section.whole else given.train
  fit = lambda: projection.fit(train.inputs, section.principal_components, "config.data.principal_components")
  features = remembered.value("projection", fit)
  project = lambda part: dataclasses.replace(part, inputs=features.forward(part.inputs, dtype))
  return FeatureSplits(*given._replace(train=train).map(project), features)


def model_of(config: ml_collections.ConfigDict) -> Model:
  """The mixture that a config names: by EM, or variational."""
  section = config.model
  options = {
    "covariance": section.covariance,
    "reg_covar": section.reg_covar,
    "start": section.start,
    "lloyd_iterations": section.lloyd_iterations,
  }
  sizes = tuple(section.candidates) or (section.components,)
  if section.starts < 1:
    raise UserError("config.model.starts", section.starts, "give 1 or more.")
  if section.name == "variational":
    if section.candidates:
      remedy = "it chooses the number of components by itself: give `components` alone."
      raise UserError("config.model.candidates", sizes, f"with config.model.name=variational, {remedy}")
    concentration = section.variational.concentration
    family = variational_mixture.variational_mixture(section.components, concentration=concentration, **options)
    return Model(
      family, sizes, variational_mixture.log_joint, variational_mixture.plug_in, variational_mixture.DEFINITIONS
    )
  family = gaussian_mixture.gaussian_mixture(max(sizes), **options)
  return Model(family, sizes, gaussian_mixture.log_joint, lambda params: params, gaussian_mixture.DEFINITIONS)


def best(members: StatisticsState, config: ml_collections.ConfigDict, model: Model, data: FeatureSplits) -> jax.Array:
  """Which member has the least BIC: among those of one size, the highest likelihood, or bound where variational.

  Likelihoods are those that the last E-step found, of the parameters before its M-step.
  """
  return criterion_of(members, config, model, data, gaussian_mixture.bic).argmin()


def criterion_of(members, config, model, data, criterion) -> jax.Array:
  """An information criterion of every member; members are in the order of their sizes, all starts of each."""
  features, kind = data.projection.num_features, config.model.covariance
  parameters = jnp.asarray([gaussian_mixture.num_parameters(size, features, kind) for size in model.sizes])
  counted = members.statistics
  return criterion(counted.log_likelihood, parameters.repeat(config.model.starts), counted.counts.sum(-1))


def class_log_joint(members: StatisticsState, model: Model, data: FeatureSplits, inputs) -> jax.Array:
  """log p(x, y), [batch, class], nats; p(y) is the class's share of the training set."""
  shares = np.bincount(data.train.label, minlength=data.train.num_classes) / len(data.train)
  densities = jax.vmap(lambda params: jax.nn.logsumexp(model.log_joint(params, inputs), axis=-1))(members.params)
  return jnp.log(jnp.asarray(shares, densities.dtype)) + densities.T
