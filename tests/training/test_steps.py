"""The shared step against NumPy, on one device and on several; ensembles against learners trained alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import axes
from research.errors import UserError
from research.metrics import Mean
from research.training import learner as learner_lib
from research.training import parallel, steps

RATE = 0.1
RNG = np.random.default_rng(0)
W = RNG.normal(size=(5, 2)).astype(np.float32)


def batch_of(count=16, seed=1, masked=()):
  rng = np.random.default_rng(seed)
  mask = np.ones(count, np.float32)
  mask[list(masked)] = 0
  x, y = rng.normal(size=(count, 5)).astype(np.float32), rng.normal(size=(count, 2)).astype(np.float32)
  return {"x": x, "y": y, "mask": mask}


def regression(optimizer=None, **options):
  """Least squares, 0.5 |xw - y|^2, with a counter of calls and a running sum in the place of batch statistics."""

  def init(key, batch):
    del batch
    return {"params": {"w": jnp.asarray(W) + jax.random.normal(key, W.shape)}, "seen": {"calls": jnp.zeros(())}}

  def loss(variables, batch, key):
    del key
    error = batch["x"] @ variables["params"]["w"] - batch["y"]
    mean = Mean.of(0.5 * (error**2).sum(-1), batch["mask"])
    metrics = {"absolute": Mean.of(jnp.abs(error).sum(-1), batch["mask"])}
    return mean, (metrics, {"seen": {"calls": variables["seen"]["calls"] + 1}})

  def evaluate(variables, batch):
    return {"loss": loss(variables, batch, None)[0]}

  tx = optimizer or optax.sgd(RATE)
  return steps.gradient_learner(init=init, loss=loss, evaluate=evaluate, optimizer=tx, **options)


def gradient(w, batch):
  """Of the mean over the real examples, in closed form: x^T (x w - y) / n."""
  kept = batch["mask"] > 0
  x, y = batch["x"][kept].astype(np.float64), batch["y"][kept]
  return x.T @ (x @ w - y) / kept.sum()


def start(learner, key=0):
  return learner.init(jax.random.key(key), batch_of())


def on_devices(learner, devices, batch):
  """One update under pmap."""
  share = lambda x: x.reshape(devices, -1, *x.shape[1:])
  mapped = jax.pmap(
    lambda state, b: (lambda new, metrics: (new, axes.psum(metrics)))(*learner.update(state, b)),
    axis_name=axes.AXIS,
    in_axes=(None, 0),
    out_axes=(None, None),
    devices=jax.devices()[:devices],
  )
  return mapped(start(learner), jax.tree.map(share, batch))


@pytest.mark.parametrize("masked", [(), (0, 3, 15)])
def test_sgd_step_is_the_closed_form(masked):
  learner, batch = regression(), batch_of(masked=masked)
  state = start(learner)
  before = np.asarray(state.params["w"], np.float64)
  new, metrics = jax.jit(learner.update)(state, batch)
  wanted = gradient(before, batch)
  np.testing.assert_allclose(new.params["w"], before - RATE * wanted, rtol=1e-5, atol=1e-6)
  kept = batch["mask"] > 0
  error = batch["x"][kept] @ before - batch["y"][kept]
  np.testing.assert_allclose(metrics["loss"].value(), 0.5 * (error**2).sum() / kept.sum(), rtol=1e-5)
  np.testing.assert_allclose(metrics["absolute"].value(), np.abs(error).sum() / kept.sum(), rtol=1e-5)
  np.testing.assert_allclose(metrics["grad_norm"].value(), np.linalg.norm(wanted), rtol=1e-5)
  assert int(new.step) == 1
  assert int(new.skipped) == 0
  assert float(new.mutable["seen"]["calls"]) == 1


@pytest.mark.parametrize("masked", [(), (0, 1, 2, 3, 4, 15), tuple(range(4))])
def test_global_mean_whatever_each_device_has(masked):
  """Masks may leave 4, 2 or no examples to a device.  A gradient summed twice would be 4 times too large."""
  learner, batch = regression(), batch_of(masked=masked)
  before = np.asarray(start(learner).params["w"], np.float64)
  new, metrics = on_devices(learner, 4, batch)
  np.testing.assert_allclose(new.params["w"], before - RATE * gradient(before, batch), rtol=1e-5, atol=1e-6)
  alone, alone_metrics = jax.jit(learner.update)(start(learner), batch)
  np.testing.assert_allclose(new.params["w"], alone.params["w"], rtol=1e-6, atol=1e-6)
  for name in alone_metrics:
    np.testing.assert_allclose(metrics[name].value(), alone_metrics[name].value(), rtol=1e-5)


def test_a_gradient_through_the_reduction_would_be_wrong():
  """The trap that the step avoids, held here so that a change of jax that moves it is seen."""
  batch, devices = batch_of(), 4
  loss = lambda w, b: 0.5 * ((b["x"] @ w - b["y"]) ** 2).sum(-1).mean()
  share = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)
  mapped = functools.partial(
    jax.pmap, axis_name=axes.AXIS, in_axes=(None, 0), out_axes=0, devices=jax.devices()[:devices]
  )
  after = mapped(lambda w, b: axes.pmean(jax.grad(loss)(w, b)))(W, share)
  through = mapped(lambda w, b: jax.grad(lambda w: axes.pmean(loss(w, b)))(w))(W, share)
  wanted = gradient(W, batch)
  np.testing.assert_allclose(after[0], wanted, rtol=1e-4, atol=1e-6)
  assert np.abs(through - wanted).max() > 0.01


@pytest.mark.parametrize("accumulate", [2, 8])
def test_accumulation_is_the_full_batch(accumulate):
  batch = batch_of(masked=(0, 1, 9))  # micro-batches have different numbers of examples
  whole, metrics = jax.jit(regression().update)(start(regression()), batch)
  learner = regression(accumulate=accumulate)
  parts, parts_metrics = jax.jit(learner.update)(start(learner), batch)
  np.testing.assert_allclose(parts.params["w"], whole.params["w"], rtol=1e-5, atol=1e-6)
  for name in metrics:
    np.testing.assert_allclose(parts_metrics[name].value(), metrics[name].value(), rtol=1e-5)
  assert float(parts.mutable["seen"]["calls"]) == accumulate, "collections pass from one micro-batch to the next"


def test_accumulation_that_does_not_divide():
  learner = regression(accumulate=3)
  with pytest.raises(UserError, match=r"config.train.accumulate = 3.*16 examples"):
    learner.update(start(learner), batch_of())


def test_moving_average():
  learner = regression(ema_decay=0.5)
  state = start(learner)
  average, update = np.asarray(state.params["w"], np.float64), jax.jit(learner.update)
  for step in range(8):
    state, _ = update(state, batch_of(seed=step))
    decay = min(0.5, (1 + step) / (10 + step))
    average = decay * average + (1 - decay) * np.asarray(state.params["w"])
    np.testing.assert_allclose(state.ema["params"]["w"], average, rtol=1e-5)
  assert steps.variables_of(state)["params"] is state.ema["params"]
  batch = batch_of()
  error = batch["x"] @ average - batch["y"]
  wanted = 0.5 * (error**2).sum(-1).mean()
  np.testing.assert_allclose(learner.evaluate(state, batch)["loss"].value(), wanted, rtol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("devices", [1, 4])
def test_non_finite_update_leaves_everything(bad, devices):
  learner = regression(optax.adam(RATE), ema_decay=0.9)
  state = start(learner)
  batch = batch_of()
  batch["x"][5, 2] = bad  # on one device of four
  # A warm average and warm moments, so that what moves would be seen.
  for seed in range(3):
    state, _ = jax.jit(learner.update)(state, batch_of(seed=seed))
  if devices == 1:
    new, metrics = jax.jit(learner.update)(state, batch)
  else:
    share = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)
    mapped = jax.pmap(
      learner.update, axis_name=axes.AXIS, in_axes=(None, 0), out_axes=(None, 0), devices=jax.devices()[:devices]
    )
    new, metrics = mapped(state, share)
  assert int(new.skipped) == int(state.skipped) + 1
  assert int(new.step) == int(state.step) + 1
  same = state.replace(step=new.step, skipped=new.skipped)
  jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(same.replace(key=0)), jax.tree.leaves(new.replace(key=0)))
  assert not np.isfinite(np.asarray(metrics["loss"].total)).any()


def test_a_masked_example_may_be_anything():
  """Padding must reach neither the loss nor the metrics, even where it is not a number.

  (Its gradient is another matter: 0 times inf is not a number, so data pad with real examples.)"""
  mask = jnp.array([1.0, 0.0, 1.0])
  mean = Mean.of(jnp.array([1.0, jnp.nan, 3.0]), mask)
  assert float(mean.value()) == 2
  assert np.isnan(Mean.of(jnp.ones(3), jnp.zeros(3)).value())
  assert (Mean.of(jnp.ones((3, 2)), mask).total == 2).all()


def train_alone(learner, key, batches):
  state = learner.init(key, batches[0])
  for batch in batches:
    state, _ = jax.jit(learner.update)(state, batch)
  return state


def test_ensemble_is_its_members_trained_alone():
  member, batches, key = regression(optax.adam(RATE)), [batch_of(seed=s) for s in range(4)], jax.random.key(3)
  together = train_alone(learner_lib.ensemble(member, 3), key, batches)
  alone = [train_alone(member, jax.random.fold_in(key, i), batches) for i in range(3)]
  for i, state in enumerate(alone):
    mine = jax.tree.map(lambda x, i=i: x[i], together.members)
    np.testing.assert_allclose(mine.params["w"], state.params["w"], rtol=1e-5, atol=1e-6)
  assert np.abs(np.diff(np.asarray(together.members.params["w"]), axis=0)).max() > 0.1, "members differ"
  learner = learner_lib.ensemble(member, 3)
  values = [member.evaluate(state, batches[0])["loss"].value() for state in alone]
  np.testing.assert_allclose(learner.evaluate(together, batches[0])["loss"].value(), np.mean(values), rtol=1e-4)


def test_cross_validation_never_trains_on_the_fold():
  learner = learner_lib.cross_validation(regression(), 4)
  clean = {**batch_of(), "fold": np.arange(16, dtype=np.int32) % 4}
  spoilt = {**clean, "x": clean["x"].copy(), "y": clean["y"].copy()}
  spoilt["x"][clean["fold"] == 2] += 7
  spoilt["y"][clean["fold"] == 2] -= 5
  key = jax.random.key(0)
  one, other = (np.asarray(train_alone(learner, key, [b] * 3).members.params["w"]) for b in (clean, spoilt))
  np.testing.assert_array_equal(one[2], other[2])
  for fold in (0, 1, 3):
    assert np.abs(one[fold] - other[fold]).max() > 0.01
  # And is measured on nothing else: member i's sum is of fold i.
  state = train_alone(learner, key, [clean])
  total = 0.0
  for fold in range(4):
    kept = clean["fold"] == fold
    error = clean["x"][kept] @ np.asarray(state.members.params["w"][fold]) - clean["y"][kept]
    total += 0.5 * (error**2).sum()
  measured = learner.evaluate(state, clean)["loss"]
  np.testing.assert_allclose(measured.total, total, rtol=1e-4)
  assert float(measured.count) == 16


def test_schedule_is_logged_at_the_step_it_serves():
  learner = regression(schedule=lambda step: 0.5 + step)
  state = start(learner)
  for step in range(2):
    state, metrics = learner.update(state, batch_of())
    assert float(metrics["learning_rate"].value()) == 0.5 + step


def test_guard_counts_and_sees():
  learner = regression()
  dispatch = jax.jit(parallel.training_dispatch(learner, lambda resident, fed: fed, 1))
  good, bad = batch_of(), batch_of()
  bad["y"][0] = np.nan
  stack = lambda batch: jax.tree.map(lambda x: x[None], batch)
  state, metrics = dispatch(start(learner), {}, 1, stack(good))
  assert np.asarray(metrics[parallel.GUARD]).tolist() == [0, 1]
  _, metrics = dispatch(state, {}, 1, stack(bad))
  assert np.asarray(metrics[parallel.GUARD]).tolist() == [1, 0]


def test_a_batch_of_padding_changes_nothing_and_is_no_error():
  learner = regression(optax.adam(RATE), ema_decay=0.9)
  dispatch = jax.jit(parallel.training_dispatch(learner, lambda resident, fed: fed, 1))
  stack = lambda batch: jax.tree.map(lambda x: x[None], batch)
  state, _ = dispatch(start(learner), {}, 1, stack(batch_of()))
  after, metrics = dispatch(state, {}, 1, stack(batch_of(masked=range(16))))
  assert np.asarray(metrics[parallel.GUARD]).tolist() == [0, 1]
  assert float(metrics["loss"].count) == 0
  assert int(after.step) == int(state.step) + 1
  same = state.replace(step=after.step, key=0)
  jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(same), jax.tree.leaves(after.replace(key=0)))


def test_the_guard_watches_what_is_declared():
  """A metric that is infinite by its nature (a logarithm of nothing) stops no run of finite loss and gradient."""
  member = regression()

  def infinite(state, batch):
    new, metrics = member.update(state, batch)
    return new, {**metrics, "log": Mean.constant(-jnp.inf)}

  batch = jax.tree.map(lambda x: x[None], batch_of())
  for watched, finite in ((member.watched, 1), (None, 0)):
    learner = member._replace(update=infinite, watched=watched)
    _, metrics = jax.jit(parallel.training_dispatch(learner, lambda resident, fed: fed, 1))(
      start(learner), {}, 1, batch
    )
    assert int(metrics[parallel.GUARD][1]) == finite


def test_a_carry_and_accumulation_are_refused():
  with pytest.raises(UserError, match=r"config\.train\.accumulate = 2"):
    regression(accumulate=2, init_carry=lambda batch: jnp.zeros((len(batch["mask"]), 3)))
