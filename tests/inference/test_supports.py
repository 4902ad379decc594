"""Bijections: there and back, and log-determinants against the Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.inference import supports

SUPPORTS = {
  "real": (supports.real(), (3,)),
  "positive": (supports.positive(), (3,)),
  "interval": (supports.interval(-1.0, 4.0), (3,)),
  "ordered": (supports.ordered(), (4,)),
  "simplex": (supports.simplex(), (4,)),
  "simplices": (supports.simplex(), (2, 3)),
}


@pytest.mark.parametrize("name", SUPPORTS)
def test_there_and_back_with_its_determinant(name):
  support, shape = SUPPORTS[name]
  with jax.enable_x64(True):
    z = jax.random.normal(jax.random.key(0), support.free(shape))
    x, log_det = support.forward(z)
    assert x.shape == shape
    assert support.contains(np.asarray(x))
    assert not support.contains(np.full(shape, -7.0) if name != "real" else np.full(shape, np.nan))
    np.testing.assert_allclose(support.inverse(x), z, atol=1e-10)
    independent = lambda z: support.forward(z.reshape(support.free(shape)))[0][..., : support.free(shape)[-1]].ravel()
    jacobian = jax.jacfwd(independent)(z.ravel())
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-10)


def test_a_simplex_is_centred():
  x, _ = supports.simplex().forward(jnp.zeros(3))
  np.testing.assert_allclose(x, 0.25, rtol=1e-5)
