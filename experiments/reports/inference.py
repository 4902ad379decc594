"""What is drawn and told of a posterior: diagnostics, quantities and their errors, figures, draws as files."""

import dataclasses
import functools
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.parts import approximations
from experiments.parts.posteriors import Method, Problem
from research import randomness
from research.data import regressions, table
from research.errors import UserError
from research.evaluation import posteriors as figures
from research.inference import diagnostics, netcdf
from research.inference.nuts import nuts
from research.training import chains
from research.training.experiment import Report

DEFINITIONS = {
  "log_density": "mean log-density of the posterior, unnormalised and unconstrained, where the chains are",
  "elbo": "evidence lower bound, nats: log-density of the model minus that of the approximation, at draws of it",
  "log_loss": "mean of -log p(row | training rows), the density averaged over posterior draws, nats",
  "accuracy": "share of rows whose outcome has a posterior predictive probability above 1/2",
  "r_hat": "largest rank-normalised split R-hat of all quantities (Vehtari et al. 2021)",
  "ess_bulk": "least effective sample size of the bulk, over all quantities",
  "ess_tail": "least effective sample size of the 5 % and 95 % quantiles, over all quantities",
  "divergences": "divergent transitions after warm-up, of all chains",
  "e_bfmi": "least energy Bayesian fraction of missing information of the chains",
  "acceptance": "mean acceptance probability after warm-up",
  "gradients": "gradient evaluations of all chains, warm-up included",
}
COMPARED = {
  "mean_difference": "largest distance of a mean from NUTS's, in deviations of NUTS's draws",
  "least_sd_ratio": "least deviation, in those of NUTS's draws",
  "largest_sd_ratio": "largest deviation, in those of NUTS's draws",
}
DEVIATION = "largest distance of a mean from the reference's, in combined Monte Carlo standard errors"

FEW = 10  # draws of a chain, below which nothing is said of its errors


@dataclasses.dataclass(frozen=True)
class Use:
  """What a posterior is used for, from a state."""

  config: ml_collections.ConfigDict
  problem: Problem
  method: Method

  def quantities(self, state: Any) -> dict[str, np.ndarray]:
    """Draws [chain, draw] of every number, by name: `mu`, `theta[1]`."""
    draws = self.method.draws(state)
    approximations.check_finite(draws, self.config.method.name)
    return scalars(constrained(self.problem, draws))

  def measure(self, state: Any, data: Any) -> dict[str, float]:
    """Diagnostics of chains, as far as they have come."""
    del data
    if not self.method.is_chains:
      return {}
    quantities, record = self.quantities(state), recorded(state, self.method.draws(state).shape[1])
    measured = {
      "divergences": int(record["divergent"].sum()),
      "acceptance": float(record["acceptance"].mean()),
      "gradients": int(np.asarray(state.gradients).sum()),
    }
    if record["energy"].shape[1] < FEW:
      return measured
    varying = [draws for draws in quantities.values() if np.ptp(draws) > 0]
    of = lambda function: [function(draws) for draws in varying] or [float("nan")]
    return measured | {
      "r_hat": max(of(diagnostics.r_hat)),
      "ess_bulk": min(of(diagnostics.bulk_ess)),
      "ess_tail": min(of(diagnostics.tail_ess)),
      "e_bfmi": float(diagnostics.e_bfmi(record["energy"]).min()),
    }

  def report(self, state: Any) -> Report:
    """Means and deviations of what `config.report.quantities` names (the first six by default), and figures."""
    quantities = self.quantities(state)
    chosen = self.chosen(quantities)
    metrics, definitions = {}, {}
    for name, draws in chosen.items():
      metrics |= {name: float(draws.mean()), f"{name}_sd": float(draws.std(ddof=1))}
      definitions |= {name: f"posterior mean of {name}", f"{name}_sd": f"posterior standard deviation of {name}"}
    reference = self.reference(quantities)
    if reference and next(iter(quantities.values())).shape[1] >= FEW:
      metrics["deviation"], definitions["deviation"] = deviation(quantities, reference), DEVIATION
    pictures: dict[str, Any] = {"pairs": figures.pairs(chosen, self.divergent(state))}
    peer = self.by_nuts(state) if self.config.report.compare else None
    if peer is not None:
      metrics |= compared(quantities, peer)
      definitions |= COMPARED
    pictures["intervals"] = figures.intervals(dict(list(quantities.items())[:40]), reference, peer)
    if self.method.is_chains:
      pictures |= {"traces": figures.traces(chosen), "ranks": figures.ranks(chosen)}
      energies = recorded(state, next(iter(quantities.values())).shape[1])["energy"]
      if energies.shape[1] > 1:
        pictures["energy"] = figures.energy(energies, diagnostics.e_bfmi(energies).tolist())
    pictures |= self.predictive(state)
    files = {"summary.tsv": summary(quantities)} if next(iter(quantities.values())).shape[1] >= FEW else {}
    if self.config.report.netcdf:
      files["inference_data.nc"] = self.inference_data(state)
    return Report(metrics, pictures, definitions, files)

  def inference_data(self, state: Any) -> bytes:
    """Draws, what is told of them, and the data, as ArviZ reads them."""
    draws, observed = self.method.draws(state), getattr(self.problem.model, "observed", None)
    facts = recorded(state, draws.shape[1]) if self.method.is_chains else {}
    data = {} if observed is None else {"outcome": np.asarray(observed)}
    return netcdf.dumps(constrained(self.problem, draws), facts, data)

  def by_nuts(self, state: Any) -> dict[str, np.ndarray]:
    """Draws of four NUTS chains, by quantity, half of them warm-up."""
    target, count = self.problem.target, self.config.report.compare
    learner = chains.chain_learner(target, nuts(target), chains.Settings(4, count // 2, count, dense=True))
    batch = {"mask": np.ones(4, np.float32)}
    key = randomness.stream_key(state.key, "peer")
    run = lambda: jax.lax.fori_loop(0, count, lambda _, s: learner.update(s, batch)[0], learner.init(key, batch)).draws
    return scalars(constrained(self.problem, jax.jit(run)()))

  def chosen(self, quantities: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those that the config names."""
    names = tuple(self.config.report.quantities) or tuple(quantities)[:6]
    for name in names:
      if name not in quantities:
        raise UserError("config.report.quantities", name, f"there are {', '.join(quantities)}.")
    return {name: quantities[name] for name in names}

  def reference(self, quantities: dict[str, np.ndarray]) -> dict[str, tuple[float, float]]:
    """Means and their standard errors, by the name of each number."""
    listed = {}
    for name, (means, errors) in self.config.report.reference.items():
      pair = {name: np.asarray(means, float)}, {name: np.asarray(errors, float)}
      means, errors = (scalars({k: v[None, None] for k, v in part.items()}) for part in pair)
      listed |= {key: (float(means[key][0, 0]), float(errors[key][0, 0])) for key in means}
    missing = [name for name in listed if name not in quantities]
    if missing:
      raise UserError("config.report.reference", missing[0], f"there are {', '.join(quantities)}.")
    return listed

  def divergent(self, state: Any) -> np.ndarray | None:
    """Which draws ended a divergent trajectory; None of what has none."""
    if self.config.method.name not in ("nuts", "hmc"):
      return None
    return recorded(state, self.method.draws(state).shape[1])["divergent"]

  def predictive(self, state: Any) -> dict[str, Any]:
    """Replicated data, and, of one input, the fitted line."""
    model, pictures = self.problem.model, {}
    if model is None:
      return pictures
    positions = self.some(state, 200)
    replicate, constrain = model.replicate, self.problem.target.constrain
    if replicate is not None and model.observed is not None:
      keys = jax.random.split(jax.random.key(0), len(positions))
      one = lambda pair: replicate(pair[0], constrain(pair[1]))
      replicated = jax.device_get(jax.jit(lambda: jax.lax.map(one, (keys, positions)))())
      pictures["predictive"] = figures.predictive(model.observed, replicated)
    data = self.problem.data
    if data is not None and model.predict is not None and len(data.columns) == 1:
      x = data.train.inputs[:, 0]
      margin = 0.15 * np.ptp(x)
      points = np.linspace(x.min() - margin, x.max() + margin, 200)
      mean, deviation = self.predicted(positions, points[:, None])
      truth = regressions.waves(points) if self.config.data.name == "waves" and not self.config.data.path else None
      pictures["fit"] = figures.fit(x, data.train.outcome, points, mean, deviation, truth)
    return pictures

  def some(self, state: Any, count: int) -> Any:
    """So many of the draws [draw, size], evenly."""
    draws = self.method.draws(state)
    flat = draws.reshape(-1, draws.shape[-1])
    return flat[np.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int)]

  def predicted(self, positions: Any, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of an outcome at each of the inputs, over draws and noise."""
    model, target = self.problem.model, self.problem.target
    assert model is not None
    predict = model.predict
    assert predict is not None
    one = lambda z: predict(target.constrain(z), inputs)
    means, variances = jax.device_get(jax.jit(lambda: jax.lax.map(one, positions))())
    return means.mean(0), np.sqrt(variances.mean(0) + means.var(0))

  def predict(self, state: Any, source: str) -> dict[str, Any]:
    """Draws by name [chain, draw, ...]; or, for rows of a CSV file of inputs, outcomes' means and deviations."""
    if not source:
      return constrained(self.problem, self.method.draws(state))
    model, data = self.problem.model, self.problem.data
    if data is None or model is None or model.predict is None:
      raise UserError("--input", source, "this model predicts no outcomes of rows: leave it out, for draws.")
    inputs = table.read(source).of(data.columns, f"--input = {source}")
    mean, deviation = self.predicted(self.some(state, self.config.report.draws), data.scaled(inputs))
    return {"mean": mean, "deviation": deviation}


def constrained(problem: Problem, draws: Any) -> dict[str, np.ndarray]:
  """Values by name [chain, draw, ...], from unconstrained draws; parameters first, in the model's order."""
  values = jax.device_get(_compiled(problem.target.constrain)(draws))
  order = [*problem.model.parameters] if problem.model else []
  return {name: values[name] for name in (*order, *(name for name in values if name not in order))}


@functools.lru_cache(maxsize=4)
def _compiled(constrain):
  return jax.jit(jax.vmap(jax.vmap(constrain)))


def scalars(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Each number of arrays [chain, draw, ...] by a name of its own; indices begin with 1, as the literature's do."""
  numbers = {}
  for name, array in values.items():
    for index in np.ndindex(*array.shape[2:]):
      place = ",".join(str(i + 1) for i in index)
      numbers[f"{name}[{place}]" if index else name] = array[(slice(None), slice(None), *index)]
  return numbers


def recorded(state: Any, count: int) -> dict[str, np.ndarray]:
  """What is told of the draws that there are."""
  return {name: np.asarray(values)[:, :count] for name, values in state.record.items()}


def deviation(quantities: dict[str, np.ndarray], reference: dict[str, tuple[float, float]]) -> float:
  """The largest distance of a mean from its reference, over the root of the sum of both squared errors."""
  of = lambda name, mean, error: (
    abs(quantities[name].mean() - mean) / np.hypot(diagnostics.mcse_mean(quantities[name]), error)
  )
  return float(max(of(name, *pair) for name, pair in reference.items()))


def compared(quantities: dict[str, np.ndarray], peer: dict[str, np.ndarray]) -> dict[str, float]:
  """See `COMPARED`."""
  spread = {name: draws.std(ddof=1) for name, draws in peer.items() if np.ptp(draws) > 0}
  shifts = [abs(quantities[name].mean() - peer[name].mean()) / deviation for name, deviation in spread.items()]
  ratios = [quantities[name].std(ddof=1) / deviation for name, deviation in spread.items()]
  values = (max(shifts), min(ratios), max(ratios))
  return {name: float(value) for name, value in zip(COMPARED, values)}


def summary(quantities: dict[str, np.ndarray]) -> bytes:
  """A table, tabs between columns: every quantity's mean, deviation, quantiles, error and diagnostics."""
  rows = {name: diagnostics.summary(draws) for name, draws in quantities.items()}
  columns = list(next(iter(rows.values())))
  lines = ["\t".join(["quantity", *columns])]
  lines += ["\t".join([name, *(f"{row[column]:.5g}" for column in columns)]) for name, row in rows.items()]
  return ("\n".join(lines) + "\n").encode()
