"""Posteriors approximated by gradient: ADVI, flows, Laplace, Stein's particles."""

import jax
import jax.numpy as jnp
import ml_collections

from experiments.parts import flows, learning
from experiments.parts.posteriors import Method, Problem, scorer
from research import randomness
from research.data.dataset import Dataset
from research.errors import UserError
from research.families import variational
from research.families.flows import elementwise
from research.families.variational import Guide
from research.inference import model as model_lib
from research.training import optimizers, steps

NAMES = ("mean_field", "full_rank", "flow", "laplace", "svgd")


def guide_of(config: ml_collections.ConfigDict, size: int) -> Guide:
  """The family of densities that `config.method` names."""
  match config.method.name:
    case "mean_field":
      return variational.mean_field()
    case "full_rank":
      return variational.full_rank()
  part = config.method.flow
  function = elementwise.by_name(part.elementwise, bins=part.bins)
  return variational.flow(flows.couplings(size, function, part.layers, part.width, part.blocks))


def approximation(config: ml_collections.ConfigDict, problem: Problem, train_data: Dataset) -> Method:
  """A method that follows a gradient, checked where it begins.

  Raises:
    UserError: as `model.check`.
  """
  target, name, fields = problem.target, config.method.name, config.method[config.method.name]
  start = target.start(randomness.stream_key(jax.random.key(config.seed), "start"))
  model_lib.check(target, start[None])
  count = jnp.arange(config.report.draws)
  if name == "laplace":
    family = variational.mode(target)
    positions = lambda params: gaussian(target, params["mean"], count)
  elif name == "svgd":
    family = variational.stein(target, train_data.batch_size, fields.repulsion)
    positions = lambda params: params["particles"]
  else:
    guide = guide_of(config, target.size)
    family = variational.elbo(target, guide)
    positions = lambda params: variational.draws_of(guide, params, count, target.size)
  score = scorer(problem, lambda state: positions(state.params))
  optimizer, schedule = optimizers.from_config(
    {"name": "adam", "schedule": "cosine", "final_fraction": 0.01, "learning_rate": fields.learning_rate},
    total_steps=learning.duration(config, train_data),
    per_step=train_data.per_step,
  )
  learner = steps.gradient_learner(
    init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer, schedule=schedule
  )
  if score is not None:
    learner = learner._replace(evaluate=score)
  compiled = jax.jit(positions)
  return Method(learner, lambda state: compiled(state.params)[None], False)


def gaussian(target: model_lib.Target, start, places):
  """Draws of Laplace's approximation, one for each place.

  Raises:
    UserError: where it is called with numbers: the density has no mode to be found from there.
  """
  mean, covariance = variational.laplace(target, start)
  keys = randomness.evaluation_keys(places, "posterior")
  noise = jax.vmap(lambda key: jax.random.normal(key, (target.size,)))(keys)
  return mean + noise @ jnp.linalg.cholesky(covariance).T


def check_finite(draws, name: str) -> None:
  """Raises a UserError where an approximation is none."""
  if not bool(jnp.isfinite(draws).all()):
    remedy = "the curvature at the mode is not negative definite: train longer, or choose mean_field or nuts."
    raise UserError("config.method.name", name, remedy)
