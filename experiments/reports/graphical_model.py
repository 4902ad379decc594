"""What a run of a Bayesian network leaves behind: arrows, beliefs given evidence, its file; of images, completions."""

import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float, Int

from experiments.parts import generative
from experiments.parts.splits import Splits
from research import randomness
from research.data import bayesian_network, bif, discrete
from research.data.bayesian_network import BayesianNetwork, Variable
from research.data.discrete import DiscreteTable
from research.errors import UserError
from research.evaluation import belief_figures, figures
from research.families.graphical_model import elimination, factors, structure
from research.families.graphical_model.learning import Family
from research.training.experiment import Report

DEFINITIONS = {
  "test_nll_true": "negative log-likelihood of the tables that the rows were drawn from, nats a row; test set",
  "marginal_error": "largest distance of a probability given config.report.evidence from that by the true tables",
  "test_accuracy": "share of rows whose label is the most probable one given all other columns; test set",
  "width": "entries of the largest table that exact inference makes",
}


_ROWS = 128  # whose marginals are computed together


@functools.cache
def _marginals(family: Family):
  """Compiled once for all that asks."""
  return jax.jit(jax.vmap(lambda params, row: family.marginals(params, row).variables, (None, 0)))


class Use(NamedTuple):
  """A network at work; see `experiments.graphical_model`.

  Attributes:
    config: of the run.
    family: of the network.
    variables, parents: of its columns.
    parts: the rows.
    truth: the network that the rows were drawn from, where there is one.
  """

  config: ml_collections.ConfigDict
  family: Family
  variables: tuple[Variable, ...]
  parents: tuple[tuple[int, ...], ...]
  parts: Splits[DiscreteTable]
  truth: BayesianNetwork | None

  @property
  def cards(self) -> tuple[int, ...]:
    return tuple(len(variable.states) for variable in self.variables)

  @property
  def is_images(self) -> bool:
    return self.config.data.name == "digits" and not self.config.data.path

  @property
  def name(self) -> str:
    """Of the data."""
    return self.parts.train.name.removesuffix(" train")

  def asked(self) -> tuple[Int[np.ndarray, " variable"], dict[str, int]]:
    """What `config.report` has known, as places of states, and the variables that it queries: names and places.

    Raises:
      UserError: variables or states that there are not.
    """
    states = bayesian_network.evidence(self.variables, self.config.report.evidence, "config.report.evidence")
    names = [name.strip() for name in self.config.report.query.split(",") if name.strip()]
    return states, {name: bayesian_network.index_of(self.variables, name, "config.report.query") for name in names}

  def report(self, state) -> Report:
    """Figures of the arrows and of what is believed; the network as BIF; what is known where the truth is."""
    states, query = self.asked()
    metrics: dict[str, float] = {"width": float(self.family.plan.size)}
    after = self.believed(state.params, states, "config.report.evidence")
    pictures = {"network": self.arrows()}
    if self.is_images:
      pictures["completions"] = self.completions(state)
    else:
      before = self.believed(state.params, np.full_like(states, -1), "evidence")
      pictures["marginals"] = self.beliefs(before, after, states)
    for name, place in query.items():
      metrics[f"query_{name}"] = float(after[place, 0])
    if self.truth is not None:
      metrics |= self.beside_truth(self.truth, states, after)
      pictures["tables"] = self.tables(self.truth, state.params)
    if self.config.model.structure == "tan":
      metrics["test_accuracy"] = self.accuracy(state.params)
    given = f"probability of the first state of this variable given {self.config.report.evidence}"
    definitions = {**DEFINITIONS, **{f"query_{name}": given for name in query}}
    return Report(metrics, pictures, definitions, {"network.bif": bif.write(self.learned(state.params)).encode()})

  def believed(self, params, states: Int[np.ndarray, " variable"], field: str) -> Float[np.ndarray, "variable state"]:
    """p(x_i | states).

    Raises:
      UserError: what is known has probability 0.
    """
    marginals = jax.jit(self.family.marginals)(params, states)
    if elimination.impossible(marginals.log_partition):
      text = ", ".join(f"{v.name}={v.states[s]}" for v, s in zip(self.variables, states) if s >= 0)
      raise UserError(field, text, "the network gives it probability 0: say something that can be.")
    return np.asarray(marginals.variables)

  def learned(self, params) -> BayesianNetwork:
    """The network with the tables that were learned, under the name of the data."""
    tables = tuple(np.exp(np.asarray(table, np.float64)) for table in params)
    tables = tuple(table / table.sum(-1, keepdims=True) for table in tables)
    return BayesianNetwork(self.name, self.variables, self.parents, tables)

  def beliefs(self, before, after, states):
    names, choices = zip(*self.variables)
    title = f"before (grey) and given {self.config.report.evidence or 'nothing'} (red where known)"
    return belief_figures.marginals(names, choices, before, after, np.flatnonzero(states >= 0).tolist(), title)

  def arrows(self):
    """The network; of images, its tree on the grid of pixels, darker where pixels tell more of each other."""
    kind = {"given": "as given", "chow_liu": "the best tree", "tan": "the best tree around the label"}
    title = f"{self.name}: arrows {kind[self.config.model.structure]}"
    if not self.is_images:
      names = [variable.name for variable in self.variables]
      return belief_figures.network(belief_figures.layers(self.parents), self.parents, names, title=title)
    label = len(self.variables) - 1 if self.config.model.label else None
    info = structure.mutual_information(self.parts.train.values, self.cards, label)
    pairs = {(p, c): info[p, c] for c, each in enumerate(self.parents) for p in each if p != label}
    most = max(pairs.values()) or 1.0
    places = np.stack([np.arange(64) % 8, -(np.arange(64) // 8)], 1).astype(float)
    tree = [[p for p in each if p != label] for each in self.parents[:64]]
    strength = {pair: value / most for pair, value in pairs.items()}
    return belief_figures.network(places, tree, (), strength, f"{title}\ndarker: more mutual information")

  def beside_truth(self, truth: BayesianNetwork, states, after) -> dict[str, float]:
    """Likelihood and beliefs by the true tables."""
    tables = tuple(factors.log(table) for table in truth.tables)
    plan = elimination.plan(truth.cards, factors.families(truth.parents))
    values = jnp.asarray(self.parts.test.values)
    exact, evidence = jax.jit(
      lambda values: (
        jax.vmap(lambda row: elimination.log_joint(plan, tables, row))(factors.evidence(self.cards, values)),
        elimination.marginals(plan, tables, factors.evidence(self.cards, states)),
      )
    )(values)
    error = np.abs(np.asarray(evidence.variables) - after).max()
    return {"test_nll_true": float(-exact.mean()), "marginal_error": float(error)}

  def tables(self, truth: BayesianNetwork, params):
    """Learned entries against true ones, where the arrows are the same."""
    if self.parents != truth.parents:
      return belief_figures.network(
        belief_figures.layers(truth.parents), truth.parents, truth.names, title="the true arrows"
      )
    plan = self.family.plan
    true = tuple(factors.log(table) for table in truth.tables)
    free = factors.evidence(self.cards, np.full(len(self.cards), -1))
    joint = jax.jit(lambda: elimination.marginals(plan, true, free).factors)()
    weight = [np.broadcast_to(np.asarray(p).sum(-1, keepdims=True), p.shape).ravel() for p in joint]
    flat = lambda tables: np.concatenate([np.ravel(table) for table in tables])
    return belief_figures.tables(
      flat(truth.tables),
      flat([np.exp(table) for table in params]),
      np.concatenate(weight),
      "entries of all tables",
    )

  def accuracy(self, params) -> float:
    label = bayesian_network.index_of(self.variables, self.config.model.label, "config.model.label")
    values = self.parts.test.values
    hidden = values.copy()
    hidden[:, label] = -1
    probabilities = self.of_rows(params, hidden)[:, label]
    known = values[:, label] >= 0
    return float((probabilities.argmax(-1) == values[:, label])[known].mean())

  def given(self, params, rows) -> jax.Array:
    """p(x_i | what is known) [row, variable, state] of rows in which -1 is not known."""
    return jax.vmap(lambda row: self.family.marginals(params, row).variables)(rows)

  def of_rows(self, params, values: Int[np.ndarray, "row variable"]) -> Float[np.ndarray, "row variable state"]:
    """p(x_i | what is known) of every row."""
    return generative.batched(lambda rows: _marginals(self.family)(params, rows), _ROWS, values)

  def completions(self, state):
    """The lower half of test images hidden: how probable each pixel is, the most probable image, and three samples."""
    count = self.config.report.samples
    values = self.parts.test.values[:count]
    seen = values.copy()
    seen[:, 32:] = -1  # the label too
    plan, params = self.family.plan, state.params
    keys = randomness.example_keys(randomness.stream_key(state.key, "completions"), 3 * len(values))
    unary = factors.evidence(self.cards, jnp.asarray(seen))
    draw = jax.vmap(lambda row, key: elimination.sample(plan, params, row, key))
    best, samples = jax.jit(
      lambda unary: (
        jax.vmap(lambda row: elimination.most_probable(plan, params, row)[1])(unary),
        draw(jnp.repeat(unary, 3, 0), keys),
      )
    )(unary)
    rows = [values[:, :64], np.where(seen < 0, 0.5, seen)[:, :64], self.of_rows(params, seen)[:, :64, 1]]
    samples = np.asarray(samples)[:, :64].reshape(len(values), 3, 64)
    rows += [np.asarray(best)[:, :64], *(samples[:, i] for i in range(3))]
    images = np.concatenate(rows).astype(np.float32).reshape(-1, 8, 8)
    title = "test images; what is seen; probability of each pixel; most probable; three samples"
    return figures.image_grid(images, columns=len(values), title=title)

  def predict(self, state, path: str) -> dict[str, Any]:
    """Probabilities given evidence as in 'smoke=yes,xray=yes', or given what each row of a CSV file knows."""
    names = np.asarray([variable.name for variable in self.variables])
    if not path:
      raise UserError("--input", path, "give evidence as in smoke=yes,xray=yes, or a CSV file; samples: --mode=sample.")
    if pathlib.Path(path).suffix == ".csv":
      values = discrete.read(path, self.variables).values
    else:
      values = bayesian_network.evidence(self.variables, path, "--input")[None]
      self.believed(state.params, values[0], "--input")
    probabilities = self.of_rows(state.params, values)
    best = probabilities.argmax(-1)
    states = np.array([[v.states[s] for v, s in zip(self.variables, row)] for row in best])
    if pathlib.Path(path).suffix != ".csv":
      for name, row in zip(self.variables, probabilities[0]):
        print(f"{name.name}: " + ", ".join(f"{state} {p:.4f}" for state, p in zip(name.states, row)))
    return {"variables": names, "probabilities": probabilities, "most_probable": states}

  def sample(self, state) -> dict[str, Any]:
    """Rows drawn from the network, as `samples.csv` too."""
    rows = self.learned(state.params).sample(self.config.report.samples, self.config.seed)
    words = [[variable.states[s] for variable, s in zip(self.variables, row)] for row in rows]
    lines = [",".join(f'"{cell}"' for cell in line) for line in [[v.name for v in self.variables], *words]]
    return {"samples": rows, "samples.csv": ("\n".join(lines) + "\n").encode()}
