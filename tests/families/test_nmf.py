"""Parts against scikit-learn: the objective that falls, and where it stays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from sklearn.decomposition import NMF

from research.families import nmf
from research.training.precision import precision

RNG = np.random.default_rng(0)
ROWS = RNG.gamma(1.0, size=(60, 4)) @ RNG.gamma(0.5, size=(4, 12)) + 0.1 * RNG.random((60, 12))


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def run(family, parts, steps):
  """Parts after so many updates, and the mean divergence before each."""
  batch = {"inputs": jnp.asarray(ROWS), "mask": jnp.ones(len(ROWS))}

  def step(parts, _):
    sums, metrics = family.expect(parts, batch, None)
    return family.maximise(parts, sums), metrics["divergence"].value()

  return jax.jit(lambda parts: jax.lax.scan(step, parts, None, steps))(parts)


@pytest.mark.parametrize(("loss", "theirs"), [("frobenius", 2), ("kullback_leibler", 1)])
def test_objective_falls_to_scikit_learns_and_stays_at_its_fixed_point(loss, theirs):
  solver = "cd" if loss == "frobenius" else "mu"
  model = NMF(4, beta_loss=theirs, solver=solver, init="nndsvda", tol=1e-9, max_iter=3000).fit(ROWS)
  batch = {"inputs": jnp.asarray(ROWS), "mask": jnp.ones(len(ROWS))}
  family = nmf.nmf(4, loss, 300)
  _, values = run(family, jax.jit(family.init)(jax.random.key(0), batch), 150)
  assert (np.diff(values) < 1e-5 * values[0]).all()
  objective = model.reconstruction_err_**2 / 2 / len(ROWS)
  assert values[-1] < objective + 0.01 * values[0]
  moved, values = run(family, jnp.asarray(model.components_), 3)
  np.testing.assert_allclose(values, objective, rtol=1e-2)
  np.testing.assert_allclose(moved, model.components_, atol=0.02 * model.components_.max())


def test_codes_are_non_negative_least_squares():
  parts = RNG.random((4, 12))
  found = jax.jit(lambda rows: nmf.codes(jnp.asarray(parts), rows, steps=300))(jnp.asarray(ROWS[:5]))
  np.testing.assert_allclose(found, [nnls(parts.T, row)[0] for row in ROWS[:5]], atol=1e-6)
