"""The transformer of films: rows do not mix, every pixel sees every frame, and it begins at zero."""

import jax
import jax.numpy as jnp
import numpy as np

from research.networks.space_time import SpaceTime

NETWORK = SpaceTime(features=16, depth=1, heads=2, patch=4, window=2)
FILMS = jax.random.normal(jax.random.key(1), (2, 3, 8, 10, 1))  # a side that patches do not divide
LEVELS = jnp.asarray([100.0, 700.0])


def variables():
  """Of an untrained network, but for the kernels that begin at zero."""
  init = jax.jit(lambda key: NETWORK.init(key, FILMS, LEVELS, None, False))(jax.random.key(0))
  leaves, tree = jax.tree.flatten(init)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  return init, tree.unflatten([leaf + 0.2 * jax.random.normal(k, leaf.shape) for leaf, k in zip(leaves, keys)])


def test_films_of_a_batch_do_not_mix_and_have_their_own_noise():
  first, moved = variables()
  apply = jax.jit(lambda v, x, level: NETWORK.apply(v, x, level, None, False))
  assert np.abs(apply(first, FILMS, LEVELS)).max() == 0
  together = np.asarray(apply(moved, FILMS, LEVELS))
  assert together.shape == FILMS.shape
  for row in range(2):
    alone = np.asarray(apply(moved, FILMS[row : row + 1], LEVELS[row : row + 1]))
    np.testing.assert_allclose(together[row], alone[0], rtol=2e-4, atol=2e-4)
  swapped = np.asarray(apply(moved, FILMS, LEVELS[::-1]))
  assert np.abs(swapped - together).max() > 1e-2


def test_a_pixel_is_told_by_all_frames_and_places():
  moved = variables()[1]
  output = lambda x: NETWORK.apply(moved, x, LEVELS[:1], None, False)[0, 1, 2, 3, 0]
  gradient = np.asarray(jax.jit(jax.grad(output))(FILMS[:1]))[0, ..., 0]
  assert (np.abs(gradient) > 0).all()
