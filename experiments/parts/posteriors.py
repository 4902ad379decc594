"""What is inferred, and by which chains: a model and its data from a config, a kernel, the scores of rows held out."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import learning
from research.data import pipeline, regressions
from research.data.clock import clock
from research.data.dataset import Dataset
from research.data.regressions import Regression
from research.errors import UserError
from research.inference import kernels, models, own
from research.inference import model as model_lib
from research.inference.kernels import Kernel
from research.inference.model import Model, Target
from research.inference.nuts import nuts
from research.metrics import Mean
from research.training import chains
from research.training.learner import Learner

CHAINS = ("nuts", "hmc", "metropolis", "gibbs", "langevin")


class Problem(NamedTuple):
  """What is to be inferred.

  Attributes:
    target: the density of unconstrained vectors.
    model: of which it is; None of NumPyro's.
    data: the table that the model explains; None where it has none, or its own.
  """

  target: Target
  model: Model | None
  data: Regression | None


class Method(NamedTuple):
  """A way to infer.

  Attributes:
    learner: of its state.
    draws: `draws(state) -> [chain, draw, size]`, unconstrained.
    is_chains: whether draws are those of Markov chains, which diagnostics are for.
  """

  learner: Learner
  draws: Callable[[Any], jax.Array]
  is_chains: bool


def load(config: ml_collections.ConfigDict) -> Problem:
  """The model that a config names, of the data that it names.

  Raises:
    UserError: no such model or data, or data that the model is not of.
  """
  name, model = config.model.name, config.model
  if name in ("eight_schools", "own", "numpyro"):
    for field in ("name", "path", "target"):
      if config.data[field]:
        remedy = f"the model {name} has data of its own: leave it out, or choose a model of tables."
        raise UserError(f"config.data.{field}", config.data[field], remedy)
    if name == "numpyro":
      return Problem(own.from_numpyro(model.numpyro.path), None, None)
    built = models.eight_schools(model.eight_schools.centred) if name == "eight_schools" else own.load(model.own.path)
    return Problem(model_lib.target(built), built, None)
  data = regressions.load(config.data.name, config.data.path, config.data.target)
  inputs, outcome = data.train
  match name:
    case "linear":
      built = models.linear(inputs, outcome, model.linear.scale)
    case "logistic":
      built = models.logistic(inputs, outcome, model.logistic.scale)
    case "poisson":
      built = models.poisson(inputs, outcome, model.poisson.scale)
    case "mixture":
      built = models.mixture(outcome, model.mixture.components)
    case "gaussian_process":
      built = models.gaussian_process(inputs, outcome)
    case _:
      raise UserError("config.model.name", name, "it is no model of a table.")
  return Problem(model_lib.target(built), built, data)


def rows_to_test(problem: Problem, config: ml_collections.ConfigDict) -> Dataset:
  """Rows held out; where there are none, the chains by a clock."""
  if problem.data is None or problem.model is None or problem.model.log_likelihood is None:
    return clock(config.train.batch_size, count=config.train.batch_size, name=config.model.name)
  size = min(config.data.eval_batch_size, len(problem.data.test.outcome))
  return pipeline.sequential(problem.data.test.arrays, size, name=config.data.name)


def scorer(problem: Problem, some: Callable[[Any], jax.Array]) -> Callable | None:
  """`evaluate(state, batch)` of rows held out, under `some(state)` draws [draw, size]; None without rows.

  A row's density is the mean over draws: p(y | data) = E[p(y | θ)].
  """
  if problem.data is None or problem.model is None or problem.model.log_likelihood is None:
    return None
  likelihood = problem.model.log_likelihood
  binary = np.isin(problem.data.train.outcome, (0, 1)).all()

  def evaluate(state, batch):
    positions = some(state)
    logs = jax.lax.map(lambda z: likelihood(problem.target.constrain(z), batch), positions, batch_size=50)
    density = jax.nn.logsumexp(logs, 0) - jnp.log(len(positions))
    metrics = {"log_loss": Mean.of(-density, batch["mask"])}
    if binary:
      metrics["accuracy"] = Mean.of((density > jnp.log(0.5)).astype(density.dtype), batch["mask"])
    return metrics

  return evaluate


def kernel_of(config: ml_collections.ConfigDict, problem: Problem) -> Kernel:
  """What `config.method` moves chains by.

  Raises:
    UserError: Gibbs sampling of a model without conditionals; mini-batches of one without a likelihood of rows.
  """
  method, target = config.method, problem.target
  match method.name:
    case "nuts":
      return nuts(target, method.nuts.max_depth, method.nuts.acceptance)
    case "hmc":
      return kernels.hmc(target, method.hmc.path, method.hmc.most, method.hmc.acceptance)
    case "metropolis":
      return kernels.metropolis(target, method.metropolis.acceptance)
    case "langevin":
      own_fields = method.langevin
      return kernels.langevin(target, _gradient(own_fields.batch_size, problem), own_fields.decay, own_fields.delay)
  if problem.model is None or not problem.model.conditionals:
    remedy = "the model has no conditionals to draw from: choose nuts, or one of linear and mixture, or give it some."
    raise UserError("config.method.name", method.name, remedy)
  return kernels.gibbs(target, problem.model.conditionals)


def _gradient(size: int, problem: Problem) -> Callable | None:
  """Of the log-density, by `size` rows drawn anew at every transition; None for all rows."""
  if not size:
    return None
  model, data = problem.model, problem.data
  if data is None or model is None or model.log_prior is None or model.log_likelihood is None:
    remedy = "the model has no likelihood of single rows: set it to 0, which takes them all."
    raise UserError("config.method.langevin.batch_size", size, remedy)
  prior, likelihood = model.log_prior, model.log_likelihood
  arrays = {name: jnp.asarray(array) for name, array in data.train.arrays.items()}
  count = len(data.train.outcome)

  def log_density(z, index):
    values, log_det = model_lib.split(model, z)
    rows = {name: array[index] for name, array in arrays.items()}
    return prior(values) + log_det + count / size * likelihood(values, rows).sum()

  return lambda key, z: jax.grad(log_density)(z, jax.random.randint(key, (size,), 0, count))


def markov_chains(config: ml_collections.ConfigDict, problem: Problem, train_data: Dataset) -> Method:
  """Chains of the config's kernel, checked where they begin."""
  fields = config.method[config.method.name]
  settings = chains.Settings(
    chains=train_data.batch_size,
    warmup=fields.warmup,
    transitions=learning.duration(config, train_data),
    thin=fields.thin,
    step_size=fields.step_size,
    dense=fields.dense,
  )
  model_lib.check(problem.target, chains.starts(problem.target, jax.random.key(config.seed), settings.chains))

  def some(state):
    """As many of the draws there are as scores take, evenly."""
    count = min(config.report.draws, settings.chains * settings.capacity)
    place = jnp.arange(count)
    last = jnp.maximum(chains.kept(state, settings), 1)
    each = -(-count // settings.chains)
    return state.draws[place % settings.chains, place // settings.chains * last // each]

  learner = chains.chain_learner(problem.target, kernel_of(config, problem), settings, scorer(problem, some))
  return Method(learner, lambda state: state.draws[:, : max(int(chains.kept(state, settings)), 1)], True)
