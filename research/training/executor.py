"""An experiment laid over devices: its init, update and evaluate, compiled, fed and fetched."""

import dataclasses
import functools
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from research.data.dataset import Dataset
from research.metrics import Mean
from research.training import parallel, processes
from research.training.experiment import Experiment

PREFETCH = 2  # dispatches that a streamed data set is read ahead


class Executor:
  """Owns the compiled functions of a run; holds no state of training."""

  def __init__(self, experiment: Experiment, plan: parallel.Plan, seed: int, steps_per_dispatch: int = 1):
    self.experiment, self.plan, self.steps_per_dispatch = experiment, plan, steps_per_dispatch
    self._key = jax.random.key(seed)
    self._resident: dict[int, tuple[Dataset, Any]] = {}
    self._counts: dict[int, jax.Array] = {}
    self._feeds: dict[int, tuple[Dataset, Callable]] = {}
    self._update = None
    self._evaluate: dict[int, Callable] = {}
    data, learner = experiment.train_data, experiment.learner
    self._init = lambda key, resident, fed: learner.init(key, data.assemble(resident, fed))

  def abstract_state(self):
    """Shapes, dtypes and shardings of the state, without computing it: what a checkpoint is restored into."""
    shapes = jax.eval_shape(self._init, self._key, self.experiment.train_data.resident, self._feed_shapes)
    place = lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
    return jax.tree.map(place, shapes, self.plan.state_shardings(shapes))

  @functools.cached_property
  def _feed_shapes(self):
    """Shapes and dtypes of one step's feed: those of the first batch, the only one that is read for them."""
    return jax.eval_shape(lambda feed: feed, self.experiment.train_data.feed(0))

  def init_state(self):
    """The state at step 0, from the seed and the first batch."""
    whole = self.plan.place_resident(self.experiment.train_data.feed(0))
    key = jax.random.wrap_key_data(self.plan.place_resident(jax.random.key_data(self._key)))
    return self.plan.init(self._init, key, self.resident(self.experiment.train_data), whole)

  def resident(self, dataset: Dataset):
    """The data set's arrays on the devices, placed at first use."""
    if id(dataset) not in self._resident:  # the set is held too, or another could come to have its id
      self._resident[id(dataset)] = dataset, self.plan.place_data(dataset.resident, dataset.divided)
    return self._resident[id(dataset)][1]

  def _feed(self, dataset: Dataset) -> Callable:
    """This process's part of the data set's `feed`."""
    if id(dataset) not in self._feeds:
      self._feeds[id(dataset)] = dataset, dataset.part(*self.plan.share)
    return self._feeds[id(dataset)][1]

  def update(self, state, feed, count):
    """Up to `steps_per_dispatch` updates: the new state, and the last update's metrics, still on the device."""
    function, resident = self._compiled_update(state), self.resident(self.experiment.train_data)
    with jax.transfer_guard_host_to_device("disallow"):
      return function(state, resident, count, feed)

  def _compiled_update(self, state) -> Callable:
    """The one compiled update of this run, made at first use; of the state only the layout matters."""
    if self._update is None:
      learner, data = self.experiment.learner, self.experiment.train_data
      function = parallel.training_dispatch(learner, data.assemble, self.steps_per_dispatch)
      self._update = self.plan.compile_update(function, state)
    return self._update

  def abstract_update(self) -> tuple[Callable, tuple[Any, ...]]:
    """The function that `update` calls, and its arguments as shapes, dtypes and layouts: what its `lower` takes.

    Nothing is computed and nothing is placed, so the plan's devices need not exist: see `launch.preflight`.
    """
    state, data = self.abstract_state(), self.experiment.train_data
    resident = self.plan.abstract_data(jax.eval_shape(lambda tree: tree, dict(data.resident)), data.divided)
    stack = lambda x: jax.ShapeDtypeStruct((self.steps_per_dispatch, *x.shape), x.dtype)
    feed = self.plan.abstract_feed(jax.tree.map(stack, self._feed_shapes))
    count = self.plan.abstract_resident(jax.ShapeDtypeStruct((), np.int32))
    return self._compiled_update(state), (state, resident, count, feed)

  def feeds(
    self, dataset: Dataset, spans: Iterable[tuple[int, int]], width: int
  ) -> Generator[tuple[int, int, Any, Any]]:
    """For spans (step, count): `(step, count, feed on the devices, count on the device)`, streamed sets read ahead."""
    feed = self._feed(dataset)

    def place(span):
      step, count = span
      if count not in self._counts:  # few are different
        self._counts[count] = self.plan.place_scalar(count)
      return step, count, self.plan.place_feed(_stack(feed, step, count, width)), self._counts[count]

    if dataset.resident:  # a feed is a few indices: a thread would cost more than it hides
      yield from map(place, spans)
      return
    pool, pending = ThreadPoolExecutor(1), []
    try:
      for span in spans:
        pending.append(pool.submit(place, span))
        if len(pending) > PREFETCH:
          yield pending.pop(0).result()
      for future in pending:
        yield future.result()
    finally:  # one who stops early does not wait for what was read ahead
      pool.shutdown(cancel_futures=True)

  def evaluate(self, state, dataset: Dataset | None, poll: Callable[[], None] = lambda: None) -> dict[str, np.ndarray]:
    """Means over the whole of a data set, the ragged last batch included, and what the experiment derives of them.

    Batches come in order; what the learner carries from one to the next begins anew here.  `poll` is called between.
    """
    if dataset is None:
      return {}
    if id(dataset) not in self._evaluate:
      function = parallel.evaluation_dispatch(self.experiment.learner, dataset.assemble)
      self._evaluate[id(dataset)] = self.plan.compile_evaluate(function)
    total, previous, resident = None, None, self.resident(dataset)
    carry = self._carry(dataset)
    for _, _, feed, count in self.feeds(dataset, ((i, 1) for i in range(dataset.num_batches)), 1):
      with jax.transfer_guard_host_to_device("disallow"):
        metrics, carry = self._evaluate[id(dataset)]((state, carry), resident, count, feed)
      total, previous = _accumulate(total, previous), metrics
      poll()
    values = means(_accumulate(total, previous) or {})
    return _joined(values, self.experiment.derive(values)) if self.experiment.derive and values else values

  def _carry(self, dataset: Dataset):
    """What an evaluation of this set begins with."""
    carry = self.experiment.learner.carry
    if carry is None:
      return None
    first = self.plan.place_resident(dataset.feed(0))
    begin = lambda resident, fed: carry(dataset.assemble(resident, fed))
    return self.plan.init(begin, self.resident(dataset), first)

  def measure(self, state, dataset: Dataset | None, poll: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """What the experiment measures on the host; of several processes all compute it, and the first one's counts.

    `poll` is called before and after, and whenever a batch is asked for.
    """
    if dataset is None or self.experiment.measure is None:
      return {}

    def feed(step: int):
      poll()
      return dataset.feed(step)

    poll()
    polling = dataclasses.replace(dataset, feed=feed, parts=None)
    values = self.experiment.measure(self.plan.local(state), polling)
    values = processes.from_main({name: np.asarray(value).tolist() for name, value in values.items()})
    poll()
    return {name: np.asarray(value) for name, value in values.items()}


def _joined(means, derived) -> dict[str, Any]:
  """Both; ValueError where they share a name."""
  if shared := sorted({*means} & {*derived}):
    raise ValueError(f"derived metrics have names of means: {', '.join(shared)}")
  return {**means, **{name: np.asarray(value) for name, value in derived.items()}}


def _stack(feed: Callable, step: int, count: int, width: int):
  """Feeds of `count` steps stacked along a new leading axis, padded to `width` so that one program fits all."""
  feeds = [feed(step + i) for i in range(count)]
  if width == 1:
    return jax.tree.map(lambda x: x[None], feeds[0])
  feeds += [feeds[-1]] * (width - count)
  return jax.tree.map(lambda *xs: np.stack(xs), *feeds)


def _accumulate(total, metrics):
  """Adds a batch's metrics on the host, in float64."""
  if metrics is None:
    return total
  metrics = jax.tree.map(lambda x: np.asarray(x, np.float64), jax.device_get(metrics))
  return metrics if total is None else jax.tree.map(np.add, total, metrics)


def means(metrics) -> dict[str, np.ndarray]:
  """`{name: total / count}` of fetched metrics; NaN where nothing was counted."""
  with np.errstate(invalid="ignore", divide="ignore"):
    return {name: np.divide(m.total, m.count) for name, m in metrics.items() if isinstance(m, Mean)}
