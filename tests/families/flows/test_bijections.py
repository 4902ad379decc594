"""Bijections: log-determinants against the Jacobian by `jacfwd`, inverses in both directions, splines at their ends."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from research.errors import UserError
from research.families.flows import bijection as b
from research.families.flows import elementwise

IMAGE = (4, 4, 4)


class Conditioner(nn.Module):
  """Mixes what it sees, with weights that are not zero."""

  features: int
  scale: float = 2.0

  @nn.compact
  def __call__(self, x, context):
    if context is not None:
      context = context.reshape(len(context), *(1,) * (x.ndim - 2), -1)
      x = jnp.concatenate([x, jnp.broadcast_to(context, (*x.shape[:-1], context.shape[-1]))], -1)
    x = nn.tanh(nn.Dense(8)(x) + x.mean(tuple(range(1, x.ndim - 1)), keepdims=x.ndim > 2).sum(-1, keepdims=True))
    return self.scale * nn.Dense(self.features, bias_init=nn.initializers.normal(1.0))(x)


class Triangular(nn.Module):
  """Output i of every `size` sees the inputs before i."""

  features: int

  @nn.compact
  def __call__(self, x, context):
    inputs = x.shape[-1]
    size = self.features // inputs
    weights = self.param("weights", nn.initializers.normal(1.0), (inputs, inputs, size))
    seen = np.triu(np.ones((inputs, inputs)), 1)[..., None]
    bias = 0.0 if context is None else nn.Dense(inputs * size)(context).reshape(-1, inputs, size)
    return (jnp.einsum("bi,ijk->bjk", jnp.tanh(x), weights * seen) + bias).reshape(len(x), -1)


AFFINE, LOGISTICS, SPLINE = elementwise.affine(), elementwise.mixture_of_logistics(3), elementwise.rational_quadratic(5)
ON_VECTORS = {
  "affine": b.coupling(Conditioner, AFFINE, b.halves()),
  "logistics": b.coupling(Conditioner, LOGISTICS, b.halves(True)),
  "spline": b.coupling(Conditioner, SPLINE, b.halves()),
  "maf": b.autoregressive(Triangular, AFFINE),
  "iaf": b.invert(b.autoregressive(Triangular, AFFINE)),
  "permutation": b.permutation(np.array([2, 0, 3, 1])),
  "linear": b.linear(4, seed=3),
  "actnorm": b.actnorm(),
}
ON_IMAGES = {
  "squeeze": b.squeeze(),
  "linear": b.linear(4),
  "actnorm": b.actnorm(),
  "checkerboard": b.coupling(Conditioner, AFFINE, b.checkerboard()),
  "other_checkerboard": b.coupling(Conditioner, SPLINE, b.checkerboard(True)),
  "split": b.split(
    IMAGE,
    b.chain([b.coupling(Conditioner, AFFINE, b.halves()), b.flatten((4, 4, 2))]),
    b.conditional(Conditioner, AFFINE),
  ),
}


def batch_of(shape, count=3, seed=0):
  return jax.random.normal(jax.random.key(seed), (count, *shape))


def cases():
  for name, bijection in ON_VECTORS.items():
    yield pytest.param(bijection, batch_of((4,)), id=f"vector-{name}")
  for name, bijection in ON_IMAGES.items():
    yield pytest.param(bijection, batch_of(IMAGE), id=f"image-{name}")
  yield pytest.param(b.logit(), jax.nn.sigmoid(batch_of((4,))), id="logit")
  both = [ON_VECTORS[name] for name in ("actnorm", "spline", "linear", "maf")]
  yield pytest.param(b.chain(both), batch_of((4,)), id="chain")


@pytest.mark.parametrize(("bijection", "x"), list(cases()))
def test_inverts_and_has_the_determinant_of_its_jacobian(bijection, x):
  """Both ways: x -> y -> x and y -> x -> y; log |det| of the Jacobian of one example, by forward differentiation."""

  def measured(x):
    params = bijection.init(jax.random.key(1), x, None)
    params = jax.tree.map(lambda p: p + 0.1 * jnp.cos(jnp.arange(p.size)).reshape(p.shape), params)
    y, log_det = bijection.forward(params, x, None)
    back, inverse_det = bijection.inverse(params, y, None)
    again, _ = bijection.forward(params, back, None)
    flat = lambda row: bijection.forward(params, row.reshape(1, *x.shape[1:]), None)[0].ravel()
    jacobian = jax.vmap(jax.jacfwd(flat))(x.reshape(len(x), -1))
    return y, log_det, back, inverse_det, again, jnp.linalg.slogdet(jacobian)[1]

  # A float64 inverse to 1e-8 leaves no room for a wrong one; float32 loses what the slopes amplify.
  with jax.enable_x64(True):
    y, log_det, back, inverse_det, again, exact = jax.jit(measured)(jnp.asarray(np.asarray(x), jnp.float64))
    assert back.dtype == jnp.float64
    np.testing.assert_allclose(back, x, atol=1e-8)
    np.testing.assert_allclose(again, y, atol=1e-8)
    np.testing.assert_allclose(log_det, exact, atol=1e-8)
    np.testing.assert_allclose(inverse_det, -log_det, atol=1e-7)


@pytest.mark.parametrize("name", list(ON_VECTORS))
def test_inverts_in_float32(name):
  bijection, x = ON_VECTORS[name], batch_of((4,), 50)

  @jax.jit
  def there_and_back(x):
    params = bijection.init(jax.random.key(1), x, None)
    y, _ = bijection.forward(params, x, None)
    again, _ = bijection.forward(params, bijection.inverse(params, y, None)[0], None)
    return y, again

  y, again = there_and_back(x)
  np.testing.assert_allclose(again, y, atol=2e-3, rtol=1e-4)


def test_context_reaches_couplings_and_autoregressive_flows():
  for bijection in (ON_VECTORS["affine"], ON_VECTORS["maf"]):
    x, one = batch_of((4,)), jnp.ones((3, 2))

    @jax.jit
    def both(x, one, bijection=bijection):
      params = bijection.init(jax.random.key(0), x, one)
      y, log_det = bijection.forward(params, x, one)
      return y, bijection.forward(params, x, -one)[0], bijection.inverse(params, y, one)[0], log_det

    y, other, back, _ = both(x, one)
    assert float(jnp.abs(y - other).max()) > 1e-2
    np.testing.assert_allclose(back, x, atol=1e-4)


def test_actnorm_whitens_the_batch_it_is_initialised_by():
  x = 3 * batch_of((6, 6, 2), 8) + jnp.array([5.0, -1.0])
  actnorm = b.actnorm()
  y, _ = jax.jit(lambda x: actnorm.forward(actnorm.init(None, x, None), x, None))(x)
  np.testing.assert_allclose(np.asarray(y).mean((0, 1, 2)), 0, atol=1e-4)
  np.testing.assert_allclose(np.asarray(y).std((0, 1, 2)), 1, atol=2e-3)


def test_rearrangements_are_those_of_numpy_loops():
  x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
  squeezed = np.asarray(b.space_to_depth(jnp.asarray(x)))
  for row in range(2):
    for column in range(3):
      block = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(2, -1)
      np.testing.assert_array_equal(squeezed[:, row, column], block)
  np.testing.assert_array_equal(b.depth_to_space(jnp.asarray(squeezed)), x)
  kept, moved = b.checkerboard().divide(jnp.asarray(x))
  black = (np.indices((4, 6)).sum(0) % 2 == 0).astype(bool)
  np.testing.assert_array_equal(np.sort(np.asarray(kept)[0, ..., 0].ravel()), np.sort(x[0, black, 0]))
  np.testing.assert_array_equal(np.sort(np.asarray(moved)[0, ..., 0].ravel()), np.sort(x[0, ~black, 0]))


@pytest.mark.parametrize("parameters", [np.zeros(14), 2 * np.random.default_rng(0).normal(size=14)])
def test_spline_rises_meets_the_identity_at_its_ends_and_is_smooth_there(parameters):
  spline = elementwise.rational_quadratic(5, limit=3.0)
  through = jax.jit(lambda x: spline.forward(x, jnp.broadcast_to(jnp.float32(parameters), (*x.shape, 14))))
  x = np.linspace(-4, 4, 4001).astype(np.float32)
  y, log_slope = map(np.asarray, through(jnp.asarray(x)))
  assert (np.diff(y) > 0).all()
  np.testing.assert_array_equal(y[np.abs(x) >= 3], x[np.abs(x) >= 3])
  ends, slopes = through(jnp.float32([-3.0, -2.9999, 2.9999, 3.0]))
  np.testing.assert_allclose(ends, [-3, -2.9999, 2.9999, 3], atol=1e-4)
  np.testing.assert_allclose(slopes, 0, atol=0.02)
  inner = np.flatnonzero(np.abs(np.abs(x) - 3) > 0.01)[1:-1]
  steepness = (y[inner + 1] - y[inner - 1]) / (x[inner + 1] - x[inner - 1])
  np.testing.assert_allclose(np.exp(log_slope[inner]), steepness, rtol=0.03, atol=0.02)
  if not parameters.any():
    np.testing.assert_allclose(y, x, atol=1e-5)


def spline_by_the_paper(x, parameters, bins, limit, least=1e-3):
  """Equation 4 of Durkan et al., a number at a time."""
  softmax = lambda z: np.exp(z) / np.exp(z).sum()
  widths, heights = (2 * limit * (least + (1 - least * bins) * softmax(parameters[i : i + bins])) for i in (0, bins))
  inner = least + np.log1p(np.exp(parameters[2 * bins :] + np.log(np.expm1(1 - least))))
  xs, ys = (np.concatenate([[-limit], -limit + np.cumsum(sides)]) for sides in (widths, heights))
  slopes = np.concatenate([[1], inner, [1]])
  k = np.searchsorted(xs, x, side="right") - 1
  steep, share = heights[k] / widths[k], (x - xs[k]) / widths[k]
  above = heights[k] * (steep * share**2 + slopes[k] * share * (1 - share))
  return ys[k] + above / (steep + (slopes[k + 1] + slopes[k] - 2 * steep) * share * (1 - share))


def test_spline_is_the_papers():
  parameters = np.random.default_rng(1).normal(size=14)
  x = np.linspace(-2.9, 2.9, 20)
  found, _ = elementwise.rational_quadratic(5, 3.0).forward(jnp.float32(x), jnp.tile(jnp.float32(parameters), (20, 1)))
  np.testing.assert_allclose(found, [spline_by_the_paper(v, parameters, 5, 3.0) for v in x], atol=1e-4)


def test_mixture_of_logistics_is_that_of_scipy():
  rng = np.random.default_rng(2)
  parameters, x = rng.normal(size=11), rng.normal(size=6)
  weights = np.exp(parameters[2:5]) / np.exp(parameters[2:5]).sum()
  parts = [
    stats.logistic(m + shift, np.exp(3 * np.tanh(s / 3)))
    for m, s, shift in zip(*parameters[5:].reshape(2, 3), (-1, 0, 1))
  ]
  cdf = sum(w * part.cdf(x) for w, part in zip(weights, parts))
  expected = np.exp(3 * np.tanh(parameters[0] / 3)) * (np.log(cdf) - np.log1p(-cdf)) + parameters[1]
  found, slope = LOGISTICS.forward(jnp.float32(x), jnp.tile(jnp.float32(parameters), (6, 1)))
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  pdf = sum(w * part.pdf(x) for w, part in zip(weights, parts))
  np.testing.assert_allclose(
    slope, np.log(pdf / cdf / (1 - cdf)) + 3 * np.tanh(parameters[0] / 3), rtol=1e-4, atol=1e-4
  )


def test_refuses_what_does_not_fit():
  with pytest.raises(UserError, match="even width"):
    b.checkerboard().divide(jnp.zeros((1, 2, 3, 1)))
  with pytest.raises(UserError, match="divide by 2"):
    b.space_to_depth(jnp.zeros((1, 3, 4, 1)))
  with pytest.raises(UserError, match="bins"):
    elementwise.rational_quadratic(0)
  with pytest.raises(UserError, match="affine, logistics"):
    elementwise.by_name("cubic")
