"""Rows that a state holds whole, cut and joined: the same on one device and on four."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import axes


def step(tree):
  """Every row is changed by its own place alone."""
  own = axes.mine(tree)
  places = axes.mine(jnp.arange(8))
  new = {**own, "x": own["x"] + places[:, None], "key": jax.vmap(jax.random.fold_in)(own["key"], places)}
  return axes.whole(new)


def on_four(function, **options):
  """The function of an unmapped argument, on four devices; pmap asks for one that is mapped."""
  devices = jax.devices()[:4]
  mapped = jax.pmap(lambda tree, _: function(tree), axis_name=axes.AXIS, in_axes=(None, 0), devices=devices, **options)
  return lambda tree: mapped(tree, jnp.zeros(4))


def test_cut_and_joined_on_four_devices_is_one():
  tree = {
    "x": np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32),
    "done": np.arange(8) % 3 == 0,
    "key": jax.random.split(jax.random.key(0), 8),
  }
  one = jax.jit(step)(tree)
  four = on_four(step, out_axes=None)(tree)
  np.testing.assert_allclose(one["x"], tree["x"] + np.arange(8)[:, None], rtol=1e-6)
  for name in ("x", "done"):
    np.testing.assert_array_equal(one[name], four[name])
  np.testing.assert_array_equal(*(jax.random.key_data(t["key"]) for t in (one, four)))


def test_rows_that_the_devices_do_not_divide():
  with pytest.raises(ValueError, match="4 devices do not divide the 6 rows"):
    on_four(axes.mine)(jnp.zeros((6, 2)))
