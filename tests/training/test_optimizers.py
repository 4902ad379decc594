"""Against NumPy written from the papers, a few steps each."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.training import optimizers

RNG = np.random.default_rng(0)
PARAMS = {"Dense_0": {"kernel": RNG.normal(size=(4, 3)), "bias": RNG.normal(size=3)}}
GRADS = [jax.tree.map(lambda p: RNG.normal(size=p.shape), PARAMS) for _ in range(4)]


def run(transformation, params=PARAMS, grads=None):
  """Parameters after the gradients, as NumPy."""
  params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)
  state = transformation.init(params)
  for grad in GRADS if grads is None else grads:
    updates, state = jax.jit(transformation.update)(grad, state, params)
    params = optax.apply_updates(params, updates)
  return jax.tree.map(np.asarray, params)


def reference(rule, grads=GRADS):
  """`rule(name, w, memory, g, t) -> w` applied to each parameter on its own, in float64."""
  out = {}
  for name in ("kernel", "bias"):
    w, memory = PARAMS["Dense_0"][name].copy(), {}
    for t, grad in enumerate(grads, 1):
      w = rule(name, w, memory, grad["Dense_0"][name], t)
    out[name] = w
  return {"Dense_0": out}


def close(actual, expected, tolerance=2e-6):
  jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-5, atol=tolerance), actual, expected)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_with_l2_before_it(nesterov):
  def rule(name, w, memory, g, t):
    g = g + (0.1 * w if name == "kernel" else 0)
    memory["v"] = v = 0.9 * memory.get("v", 0) + g
    return w - 0.05 * (g + 0.9 * v if nesterov else v)

  close(run(optimizers.optimizer("momentum", learning_rate=0.05, nesterov=nesterov, weight_decay=0.1)), reference(rule))


def test_sgd_decoupled_and_l2_agree_without_memory_and_differ_with_it():
  def both(name):
    return [run(optimizers.optimizer(name, learning_rate=0.1, weight_decay=0.1, decay=d)) for d in ("l2", "decoupled")]

  close(*both("sgd"))
  l2, decoupled = both("momentum")
  assert np.abs(l2["Dense_0"]["kernel"] - decoupled["Dense_0"]["kernel"]).max() > 1e-3
  close(l2["Dense_0"]["bias"], decoupled["Dense_0"]["bias"])  # biases are not decayed


def adam_direction(memory, g, t, b1=0.9, b2=0.999, eps=1e-8):
  memory["m"] = b1 * memory.get("m", 0) + (1 - b1) * g
  memory["v"] = b2 * memory.get("v", 0) + (1 - b2) * g**2
  return memory["m"] / (1 - b1**t) / (np.sqrt(memory["v"] / (1 - b2**t)) + eps)


def test_adam_with_l2():
  def rule(name, w, memory, g, t):
    return w - 0.01 * adam_direction(memory, g + (0.3 * w if name == "kernel" else 0), t)

  close(run(optimizers.optimizer("adam", learning_rate=0.01, weight_decay=0.3)), reference(rule), 1e-5)


@pytest.mark.parametrize("decay_on", ["kernels", "all"])
def test_adamw_is_decoupled_and_masked(decay_on):
  def rule(name, w, memory, g, t):
    decay = 0.3 * w if name == "kernel" or decay_on == "all" else 0
    return w - 0.01 * (adam_direction(memory, g, t) + decay)

  close(
    run(optimizers.optimizer("adamw", learning_rate=0.01, weight_decay=0.3, decay_on=decay_on)), reference(rule), 1e-5
  )


def test_lion():
  def rule(name, w, memory, g, t):
    m = memory.get("m", 0)
    memory["m"] = 0.99 * m + 0.01 * g
    return w - 0.01 * (np.sign(0.9 * m + 0.1 * g) + (0.3 * w if name == "kernel" else 0))

  close(run(optimizers.optimizer("lion", learning_rate=0.01, weight_decay=0.3)), reference(rule), 1e-5)


def test_lamb():
  def rule(name, w, memory, g, t):
    r = adam_direction(memory, g, t, eps=1e-6) + (0.3 * w if name == "kernel" else 0)
    return w - 0.01 * np.linalg.norm(w) / np.linalg.norm(r) * r

  close(run(optimizers.optimizer("lamb", learning_rate=0.01, weight_decay=0.3)), reference(rule), 1e-5)


def test_muon_orthogonalises_kernels_and_leaves_the_rest_to_adam():
  kernel, conv = RNG.normal(size=(32, 16)), RNG.normal(size=(3, 3, 4, 8))
  params = {"kernel": kernel, "conv": conv, "bias": np.zeros(16)}
  grad = {"kernel": RNG.normal(size=kernel.shape), "conv": RNG.normal(size=conv.shape), "bias": RNG.normal(size=16)}
  new = run(optimizers.optimizer("muon", learning_rate=0.1), params, [grad])
  step = kernel - new["kernel"]
  # Newton-Schulz brings singular values to about 1 (Jordan 2024: between 0.7 and 1.2), times the learning rate; along
  # the gradient.
  singular = np.linalg.svd(step, compute_uv=False) / 0.1
  assert singular.min() > 0.5
  assert singular.max() < 1.5
  u, _, vt = np.linalg.svd(grad["kernel"], full_matrices=False)
  assert np.sum(step * (u @ vt)) / np.linalg.norm(step) / np.linalg.norm(u @ vt) > 0.95
  singular = np.linalg.svd((conv - new["conv"]).reshape(36, 8), compute_uv=False) / 0.1
  assert singular.min() > 0.5
  first = 0.9 * 0.1 / (1 - 0.9**2) + 1  # NAdam's first step (Dozat 2016): momentum looked ahead, each part debiased
  close(new["bias"], -0.1 * first * np.sign(grad["bias"]), 1e-5)


def test_clip_is_of_the_gradient_alone():
  norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(GRADS[0])))

  def rule(name, w, memory, g, t):
    return w - 0.1 * (g * 0.5 / norm + (w if name == "kernel" else 0))

  new = run(optimizers.optimizer("sgd", learning_rate=0.1, clip_norm=0.5, weight_decay=1.0), grads=GRADS[:1])
  close(new, reference(rule, GRADS[:1]))
  close(*[run(optimizers.optimizer("sgd", learning_rate=0.1, clip_norm=c)) for c in (1e6, None)])


def test_max_norm_bounds_incoming_weights_after_the_update():
  def rule(name, w, memory, g, t):
    w = w - 0.5 * g
    return w * np.minimum(1, 1.5 / np.linalg.norm(w, axis=0)) if name == "kernel" else w

  new = run(optimizers.optimizer("sgd", learning_rate=0.5, max_norm=1.5))
  close(new, reference(rule))
  assert np.linalg.norm(new["Dense_0"]["kernel"], axis=0).max() <= 1.5 + 1e-6
  conv = {"kernel": 10 * RNG.normal(size=(3, 3, 2, 5))}
  new = run(optimizers.optimizer("sgd", learning_rate=0.5, max_norm=2.0), conv, [jax.tree.map(np.zeros_like, conv)])
  np.testing.assert_allclose(np.linalg.norm(new["kernel"].reshape(18, 5), axis=0), 2.0, rtol=1e-5)
  zero = {"kernel": np.zeros((3, 2))}
  assert np.all(run(optimizers.optimizer("sgd", learning_rate=0.5, max_norm=2.0), zero, [zero])["kernel"] == 0)


def test_multipliers():
  plain = run(optimizers.optimizer("sgd", learning_rate=0.1), grads=GRADS[:1])["Dense_0"]
  scaled = run(optimizers.optimizer("sgd", learning_rate=0.1, multipliers={"bias": 64.0}), grads=GRADS[:1])["Dense_0"]
  close(scaled["kernel"], plain["kernel"])
  bias = PARAMS["Dense_0"]["bias"]
  close(scaled["bias"] - bias, 64 * (plain["bias"] - bias), 1e-5)
  with pytest.raises(UserError, match="Dense_0/kernel"):
    run(optimizers.optimizer("sgd", learning_rate=0.1, multipliers={"biass": 64.0}))


def values(name, steps, **settings):
  rate = optimizers.schedule(name, learning_rate=2.0, total_steps=100, **settings)
  return [np.asarray(rate(s)).item() for s in steps]


def test_schedules():
  assert values("constant", [0, 50, 200]) == [2, 2, 2]
  np.testing.assert_allclose(values("constant", [0, 5, 10, 99], warmup_steps=10), [0, 1, 2, 2])
  np.testing.assert_allclose(values("constant", [0, 5], warmup_steps=10, initial_fraction=0.5), [1, 1.5])
  np.testing.assert_allclose(values("cosine", [0, 50, 100, 150], final_fraction=0.1), [2, 1.1, 0.2, 0.2], rtol=1e-5)
  warm = values("cosine", [5, 10, 55, 100], warmup_steps=10)
  np.testing.assert_allclose(warm, [1, 2, 1, 0], atol=1e-6)
  np.testing.assert_allclose(values("linear", [0, 50, 100], final_fraction=0.5), [2, 1.5, 1])
  np.testing.assert_allclose(values("triangle", [0, 15, 30, 65, 100]), [0, 1, 2, 1, 0], atol=1e-6)
  triangle = values("triangle", [0, 20, 100], warmup_steps=20, initial_fraction=0.2, final_fraction=0.07)
  np.testing.assert_allclose(triangle, [0.4, 2, 0.14], rtol=1e-5)
  cycle = values("one_cycle", [0, 15, 30, 65, 100], initial_fraction=0.2)
  np.testing.assert_allclose(cycle, [0.4, 1.2, 2, 1, 0], atol=1e-6)


def test_piecewise_drops_from_its_boundaries_on():
  np.testing.assert_allclose(values("piecewise", [0, 1], boundaries=(1, 1)), [2, 0.02], rtol=1e-5)
  steps = [0, 49, 50, 74, 75, 100]
  np.testing.assert_allclose(values("piecewise", steps, boundaries=(50, 75)), [2, 2, 0.2, 0.2, 0.02, 0.02], rtol=1e-5)
  warm = values("piecewise", [5, *steps[1:]], boundaries=(50, 75), factors=(0.5, 0.1), warmup_steps=10)
  np.testing.assert_allclose(warm, [1, 2, 1, 1, 0.1, 0.1], rtol=1e-5)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: optimizers.optimizer("addam", learning_rate=1.0), "did you mean 'adam'"),
    (lambda: optimizers.optimizer("sgd", learning_rate=1.0, decay="L2"), "l2, decoupled"),
    (lambda: optimizers.schedule("cosin", learning_rate=1.0, total_steps=1), "did you mean 'cosine'"),
    (lambda: optimizers.schedule("linear", learning_rate=1.0, total_steps=10, warmup_steps=11), "10 steps"),
    (lambda: optimizers.schedule("piecewise", learning_rate=1.0, total_steps=10, boundaries=(5, 2)), "increasing"),
    (
      lambda: optimizers.schedule("piecewise", learning_rate=1.0, total_steps=10, boundaries=(5,), factors=(1, 2)),
      "each",
    ),
    (lambda: from_config(learning_rte=1.0, name="sgd"), "did you mean 'learning_rate'"),
    (lambda: from_config(learning_rate=1.0, name="sgd", warmup="5 minutes"), "optimizer.warmup"),
  ],
)
def test_bad_input(call, message):
  with pytest.raises(UserError, match=message):
    call()


def from_config(**config):
  return optimizers.from_config(config, batch_size=10, num_examples=100, total_steps=200)


def test_from_config_resolves_durations_and_ignores_other_optimizers_settings():
  config = dict(
    name="momentum", learning_rate=1.0, schedule="piecewise", warmup="1 epoch", boundaries=("50 %", "15 epochs")
  )
  transformation, rate = from_config(**config, weight_decay=0.1, b2=0.5)
  np.testing.assert_allclose([rate(s) for s in (5, 10, 99, 100, 149, 150)], [0.5, 1, 1, 0.1, 0.1, 0.01], rtol=1e-5)
  close(run(transformation), run(optimizers.optimizer("momentum", learning_rate=rate, weight_decay=0.1)))
  transformation, rate = from_config(name="sgd", learning_rate=1.0)
  assert rate(7) == 1
