"""Batches as a function of (seed, step), in memory and streamed."""

import threading

import jax
import numpy as np
import pytest

from research.data import pipeline
from research.errors import UserError


def make_arrays(count):
  generator = np.random.default_rng(0)
  inputs = generator.integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)
  return {"inputs": inputs, "label": np.arange(count, dtype=np.int32)}


def records(count):
  arrays = make_arrays(count)
  return [{key: value[i] for key, value in arrays.items()} for i in range(count)]


def read(dataset, step):
  return jax.tree.map(np.asarray, dict(dataset.assemble(dataset.resident, dataset.feed(step))))


BUILDERS = {
  "resident": lambda count, batch, seed: pipeline.shuffled(make_arrays(count), batch, seed=seed),
  "streamed": lambda count, batch, seed: pipeline.streamed(records(count), batch, seed=seed, threads=2),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize(("count", "batch"), [(10, 4), (12, 4), (7, 7), (5, 12), (100, 64)])
def test_every_example_exactly_once_an_epoch(build, count, batch):
  dataset = build(count, batch, 0)
  epochs = 4
  stream = np.concatenate([read(dataset, step)["label"] for step in range(-(-epochs * count // batch))])
  orders = stream[: epochs * count].reshape(epochs, count)
  np.testing.assert_array_equal(np.sort(orders, 1), np.tile(np.arange(count), (epochs, 1)))
  assert len({tuple(order) for order in orders}) == epochs  # and every epoch in another order


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_seek_equals_run_from_the_start(build):
  whole = build(10, 4, 3)
  batches = [read(whole, step) for step in range(9)]
  for step in (7, 0, 4, 5, 4, 8):
    for fresh in (build(10, 4, 3), whole):
      jax.tree.map(np.testing.assert_array_equal, read(fresh, step), batches[step])


def test_streamed_equals_resident():
  resident, streamed = (build(50, 12, 5) for build in BUILDERS.values())
  for step in range(12):
    jax.tree.map(np.testing.assert_array_equal, read(resident, step), read(streamed, step))


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("parts", [2, 3])
def test_parts_are_the_batch_without_overlap(build, parts):
  dataset = build(50, 12, 5)
  feeds = [dataset.part(index, parts) for index in range(parts)]
  for step in (0, 1, 7, 3):
    joined = jax.tree.map(lambda *rows: np.concatenate(rows), *(feed(step) for feed in feeds))
    jax.tree.map(np.testing.assert_array_equal, joined, dict(dataset.feed(step)))


@pytest.mark.parametrize("count", [24, 19])
def test_parts_of_evaluation_are_masked_where_the_whole_is(count):
  for dataset in (pipeline.streamed(records(count), 8, seed=None), pipeline.sequential(make_arrays(count), 8)):
    feeds = [dataset.part(index, 4) for index in range(4)]
    for step in range(dataset.num_batches):
      joined = jax.tree.map(lambda *rows: np.concatenate(rows), *(feed(step) for feed in feeds))
      jax.tree.map(np.testing.assert_array_equal, joined, dict(dataset.feed(step)))


def test_a_streamed_part_reads_its_own_examples_alone():
  read_by: list[set[int]] = []

  class Source(list):
    def __getitem__(self, index):
      seen.add(index)
      return super().__getitem__(index)

  for index in range(2):
    seen: set[int] = set()
    feed = pipeline.streamed(Source(records(16)), 16, seed=None, threads=1).part(index, 2)
    feed(0)
    read_by.append(seen)
  assert read_by == [set(range(8)), set(range(8, 16))]


def test_identified_examples():
  resident = pipeline.shuffled(make_arrays(10), 4, seed=0, identify=True)
  streamed = pipeline.streamed(records(10), 4, seed=0, identify=True, threads=2)
  for step in range(8):
    batch = read(resident, step)
    np.testing.assert_array_equal(batch["index"], batch["label"])
    np.testing.assert_array_equal(batch["epoch"], np.arange(4 * step, 4 * step + 4) // 10)
    jax.tree.map(np.testing.assert_array_equal, batch, read(streamed, step))


def test_seeds_differ_and_repeat():
  first, second, other = (pipeline.Order(1000, seed)(0, 1000) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first, second)
  assert (first != other).mean() > 0.9


def test_order_is_uniform():
  """Each example is equally often at each place: chi-squared of a 5 by 5 table within six standard deviations."""
  table = np.zeros((5, 5))
  for seed in range(1000):
    table[np.arange(5), pipeline.Order(5, seed)(0, 5)] += 1
  assert ((table - 200) ** 2 / 200).sum() < 16 + 6 * np.sqrt(2 * 16)


def test_feed_from_several_threads():
  dataset = pipeline.shuffled(make_arrays(37), 16, seed=0)
  expected = [dataset.feed(step)["index"] for step in range(64)]
  results = {}

  def work(offset):
    for step in range(offset, 64, 4):
      results[step] = dataset.feed(step)["index"]

  workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()
  for step in range(64):
    np.testing.assert_array_equal(results[step], expected[step])


EVALUATIONS = {
  "resident": lambda count, batch: pipeline.sequential(make_arrays(count), batch),
  "streamed": lambda count, batch: pipeline.streamed(records(count), batch, seed=None, threads=2),
}


@pytest.mark.parametrize("build", EVALUATIONS.values(), ids=EVALUATIONS)
@pytest.mark.parametrize(("count", "batch"), [(10, 4), (12, 4), (3, 8), (100, 96)])
def test_evaluation_is_ordered_padded_and_masked(build, count, batch):
  dataset = build(count, batch)
  assert dataset.num_batches == -(-count // batch)
  for _ in range(2):  # a second pass is the first again
    batches = [read(dataset, step) for step in range(dataset.num_batches)]
    mask, label = (np.concatenate([b[key] for b in batches]) for key in ("mask", "label"))
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, np.arange(dataset.num_batches * batch) < count)
    np.testing.assert_array_equal(label[:count], np.arange(count))
    assert all(len(b["label"]) == batch for b in batches)
  with pytest.raises(IndexError):
    dataset.feed(dataset.num_batches)


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (12, 4), (3, 8)])
def test_passes_hold_every_example_once_an_epoch(count, batch):
  dataset, orders = pipeline.passes(make_arrays(count), batch, seed=0), []
  for epoch in range(2):
    batches = [read(dataset, epoch * dataset.num_batches + i) for i in range(dataset.num_batches)]
    mask, label = (np.concatenate([b[key] for b in batches]) for key in ("mask", "label"))
    assert len(mask) == dataset.num_batches * batch
    assert sorted(label[mask > 0]) == list(range(count))
    orders.append(label[mask > 0].tolist())
  assert count == 3 or orders[0] != orders[1]
  other = read(pipeline.passes(make_arrays(count), batch, seed=1), 0)["label"]
  assert count == 3 or (other != read(dataset, 0)["label"]).any()


def test_random_transform_is_a_function_of_seed_and_step():
  def transform(record, generator):
    return {"label": record["label"], "noise": generator.random(3)}

  build = lambda seed: pipeline.streamed(records(10), 4, seed=seed, transform=transform, threads=3)
  run = build(0)
  noise = [read(run, step)["noise"] for step in range(6)]
  np.testing.assert_array_equal(read(build(0), 5)["noise"], noise[5])
  assert len(np.unique(np.stack(noise))) == 6 * 4 * 3  # no two examples share their draws
  assert (read(build(1), 0)["noise"] != noise[0]).all()


def test_reading_error_reaches_the_caller_and_does_not_stick():
  broken = [True]

  def transform(record, generator):
    if broken[0] and record["label"] == 3:
      raise UserError("image", "3.png", "replace it.")
    return record

  dataset = pipeline.streamed(records(8), 4, seed=None, transform=transform, threads=2)
  with pytest.raises(UserError, match=r"3\.png"):
    dataset.feed(0)
  broken[0] = False
  np.testing.assert_array_equal(dataset.feed(0)["label"], np.arange(4))


def test_normalised():
  arrays = make_arrays(20)
  mean, std = pipeline.statistics(arrays["inputs"])
  pixels = arrays["inputs"] / 255
  np.testing.assert_allclose([mean[0], std[0]], [pixels.mean(), pixels.std()], rtol=1e-6)
  batch = read(pipeline.sequential(arrays, 20, assemble=pipeline.normalised(mean, std)), 0)
  np.testing.assert_allclose(batch["inputs"], (pixels - mean) / std, atol=1e-6)
  assert batch["inputs"].dtype == np.float32
  plain = read(pipeline.sequential(arrays, 20, assemble=pipeline.normalised()), 0)
  np.testing.assert_allclose(plain["inputs"], pixels, atol=1e-7)


def test_floats_are_normalised_as_they_are():
  inputs = np.random.default_rng(0).normal(3, [1, 2, 0], (50, 3)).astype(np.float32)
  mean, std = pipeline.statistics(inputs)
  assert std[2] == 1  # a constant feature is centred, not divided by zero
  dataset = pipeline.sequential({"inputs": inputs}, 50, assemble=pipeline.normalised(mean, std))
  np.testing.assert_allclose(read(dataset, 0)["inputs"], (inputs - mean) / std, atol=1e-5)
  untouched = pipeline.sequential({"inputs": inputs}, 50, assemble=pipeline.normalised())
  np.testing.assert_array_equal(read(untouched, 0)["inputs"], inputs)


@pytest.mark.parametrize(
  "build",
  [
    lambda: pipeline.shuffled({"inputs": np.zeros((3, 1)), "label": np.zeros(4)}, 2, seed=0),
    lambda: pipeline.shuffled({"inputs": np.zeros((0, 1))}, 2, seed=0),
    lambda: pipeline.sequential(make_arrays(4), 0),
    lambda: pipeline.shuffled(make_arrays(4), 2, seed=-1),
    lambda: pipeline.streamed([], 2, seed=0),
  ],
)
def test_bad_arguments(build):
  with pytest.raises(UserError):
    build()
