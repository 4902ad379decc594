"""Many small graphs in rows of a fixed budget of nodes and edges (`packs`), and a batch of rows as one graph."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np

from research.data.dataset import Dataset
from research.data.molecules import Molecules
from research.data.packs import Packing
from research.graphs.graph import Graph


def packed(
  molecules: Molecules, budgets: tuple[int, int, int], batch_size: int, *, seed: int | None, name: str = "molecules"
) -> Dataset:
  """Batches of rows; a row holds graphs side by side, each exactly once an epoch.

  A batch has `graph`, all its rows in one, of which each ends with a node that is padding; and, [row, graph, ...],
  `targets` [..., task], 0 where it is not known, `known` [..., task] and `mask`.

  Args:
    molecules: the graphs.
    budgets: nodes (one of them padding), edges and graphs of a row.
    batch_size: rows of a batch.
    seed: of the order of training; None for one pass in order of the rows, the last batch padded and masked.
    name: for messages.

  Raises:
    UserError: a graph that exceeds the budgets.
  """
  nodes, edges, graphs = budgets
  sizes = np.stack([molecules.num_atoms, molecules.num_bonds, np.ones(len(molecules), np.int64)], 1)
  packing = Packing(sizes, (nodes - 1, edges, graphs), seed=seed, name=name)
  starts = [np.cumsum(counts) - counts for counts in (molecules.num_atoms, molecules.num_bonds)]
  known = np.isfinite(molecules.targets)
  resident = {
    "atoms": molecules.atoms,
    "bonds": molecules.bonds,
    "senders": molecules.senders,
    "receivers": molecules.receivers,
    "targets": np.where(known, molecules.targets, 0),
    "known": known.astype(np.float32),
  }

  def feed(step: int) -> dict[str, np.ndarray]:
    fed = {
      "node": np.zeros((batch_size, nodes), np.int32),
      "slot": np.full((batch_size, nodes), graphs, np.int32),
      "edge": np.zeros((batch_size, edges), np.int32),
      "shift": np.full((batch_size, edges), -1, np.int32),
      "item": np.full((batch_size, graphs), -1, np.int32),
    }
    for row, items in enumerate(packing(step * batch_size, batch_size)):
      counts, bonds = molecules.num_atoms[items], molecules.num_bonds[items]
      first = np.cumsum(counts) - counts
      fed["item"][row, : len(items)] = items
      fed["node"][row, : counts.sum()] = _ranges(starts[0][items], counts)
      fed["slot"][row, : counts.sum()] = np.repeat(np.arange(len(items)), counts)
      fed["edge"][row, : bonds.sum()] = _ranges(starts[1][items], bonds)
      fed["shift"][row, : bonds.sum()] = np.repeat(first, bonds)
    return fed

  share = Fraction(batch_size, packing.num_bins)
  units = {"examples": share * len(molecules)}
  return Dataset(name, resident, feed, assembly(budgets), batch_size, packing.num_bins, units=units)


def _ranges(starts, counts) -> np.ndarray:
  before = np.cumsum(counts) - counts
  return np.repeat(starts - before, counts) + np.arange(counts.sum())


def assembly(budgets: tuple[int, int, int]) -> Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]:
  """`assemble` of `packed`: rows side by side, their nodes and edges renumbered, still sorted by receiver."""
  nodes, _, graphs = budgets

  def assemble(resident, fed):
    rows = fed["node"].shape[0]
    base = jnp.arange(rows)[:, None] * nodes
    real = fed["shift"] >= 0
    local = lambda ends: jnp.where(real, resident[ends][fed["edge"]] + fed["shift"], nodes - 1) + base
    slots = fed["slot"] + jnp.arange(rows)[:, None] * (graphs + 1)  # the last slot of a row is for its padding
    graph = Graph(
      nodes=resident["atoms"][fed["node"].ravel()].astype(jnp.int32),
      senders=local("senders").ravel(),
      receivers=local("receivers").ravel(),
      edges=resident["bonds"][fed["edge"].ravel()].astype(jnp.int32),
      graph=slots.ravel(),
      num_graphs=rows * (graphs + 1),
    )
    there = (fed["item"] >= 0).astype(jnp.float32)
    item = jnp.maximum(fed["item"], 0)
    known = resident["known"][item] * there[..., None]
    return {"graph": graph, "targets": resident["targets"][item], "known": known, "mask": there, "item": fed["item"]}

  return assemble
