"""Effective draws a second of NUTS, warm-up included, and of NumPyro's on the same models (the extra `inference`).

Of both: the least bulk effective sample size of any number, by the same estimator, over seconds of warm-up and draws,
compiled before, in float64, with a diagonal mass and the config's chains, draws and acceptance.  NumPyro's chains run
side by side in one program (`vectorized`), or, where there are as many devices as chains
(XLA_FLAGS=--xla_force_host_platform_device_count=4), in parallel.
"""

import importlib
import time

import jax
import numpy as np

from experiments import inference
from experiments.benchmark.timing import result, trained
from experiments.command import cli
from experiments.parts import learning, posteriors
from experiments.reports import inference as report_lib
from research.data import regressions
from research.inference import diagnostics, models
from research.training.precision import precision

Quantities = dict[str, np.ndarray]


def _ours(config) -> tuple[Quantities, float, int]:
  """Draws by quantity [chain, draw], seconds, gradient evaluations."""
  experiment, width = inference.experiment(config), 1000
  problem = posteriors.load(config)
  method = posteriors.markov_chains(config, problem, experiment.train_data)
  total = learning.duration(config, experiment.train_data)
  state, seconds = trained(experiment, config.seed, width, total)
  quantities = report_lib.scalars(report_lib.constrained(problem, method.draws(state)))
  return quantities, seconds, int(np.asarray(state.gradients).sum())


def _eight_schools():
  from numpyro import deterministic, distributions, plate, sample

  mu, tau = sample("mu", distributions.Normal(0, 5)), sample("tau", distributions.HalfCauchy(5))
  with plate("schools", 8):
    theta = deterministic("theta", mu + tau * sample("eta", distributions.Normal(0, 1)))
    sample("effect", distributions.Normal(theta, np.array(models.ERRORS)), obs=np.array(models.EFFECTS))


def _logistic():
  from numpyro import distributions, sample

  inputs, outcome = regressions.load("breast_cancer", "").train
  weights = sample("weights", distributions.Normal(0, 1).expand([inputs.shape[1]]).to_event(1))
  line = sample("intercept", distributions.Normal(0, 1)) + inputs @ weights
  sample("outcome", distributions.Bernoulli(logits=line), obs=outcome)


def _theirs(config, model) -> tuple[Quantities, float, int, str]:
  """The same of NumPyro, gradient evaluations of the draws alone; and how its chains ran."""
  infer = importlib.import_module("numpyro.infer")
  fields, count = config.method.nuts, config.train.batch_size
  how = "parallel" if jax.local_device_count() >= count else "vectorized"
  kernel = infer.NUTS(model, target_accept_prob=fields.acceptance, max_tree_depth=fields.max_depth)
  draws = int(config.train.duration.split()[0]) - fields.warmup
  options = {"num_warmup": fields.warmup, "num_samples": draws, "num_chains": count}
  sampler = infer.MCMC(kernel, **options, chain_method=how, progress_bar=False)
  seconds = 0.0
  for seed in (0, 1):  # the first compiles
    start = time.perf_counter()
    sampler.run(jax.random.key(seed), extra_fields=("num_steps",))
    jax.block_until_ready(sampler.get_samples())
    seconds = time.perf_counter() - start
  samples = {name: np.asarray(value) for name, value in sampler.get_samples(group_by_chain=True).items()}
  steps = int(np.asarray(sampler.get_extra_fields()["num_steps"]).sum())
  return report_lib.scalars(samples), seconds, steps, how


MODELS = {"eight_schools": _eight_schools, "logistic": _logistic}


def _told(quantities: Quantities, seconds: float, gradients: int) -> tuple[float, dict]:
  least = min(diagnostics.bulk_ess(draws) for draws in quantities.values())
  shape = next(iter(quantities.values())).shape
  detail = {"seconds": seconds, "ess_bulk": least, "gradients": gradients, "gradients_per_s": gradients / seconds}
  return least / seconds, detail | {"chains": shape[0], "draws": shape[1]}


def nuts(name: str) -> dict:
  """Ours."""
  with precision("float64"):
    value, detail = _told(*_ours(_config(name)))
  return result(name, "ess_per_second", value, "1/s", **detail)


def numpyro(name: str) -> dict:
  """NumPyro's; and how far our means are from its, in combined Monte Carlo errors."""
  config = _config(name)
  with precision("float64"):
    ours, _, _ = _ours(config)
    theirs, seconds, steps, how = _theirs(config, MODELS[name.rpartition("/")[2].removesuffix("_numpyro")])
    value, detail = _told(theirs, seconds, steps)
  error = lambda key: np.hypot(diagnostics.mcse_mean(ours[key]), diagnostics.mcse_mean(theirs[key]))
  apart = [abs(ours[key].mean() - draws.mean()) / error(key) for key, draws in theirs.items()]
  detail |= {"chain_method": how, "largest_distance_mcse": float(max(apart)), "quantities": len(apart)}
  line = result(name, "ess_per_second", value, "1/s", **detail)
  peer = f"numpyro {importlib.import_module('numpyro').__version__}"
  del line["ours"]
  return {"workload": name.removesuffix("_numpyro"), "peer": peer, **{k: v for k, v in line.items() if k != "workload"}}


def _config(name: str):
  return cli.load_config(f"configs/inference/{name.rpartition('/')[2].removesuffix('_numpyro')}.py")


WORKLOADS = {**dict.fromkeys(MODELS, nuts), **{f"{name}_numpyro": numpyro for name in MODELS}}
