"""The diffusion model: its loss against what is asked, guidance, the learned schedule, and that it learns."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.families.diffusion import generation, loss, model, parameterisation, samplers
from research.families.diffusion import process as process_lib
from research.training import steps
from tests.compiled import compiled
from tests.families.diffusion import gaussian


class Affine(nn.Module):
  """W x + label: linear, so that guidance can be computed by hand."""

  @nn.compact
  def __call__(self, x, level, label, train):
    y = nn.Dense(x.shape[-1])(x) + 1e-3 * level[:, None]
    return y if label is None else y + 0.1 * label[:, None]


class Exact(nn.Module):
  """The best prediction of the noise of Gaussian data at any level of a variance preserving process."""

  @nn.compact
  def __call__(self, x, level, label, train):
    self.param("unused", nn.initializers.zeros, ())
    # `level` undone: λ, and with it α² = sigmoid(λ).
    log_snr = ((500 - level) / 25)[:, None]
    alpha, sigma = jnp.sqrt(jax.nn.sigmoid(log_snr)), jnp.sqrt(jax.nn.sigmoid(-log_snr))
    values, axes = np.linalg.eigh(gaussian.COVARIANCE)
    return sigma * ((x - alpha * gaussian.MEAN) @ axes / (alpha**2 * values + sigma**2)) @ axes.T


def diffusion(*args, **options):
  return compiled(model.diffusion(*args, **options), "init", "loss", "evaluate")


def batch_of(count, seed=0):
  label, mask = np.arange(count, dtype=np.int32) % 3, np.ones(count, np.float32)
  return {"inputs": gaussian.draw(count, seed), "label": label, "mask": mask, "index": np.arange(count, dtype=np.int32)}


def test_masked_examples_count_for_nothing():
  made = diffusion(Affine(), "cosine")
  batch = batch_of(6)
  variables = made.init(jax.random.key(0), batch)
  counted = np.arange(6) < 4
  spoilt = {**batch, "inputs": np.where(counted[:, None], batch["inputs"], np.nan), "mask": np.float32(counted)}
  whole, part = made.evaluate(variables, batch)["loss"], made.evaluate(variables, spoilt)["loss"]
  assert part.count == 4
  assert np.isfinite(part.value())
  assert part.value() != whole.value()


@pytest.mark.parametrize("times", loss.TIMES)
def test_evaluation_does_not_depend_on_the_batch_size(times):
  made, batch = diffusion(Affine(), "cosine", times=times), batch_of(12)
  variables = made.init(jax.random.key(0), batch)
  losses = []
  for size in (12, 4, 3):
    parts = [{name: rows[start : start + size] for name, rows in batch.items()} for start in range(0, 12, size)]
    losses.append(sum(float(made.evaluate(variables, part)["loss"].total) for part in parts) / 12)
  np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
  moved = {**batch, "index": batch["index"] + 1}
  assert abs(made.evaluate(variables, moved)["loss"].value() - losses[0]) > 1e-4, "an example is drawn for by its place"


@pytest.mark.parametrize("count", [1000, 60_000])
def test_times_of_evaluation_are_spread_evenly_over_any_stretch(count):
  t = np.asarray(loss.evaluation_times(np.arange(count, count + 100), "uniform", process_lib.fixed("cosine")))
  span = process_lib.fixed("cosine")
  share = (np.sort(t) - span.start) / (span.end - span.start)
  assert np.diff(np.r_[0, share, 1]).max() < 0.03, "100 of independent times leave gaps of 0.05"


@pytest.mark.parametrize("predicts", parameterisation.NAMES)
@pytest.mark.parametrize("weighting", ["noise", "min_snr", "elbo"])
def test_a_weighted_loss_does_not_depend_on_what_is_predicted(weighting, predicts):
  """The weight turns the output's squared error into the same one of noise or data."""
  process, rng = process_lib.fixed("cosine"), np.random.default_rng(0)
  x, noise, found = (rng.normal(size=(4, 2)).astype(np.float32) for _ in range(3))

  @jax.jit
  def computed(t):
    noisy = process.diffuse(x, t, noise)
    data = (noisy - process_lib.along(process.sigma(t), x) * found) / process_lib.along(process.alpha(t), x)
    target = parameterisation.target(predicts, process, t, x, noise)
    output = parameterisation.target(predicts, process, t, data, found)
    weighted = loss.weight(weighting, process, t, predicts) * jnp.square(output - target).sum(-1)
    return weighted, data, process.log_snr(t), process.log_snr_rate(t)

  weighted, data, log_snr, log_snr_rate = jax.device_get(computed(np.array([0.1, 0.4, 0.6, 0.9], np.float32)))
  error, of_data = np.square(found - noise).sum(-1), np.square(data - x).sum(-1)
  expected = {
    "noise": error,
    "min_snr": np.minimum(np.exp(log_snr), 5) * of_data,
    "elbo": -0.5 * log_snr_rate * error,
  }[weighting]
  np.testing.assert_allclose(weighted, expected, rtol=5e-3)


@pytest.mark.parametrize("name", loss.TIMES)
def test_times_follow_their_distribution(name):
  """Kolmogorov-Smirnov distance from SciPy's distribution; stratified, it is far below that of independent draws."""
  from scipy import stats

  process = process_lib.fixed("edm" if name == "log_normal" else "rectified_flow")
  t = np.asarray(loss.draw_times(jax.random.key(3), 500, name, process))
  if name == "log_normal":
    values, law = np.log(t), stats.norm(-1.2, 1.2)
  elif name == "logit_normal":
    values, law = np.log(t / (1 - t)), stats.norm()
  else:
    values, law = t, stats.uniform()
  assert stats.kstest(values, law.cdf).statistic < 0.01


def test_guidance_of_one_is_none_and_others_extrapolate():
  made = diffusion(Affine(), "cosine", predicts="noise", num_classes=3)
  batch = batch_of(4)
  variables = made.init(jax.random.key(0), batch)
  x, t = batch["inputs"], np.full(4, 0.5, np.float32)
  run = jax.jit(lambda label, guidance: made.denoiser(variables, label, guidance)(x, t).noise, static_argnums=1)
  noise = lambda label, guidance: np.asarray(run(label, guidance))
  plain, nobody = noise(batch["label"], 1.0), noise(None, 1.0)
  np.testing.assert_allclose(noise(batch["label"], 1.0 + 1e-6), plain, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(noise(batch["label"], 0.0), nobody, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(noise(batch["label"], 3.0), nobody + 3 * (plain - nobody), rtol=1e-4, atol=1e-5)
  assert np.abs(plain - nobody).max() > 0.05


def test_guidance_within_an_interval_is_guidance_in_those_steps_and_none_in_the_others():
  """Of eight steps, the third to sixth: against the steps taken one by one."""
  made = diffusion(Affine(), "cosine", predicts="v", num_classes=3)
  batch = batch_of(5)
  variables = made.init(jax.random.key(0), batch)
  label, steps = batch["label"], 8
  build = functools.partial(generation.generator, made, samplers.ddim(), steps, guidance=4.0)
  part, whole, none = build(guidance_interval=(0.25, 0.75)), build(), build(guidance_interval=(0.0, 0.0))
  found = part.draw(variables, (5, 2), jax.random.key(1), label)
  x = build().path(variables, (5, 2), jax.random.key(1), 2, label)[0]  # the noise
  times = samplers.grid(made.process(variables), steps)

  @functools.partial(jax.jit, static_argnums=3)
  def step(x, t, s, guidance):
    denoise = made.denoiser(variables, label, guidance)
    return samplers.ddim().step(made.process(variables), denoise, x, (), t, s, jax.random.key(0))[0]

  for i in range(steps):
    x = step(x, times[i], times[i + 1], 4.0 if 2 <= i < 6 else 1.0)
  np.testing.assert_allclose(found, x, rtol=1e-3, atol=1e-4)
  others = [generator.draw(variables, (5, 2), jax.random.key(1), label) for generator in (whole, none)]
  assert all(np.abs(found - other).max() > 0.01 for other in others)
  assert (part.evaluations, whole.evaluations, none.evaluations) == (12, 16, 8)


@pytest.mark.parametrize("interval", [(-0.1, 1.0), (0.5, 0.4), (0.0, 1.1)])
def test_an_interval_of_guidance_that_is_none_is_refused(interval):
  made = diffusion(Affine(), "cosine", num_classes=3)
  with pytest.raises(UserError, match=r"guidance_interval"):
    generation.generator(made, samplers.ddim(), 8, guidance=2.0, guidance_interval=interval)


def test_labels_are_withheld_at_their_rate():
  """With every label withheld the loss is that of no label."""
  batch = batch_of(50)
  losses = {}
  for rate in (0.0, 1.0):
    made = diffusion(Affine(), "cosine", num_classes=3, label_dropout=rate)
    variables = made.init(jax.random.key(0), batch)
    losses[rate] = made.loss(variables, batch, jax.random.key(1))[0].value()
    without = {**batch, "label": np.full(50, 3, np.int32)}
    losses[f"none {rate}"] = made.loss(variables, without, jax.random.key(1))[0].value()
  assert losses[1.0] == losses["none 1.0"] == losses["none 0.0"] != losses[0.0]


def test_the_bound_s_loss_is_the_same_for_every_schedule():
  """E over uniform times of -λ'/2 |ε - ε̂|², for the exact denoiser, is ½ ∫ mmse dλ: by quadrature, in closed form."""
  values = np.linalg.eigvalsh(gaussian.COVARIANCE)
  log_snr = np.linspace(-10, 10, 4001)
  snr = np.exp(log_snr)[:, None]
  # E|ε - ε̂|² = snr E|x - x̂|², and E|x - x̂|² = Σ c / (1 + snr c) for eigenvalues c of the covariance.
  mmse = (snr * values / (1 + snr * values)).sum(1)
  expected = np.trapezoid(0.5 * mmse, log_snr) / 2  # the loss is a mean over two dimensions
  made = diffusion(Exact(), "learned", predicts="noise", weighting="elbo")
  batch = batch_of(20_000)
  variables = made.init(jax.random.key(0), batch)
  bent = jax.tree.map(lambda x: x, variables)
  bent["params"]["schedule"] = {**variables["params"]["schedule"], "output": jnp.full(64, -1.0)}
  middles = [float(made.process(v).log_snr(jnp.float32(0.25))) for v in (variables, bent)]
  assert abs(middles[0] - middles[1]) > 0.5, "they are two schedules"
  for chosen in (variables, bent):
    np.testing.assert_allclose(made.evaluate(chosen, batch)["loss"].value(), expected, rtol=0.03)


def test_the_schedule_learns_to_lower_the_loss_s_variance():
  made = diffusion(Exact(), "learned", predicts="noise", weighting="elbo")
  learner = steps.gradient_learner(init=made.init, loss=made.loss, evaluate=made.evaluate, optimizer=optax.adam(3e-2))
  batch = batch_of(2000)
  state = learner.init(jax.random.key(0), batch)

  def variance(state):
    """Of the loss over times."""
    process = made.process(steps.variables_of(state))
    t = jnp.linspace(0.001, 0.999, 1000)
    snr = np.exp(np.asarray(process.log_snr(t)))[:, None]
    values = np.linalg.eigvalsh(gaussian.COVARIANCE)
    return (-0.5 * np.asarray(process.log_snr_rate(t)) * (snr * values / (1 + snr * values)).sum(1)).std()

  before, update = variance(state), jax.jit(learner.update)
  for _ in range(150):
    state, _ = update(state, batch)
  assert variance(state) < 0.9 * before


@pytest.mark.parametrize(
  ("process", "predicts", "weighting", "times"),
  [
    ("cosine", "v", "min_snr", "uniform"),
    ("rectified_flow", "velocity", "output", "logit_normal"),
    ("edm", "edm", "output", "log_normal"),
  ],
)
def test_a_network_that_can_learns_the_data(process, predicts, weighting, times):
  """Trained on a Gaussian, samples have its mean and covariance."""
  from research.networks.conditioned import ConditionedMLP

  made = diffusion(ConditionedMLP(48, 2), process, predicts=predicts, weighting=weighting, times=times)
  learner = steps.gradient_learner(
    init=made.init, loss=made.loss, evaluate=made.evaluate, optimizer=optax.adam(3e-3), ema_decay=0.99
  )
  data = jnp.asarray(gaussian.draw(25_000))
  batch = lambda i: {"inputs": jax.lax.dynamic_slice_in_dim(data, (i % 97) * 256, 256), "mask": jnp.ones(256)}
  state = learner.init(jax.random.key(0), batch(0))
  state = jax.jit(lambda state: jax.lax.fori_loop(0, 600, lambda i, s: learner.update(s, batch(i))[0], state))(state)
  draw = generation.generator(made, samplers.heun(), 20, spacing="uniform" if process == "rectified_flow" else "karras")
  x = np.asarray(draw.draw(steps.variables_of(state), (4000, 2), jax.random.key(1)))
  np.testing.assert_allclose(x.mean(0), gaussian.MEAN, atol=0.12)
  np.testing.assert_allclose(np.cov(x.T), gaussian.COVARIANCE, atol=0.15)


def test_redrawing_leaves_most_of_an_example_and_a_path_ends_in_samples():
  made = diffusion(Exact(), "linear", predicts="noise")
  variables = made.init(jax.random.key(0), batch_of(2))
  draw = generation.generator(made, samplers.ddim(), 20, spacing="log_snr")
  x = jnp.asarray(gaussian.draw(500))
  near, far = (draw.redraw(variables, x, jax.random.key(1), strength) for strength in (0.2, 1.0))
  assert np.corrcoef(near[:, 0], x[:, 0])[0, 1] > 0.9
  assert abs(np.corrcoef(far[:, 0], x[:, 0])[0, 1]) < 0.2
  path = draw.path(variables, (500, 2), jax.random.key(2), 5)
  assert path.shape == (5, 500, 2)
  np.testing.assert_allclose(path[0].std(), 1.0, atol=0.1)
  np.testing.assert_allclose(path[-1], draw.draw(variables, (500, 2), jax.random.key(2)), atol=1e-4)
  with pytest.raises(UserError, match="strength"):
    draw.redraw(variables, x, jax.random.key(1), 0.0)


@pytest.mark.parametrize(
  ("arguments", "match"),
  [
    ({"process": "cosin"}, "rectified_flow"),
    ({"process": "cosine", "predicts": "epsilon"}, "velocity"),
    ({"process": "cosine", "weighting": "vlb"}, "min_snr"),
    ({"process": "cosine", "times": "gaussian"}, "logit_normal"),
    ({"process": "rectified_flow", "weighting": "elbo"}, "infinite"),
    ({"process": "cosine", "weighting": "elbo", "times": "logit_normal"}, "uniform"),
    ({"process": "learned", "weighting": "output"}, "elbo"),
  ],
)
def test_what_does_not_exist_or_fit_is_refused(arguments, match):
  with pytest.raises(UserError, match=match):
    model.diffusion(Affine(), **arguments)
