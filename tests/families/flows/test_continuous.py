"""Continuous flows beside SciPy's matrix exponential, and Hutchinson's estimate beside the exact divergence."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from scipy import stats

from research.errors import UserError
from research.families.flows import base
from research.families.flows.continuous import continuous
from research.networks.conditioned import ConditionedMLP

MATRIX = np.array([[0.4, -0.9, 0.1], [0.5, 0.2, 0.3], [0.0, -0.4, -0.8]])
LABEL = jnp.zeros(5, jnp.int32)


class Linear(nn.Module):
  """v = A x, whatever the time."""

  @nn.compact
  def __call__(self, x, level, label, train):
    return x @ self.param("matrix", lambda key: jnp.asarray(MATRIX.T, jnp.float32))


def test_a_linear_field_is_a_matrix_exponential():
  """y = exp(A) x, and the log-determinant is the trace of A."""
  flow = continuous(Linear(), (3,), base=base.normal(), steps=8)
  x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)

  @jax.jit
  def run(x):
    variables = flow.init(jax.random.key(0), {"inputs": x, "label": LABEL})
    y = flow.noise(variables, x, LABEL)
    return y, flow.log_prob(variables, x, LABEL), flow.decode(variables, y, LABEL)

  y, logs, back = run(x)
  expected = x @ scipy.linalg.expm(MATRIX).T
  np.testing.assert_allclose(y, expected, atol=1e-4)
  np.testing.assert_allclose(logs, stats.norm.logpdf(expected).sum(1) + np.trace(MATRIX), atol=1e-3)
  np.testing.assert_allclose(back, x, atol=1e-4)


def test_density_is_that_of_the_jacobian_and_hutchinsons_estimate_has_its_mean():
  network = ConditionedMLP(8, 1)
  exact, estimated = (continuous(network, (2,), base=base.logistic(), steps=6, probes=probes) for probes in (0, 1))
  x = jax.random.normal(jax.random.key(0), (5, 2))
  batch = {"inputs": x, "label": LABEL, "mask": jnp.ones(5)}

  @jax.jit
  def run(x):
    variables = exact.init(jax.random.key(1), batch)
    through = lambda row: exact.noise(variables, row[None], LABEL[:1])[0]
    jacobian = jax.vmap(jax.jacrev(through))(x)
    y = exact.noise(variables, x, LABEL)
    by_jacobian = base.logistic().log_prob(None, y) + jnp.linalg.slogdet(jacobian)[1]
    draws = jax.vmap(lambda key: estimated.loss(variables, batch, key)[0].value())(
      jax.random.split(jax.random.key(2), 100)
    )
    return exact.log_prob(variables, x, LABEL), by_jacobian, draws

  logs, by_jacobian, draws = (np.asarray(value, np.float64) for value in run(x))
  np.testing.assert_allclose(logs, by_jacobian, atol=2e-3)
  error = draws.std() / np.sqrt(len(draws))
  assert error > 1e-5, "it is an estimate"
  assert abs(draws.mean() + logs.mean()) < 4 * error + 1e-4


@pytest.mark.parametrize(
  ("options", "remedy"), [({"steps": 0}, "one step"), ({"steps": 1, "probes": -1}, "0 for the exact")]
)
def test_refuses_what_cannot_be_solved(options, remedy):
  with pytest.raises(UserError, match=remedy):
    continuous(Linear(), (3,), base=base.normal(), **options)
