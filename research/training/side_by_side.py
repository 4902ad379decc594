"""Runs that differ by their seed alone, trained side by side by vmap: to the loop one run, on one device.

Each member has the key and the batches of a run of its own with that seed, and so comes to the same numbers, to
rounding: its sums are taken in another order.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from research.data.dataset import Dataset
from research.metrics import Mean, Metrics
from research.training.experiment import Experiment
from research.training.learner import EnsembleState, Learner


def experiment(experiments: Sequence[Experiment], seeds: Sequence[int]) -> Experiment:
  """One experiment for the loop, of which `experiments[i]` with `seeds[i]` is member i; see `why_not`.

  Its metrics are named `<name>/<seed>`; it has no report: reports are each member's own.
  """
  first = experiments[0]
  derive, measure = first.derive, first.measure
  return dataclasses.replace(
    first,
    learner=_learner(first.learner, seeds),
    train_data=_feeding([one.train_data for one in experiments]),
    report=Experiment.report,
    predict=None,
    derive=_of_each(seeds, lambda i, means: derive(_own(means, seeds[i]))) if derive else None,
    measure=_of_each(seeds, lambda i, state, data: measure(member(state, i), data)) if measure else None,
  )


def member(state: EnsembleState, index: int):
  """The state of one member, as a run of its own would have left it."""
  return jax.tree.map(lambda leaf: leaf[index], state.members)


def _of_each(seeds: Sequence[int], metrics: Callable) -> Callable:
  """`metrics(i, ...)` of every member, by the names of its seed."""

  def of_all(*args):
    return {f"{name}/{seed}": value for i, seed in enumerate(seeds) for name, value in metrics(i, *args).items()}

  return of_all


def _own(means: Mapping[str, Any], seed: int) -> dict[str, Any]:
  suffix = f"/{seed}"
  return {name.removesuffix(suffix): value for name, value in means.items() if name.endswith(suffix)}


def _learner(learner: Learner, seeds: Sequence[int]) -> Learner:
  def init(key, batch):
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    return EnsembleState.create(key, members=jax.vmap(learner.init)(keys, batch))

  def update(state, batch):
    members, metrics = jax.vmap(learner.update)(state.members, batch)
    skipped = members.skipped.sum(dtype=jnp.int32)
    metrics = {**metrics, "skipped": Mean(members.skipped.astype(jnp.float32), jnp.ones(len(seeds)))}
    return state.replace(step=state.step + 1, members=members, skipped=skipped), _named(metrics, seeds)

  def evaluate(state, batch):
    return _named(jax.vmap(learner.evaluate, in_axes=(0, None))(state.members, batch), seeds)

  watched = learner.watched
  named = None if watched is None else tuple(f"{name}/{seed}" for name in watched for seed in seeds)
  return learner._replace(init=init, update=update, evaluate=evaluate, watched=named)


def _named(metrics: Metrics, seeds: Sequence[int]) -> dict[str, Mean]:
  pick = lambda mean, i: Mean(mean.total[i], mean.count[i])
  return {f"{name}/{seed}": pick(mean, i) for name, mean in metrics.items() for i, seed in enumerate(seeds)}


def _feeding(datasets: Sequence[Dataset]) -> Dataset:
  """Every member's batches: fed as [row, member, ...], assembled to [member, row, ...]."""
  first = datasets[0]

  def feed(step: int):
    return jax.tree.map(lambda *rows: np.stack(rows, 1), *(one.feed(step) for one in datasets))

  def assemble(resident, fed):
    return jax.vmap(first.assemble, in_axes=(None, 1))(resident, fed)

  return dataclasses.replace(first, feed=feed, assemble=assemble, parts=None)


def why_not(experiments: Sequence[Experiment]) -> str:
  """Why these experiments, the same but for the seed, cannot be trained side by side; empty where they can.

  They can where the seed decides nothing but keys and the order of examples: then all have the same data, and their
  programs read the same.
  """
  first = experiments[0]
  if first.learner.carry:
    return "state that is carried from batch to batch belongs to one run"
  for other in experiments[1:]:
    for name in ("train_data", "eval_data", "test_data"):
      one, another = getattr(first, name), getattr(other, name)
      if one is not None and not _same(dict(one.resident), dict(another.resident)):
        return f"the seed decides what is in {name}"
      if one is not None and name != "train_data" and not _same(one.feed(0), another.feed(0)):
        return f"the seed decides the order of {name}"
  program = _program(first)
  if len(experiments) > 1 and program != _program(experiments[1]):
    return "the seed decides more than keys and the order of examples"
  if jax.default_backend() == "cpu" and "stablehlo.convolution" in program:
    return "convolutions of several networks at once are slow on CPU"
  return ""


def _same(one, other) -> bool:
  leaves, others = jax.tree.leaves(one), jax.tree.leaves(other)
  return len(leaves) == len(others) and all(a is b or np.array_equal(a, b) for a, b in zip(leaves, others))


def _program(experiment: Experiment) -> str:
  """Initialisation and one update, as the compiler is given them."""
  data, learner = experiment.train_data, experiment.learner

  def both(key, resident, fed):
    batch = data.assemble(resident, fed)
    return learner.update(learner.init(key, batch), batch)

  return jax.jit(both).lower(jax.random.key(0), dict(data.resident), data.feed(0)).as_text()
