"""Models against their own algebra: conjugate evidence, exact conditionals, SciPy; bad data and files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from research.data import regressions
from research.errors import UserError
from research.families import variational
from research.inference import kernels, model, models, own
from research.training import chains, steps


@pytest.fixture(autouse=True)
def wide():
  with jax.enable_x64(True):
    yield


RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 2))
Y = X @ [1.0, -0.5] + 0.3 + 0.5 * RNG.normal(size=20)


def conjugate():
  """y ~ N(X w, 0.25), w ~ N(0, I): density, and the exact posterior and evidence."""
  noise = 0.5
  log_density = lambda p: (
    jax.scipy.stats.norm.logpdf(p["w"]).sum() + jax.scipy.stats.norm.logpdf(Y, X @ p["w"], noise).sum()
  )
  target = model.target(model.Model({"w": model.Parameter((2,))}, log_density))
  evidence = scipy.stats.multivariate_normal(np.zeros(20), X @ X.T + noise**2 * np.eye(20)).logpdf(Y)
  covariance = np.linalg.inv(X.T @ X / noise**2 + np.eye(2))
  return target, evidence, covariance @ X.T @ Y / noise**2, covariance


def trained(family, rows, count, rate):
  learner = steps.gradient_learner(
    init=family.init,
    loss=family.loss,
    evaluate=family.evaluate,
    optimizer=optax.adam(optax.cosine_decay_schedule(rate, count)),
  )
  batch = {"mask": jnp.ones(rows), "row": jnp.arange(rows)}

  @jax.jit
  def run(key):
    state = learner.init(key, batch)
    state = jax.lax.fori_loop(0, count, lambda _, s: learner.update(s, batch)[0], state)
    return state, learner.evaluate(state, batch)

  return run(jax.random.key(0))


def test_the_bound_of_a_conjugate_model_is_its_evidence():
  """A Gaussian with a full covariance holds the posterior: every draw's bound is the evidence, not only the mean's."""
  target, evidence, mean, covariance = conjugate()
  state, metrics = trained(variational.elbo(target, variational.full_rank()), 8, 1500, 0.05)
  assert float(metrics["elbo"].value()) == pytest.approx(evidence, abs=1e-3)
  np.testing.assert_allclose(state.params["mean"], mean, atol=1e-3)
  draws = variational.draws_of(variational.full_rank(), state.params, jnp.arange(20_000), 2)
  np.testing.assert_allclose(np.cov(np.asarray(draws).T), covariance, rtol=0.1, atol=2e-4)


def test_independent_gaussians_are_too_narrow_by_what_is_known():
  """Their variances are the reciprocals of the precision's diagonal (Bishop 2006, section 10.1.2); a lower bound."""
  target, evidence, mean, covariance = conjugate()
  state, metrics = trained(variational.elbo(target, variational.mean_field()), 64, 1500, 0.05)
  np.testing.assert_allclose(state.params["mean"], mean, atol=0.02)
  expected = 1 / np.diag(np.linalg.inv(covariance))
  np.testing.assert_allclose(np.exp(2 * state.params["log_scale"]), expected, rtol=0.05)
  assert float(metrics["elbo"].value()) < evidence + 0.01


def test_laplace_is_exact_of_a_gaussian():
  target, _, mean, covariance = conjugate()
  found = jax.jit(functools.partial(variational.laplace, target))(jnp.array([3.0, -7.0]))
  np.testing.assert_allclose(found[0], mean, atol=1e-10)
  np.testing.assert_allclose(found[1], covariance, atol=1e-10)


def test_stein_s_particles_have_the_posterior_s_mean():
  target, _, mean, covariance = conjugate()
  state, _ = trained(variational.stein(target, 50), 50, 800, 0.05)
  particles = np.asarray(state.params["particles"])
  np.testing.assert_allclose(particles.mean(0), mean, atol=0.02)
  np.testing.assert_allclose(particles.std(0), np.sqrt(np.diag(covariance)), rtol=0.25)


def test_gibbs_and_the_density_are_of_one_posterior():
  """Of linear regression: chains by exact conditionals, and by Metropolis on the density, agree."""
  built = models.linear(X, Y)
  target = model.target(built)
  summaries = []
  for kernel, count in ((kernels.gibbs(target, built.conditionals), 200), (kernels.hmc(target), 100)):
    settings = chains.Settings(64, 100, 100 + count)
    learner, batch = chains.chain_learner(target, kernel, settings), {"mask": jnp.ones(64)}
    start = jax.jit(learner.init)(jax.random.key(1), batch)
    loop = lambda state: jax.lax.fori_loop(0, 100 + count, lambda _, s: learner.update(s, batch)[0], state)  # noqa: B023
    draws = np.asarray(jax.jit(loop)(start).draws)
    summaries.append((draws.mean((0, 1)), draws.mean(1).std(0, ddof=1) / 8))
  (one, error), (other, other_error) = summaries
  assert (np.abs(one - other) < 4.5 * np.hypot(error, other_error)).all()  # of 4 numbers: 3e-5


def test_a_gaussian_process_is_a_gaussian():
  values = {"amplitude": 1.3, "length": 0.8, "noise": 0.4}
  built = models.gaussian_process(X, Y)
  squares = ((X[:, None] - X) ** 2).sum(-1)
  covariance = 1.3**2 * np.exp(-0.5 * squares / 0.8**2) + (0.4**2 + 1e-8) * np.eye(20)
  prior = sum(scipy.stats.lognorm(1).logpdf(value) for value in values.values())
  expected = prior + scipy.stats.multivariate_normal(np.zeros(20), covariance).logpdf(Y)
  assert float(built.log_density(values)) == pytest.approx(expected, rel=1e-9)
  mean, variance = built.predict(values, X[:3])
  cross = 1.3**2 * np.exp(-0.5 * squares[:3] / 0.8**2)
  np.testing.assert_allclose(mean, cross @ np.linalg.solve(covariance, Y), rtol=1e-8)
  left = 1.3**2 - (cross @ np.linalg.solve(covariance, cross.T)).diagonal()
  np.testing.assert_allclose(variance, left + 0.4**2, rtol=1e-8)


def test_densities_are_scipy_s():
  values = {"intercept": 0.2, "weights": np.array([0.5, -1.0])}
  prior = scipy.stats.norm.logpdf([0.2, 0.5, -1.0]).sum()
  line = 0.2 + X @ values["weights"]
  binary, counts = (Y > 0).astype(float), np.round(np.exp(0.3 * Y))
  expected = prior + scipy.stats.bernoulli(1 / (1 + np.exp(-line))).logpmf(binary).sum()
  assert float(models.logistic(X, binary).log_density(values)) == pytest.approx(expected, rel=1e-9)
  rate = np.exp(np.log(counts.mean()) + line)
  expected = prior + scipy.stats.poisson(rate).logpmf(counts).sum()
  assert float(models.poisson(X, counts).log_density(values)) == pytest.approx(expected, rel=1e-9)


def test_data_that_a_model_is_not_of_are_refused():
  with pytest.raises(UserError, match=r"outcome of row 1 = 2.0.*0 or 1"):
    models.logistic(X[:2], np.array([0.0, 2.0]))
  with pytest.raises(UserError, match="counts"):
    models.poisson(X[:2], np.array([1.0, -1.0]))
  with pytest.raises(UserError, match="two at least"):
    models.mixture(Y, 1)
  with pytest.raises(UserError, match="choose breast_cancer"):
    regressions.load("boston")


def test_a_user_s_model_in_a_file(tmp_path):
  file = tmp_path / "mine.py"
  file.write_text(
    "from research.inference.model import Model, Parameter\n"
    "def model():\n  return Model({'mu': Parameter()}, lambda p: -0.5 * (p['mu'] - 3) ** 2)\n"
  )
  assert float(own.load(str(file)).log_density({"mu": 3.0})) == 0
  for text, message in (
    ("x = 1", "must define model"),
    ("def model():\n  return 3", "not int"),
    ("def", "SyntaxError"),
  ):
    file.write_text(text)
    with pytest.raises(UserError, match=message):
      own.load(str(file))
  with pytest.raises(UserError, match="name the Python file"):
    own.load("")


def test_a_model_of_numpyro(tmp_path):
  pytest.importorskip("numpyro")
  file = tmp_path / "theirs.py"
  file.write_text(
    "import numpyro\nfrom numpyro import distributions as d\n"
    "def model():\n"
    "  scale = numpyro.sample('scale', d.HalfNormal(1.0))\n"
    "  numpyro.sample('x', d.Normal(0.0, scale))\n"
  )
  target = own.from_numpyro(str(file))
  z = target.unconstrain({"scale": jnp.asarray(0.5), "x": jnp.asarray(0.2)})
  log_det = np.log(0.5)
  expected = scipy.stats.halfnorm.logpdf(0.5) + scipy.stats.norm(0, 0.5).logpdf(0.2) + log_det
  assert float(target.log_density(z)) == pytest.approx(expected, rel=1e-6)
