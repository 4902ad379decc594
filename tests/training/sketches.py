"""Four kinds of learning on one contract: a classifier, a game, sufficient statistics, a temporal difference.

Sketches, to hold the contract against what will be built on it; the full families come with their own files.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from research import axes, randomness
from research.data import pipeline
from research.families import classifier as classifier_lib
from research.metrics import Mean
from research.training import steps
from research.training.experiment import Experiment
from research.training.learner import Learner, State, keep_if


class Net(nn.Module):
  outputs: int
  width: int = 16

  @nn.compact
  def __call__(self, x, train=False):
    return nn.Dense(self.outputs)(nn.tanh(nn.Dense(self.width)(x)))


def forward(network: nn.Module, params, x) -> jax.Array:
  """The output alone: nothing here changes in the forward pass."""
  return jnp.asarray(network.apply(params, x))


def experiment_of(learner, arrays, batch_size=16, seed=0):
  test = pipeline.sequential(arrays, batch_size)
  return Experiment(learner, pipeline.shuffled(arrays, batch_size, seed=seed), test, test)


def classifier(seed=0, learning_rate=1e-2, dtype=np.float32):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(100, 4)).astype(dtype)
  label = (x @ rng.normal(size=(4, 3))).argmax(-1).astype(np.int32)
  family = classifier_lib.classifier(Net(3))
  learner = steps.gradient_learner(
    init=family.init,
    loss=family.loss,
    evaluate=family.evaluate,
    optimizer=optax.adam(learning_rate),
    ema_decay=0.9,
  )
  return experiment_of(learner, {"inputs": x, "label": label}, seed=seed)


@struct.dataclass
class GameState(State):
  generator: Any
  critic: Any
  generator_opt: Any
  critic_opt: Any


def game(seed=0):
  """Non-saturating GAN (Goodfellow 2014, section 3) on points of a Gaussian."""
  generator, critic, tx = Net(2), Net(1), optax.adam(1e-2, b1=0.5)
  data = np.random.default_rng(0).normal(2.0, 0.5, size=(100, 2)).astype(np.float32)

  def fake(params, key, count):
    noise = jax.vmap(lambda k: jax.random.normal(k, (2,)))(randomness.example_keys(key, count))
    return forward(generator, params, noise)

  def critic_loss(params, real, made):
    losses = jax.nn.softplus(-forward(critic, params, real)) + jax.nn.softplus(forward(critic, params, made))
    return losses.mean()

  def init(key, batch):
    g = generator.init(randomness.stream_key(key, "generator"), jnp.zeros((1, 2)))
    c = critic.init(randomness.stream_key(key, "critic"), batch["x"])
    return GameState.create(key, generator=g, critic=c, generator_opt=tx.init(g), critic_opt=tx.init(c))

  def update(state, batch):
    key, count = randomness.stream_key(state.key, "noise", state.step), len(batch["x"])
    made = fake(state.generator, key, count)
    c_loss, grads = jax.value_and_grad(critic_loss)(state.critic, batch["x"], made)
    updates, critic_opt = tx.update(axes.pmean(grads), state.critic_opt)
    new_critic = optax.apply_updates(state.critic, updates)
    g_objective = lambda g: jax.nn.softplus(-forward(critic, new_critic, fake(g, key, count))).mean()
    g_loss, grads = jax.value_and_grad(g_objective)(state.generator)
    updates, generator_opt = tx.update(axes.pmean(grads), state.generator_opt)
    new = state.replace(
      step=state.step + 1,
      generator=optax.apply_updates(state.generator, updates),
      critic=new_critic,
      generator_opt=generator_opt,
      critic_opt=critic_opt,
    )
    return new, {"critic_loss": Mean.constant(c_loss), "generator_loss": Mean.constant(g_loss)}

  def evaluate(state, batch):
    score = forward(critic, state.critic, batch["x"])[:, 0]
    return {"score": Mean.of(score, batch["mask"])}

  return experiment_of(Learner(init, update, evaluate), {"x": data}, seed=seed)


@struct.dataclass
class MixtureState(State):
  log_weights: Any
  means: Any


def mixture(seed=0):
  """EM for a mixture of unit Gaussians: statistics summed over devices, then a closed-form M-step."""
  data = np.concatenate([np.random.default_rng(i).normal(4 * i, 1, size=(48, 2)) for i in range(3)]).astype(np.float32)

  def log_joint(state, x):
    distance = ((x[:, None] - state.means) ** 2).sum(-1)
    return state.log_weights - 0.5 * distance - jnp.log(2 * jnp.pi)

  def init(key, batch):
    rows = jax.random.choice(randomness.stream_key(key, "init"), batch["x"], (3,), replace=False)
    return MixtureState.create(key, log_weights=jnp.full(3, -jnp.log(3.0)), means=rows)

  def update(state, batch):
    joint = log_joint(state, batch["x"])
    responsibilities = jax.nn.softmax(joint) * batch["mask"][:, None]
    counts, sums = axes.psum((responsibilities.sum(0), responsibilities.T @ batch["x"]))
    new = state.replace(
      step=state.step + 1, log_weights=jnp.log(counts / counts.sum()), means=sums / (counts[:, None] + 1e-6)
    )
    return new, {"log_likelihood": Mean.of(jax.nn.logsumexp(joint, -1), batch["mask"])}

  def evaluate(state, batch):
    return {"log_likelihood": Mean.of(jax.nn.logsumexp(log_joint(state, batch["x"]), -1), batch["mask"])}

  return experiment_of(Learner(init, update, evaluate), {"x": data}, batch_size=144, seed=seed)


@struct.dataclass
class QState(State):
  params: Any
  target: Any
  opt_state: Any
  environment: Any
  replay: Any


def cart_pole(state, action):
  """One step of CartPole (Barto, Sutton & Anderson 1983): `(next state [4], done)`; Euler, 0.02 s."""
  x, v, angle, spin = state
  force = jnp.where(action == 1, 10.0, -10.0)
  cos, sin = jnp.cos(angle), jnp.sin(angle)
  push = (force + 0.05 * spin**2 * sin) / 1.1
  turn = (9.8 * sin - cos * push) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
  shift = push - 0.05 * turn * cos / 1.1
  new = jnp.stack([x + 0.02 * v, v + 0.02 * shift, angle + 0.02 * spin, spin + 0.02 * turn])
  return new, (jnp.abs(new[0]) > 2.4) | (jnp.abs(new[2]) > 0.2095)


def temporal_difference(seed=0, capacity=256):
  """DQN: the environment, the replay buffer and the target network are in the state; a batch is a set of slots."""
  network, tx = Net(2), optax.adam(1e-3)

  def init(key, batch):
    params = network.init(randomness.stream_key(key, "init"), jnp.zeros(4))
    replay = {
      "obs": jnp.zeros((capacity, 4)),
      "action": jnp.zeros(capacity, jnp.int32),
      "next": jnp.zeros((capacity, 4)),
      "done": jnp.zeros(capacity),
    }
    # A copy: the target must not share the parameters' buffers, which are donated.
    target = jax.tree.map(jnp.array, params)
    return QState.create(
      key, params=params, target=target, opt_state=tx.init(params), environment=jnp.zeros(4), replay=replay
    )

  def act(state, key):
    explore, which = jax.random.bernoulli(key, 0.2), jax.random.randint(jax.random.fold_in(key, 1), (), 0, 2)
    return jnp.where(explore, which, forward(network, state.params, state.environment).argmax())

  def update(state, batch):
    key = randomness.stream_key(state.key, "act", state.step)
    action = act(state, key)
    after, done = cart_pole(state.environment, action)
    row = {"obs": state.environment, "action": action, "next": after, "done": done.astype(jnp.float32)}
    replay = {name: state.replay[name].at[state.step % capacity].set(row[name]) for name in row}
    slots = jax.vmap(lambda k: jax.random.randint(k, (), 0, jnp.minimum(state.step + 1, capacity)))(
      randomness.example_keys(randomness.stream_key(state.key, "replay", state.step), len(batch["slot"]))
    )
    drawn = {name: value[slots] for name, value in replay.items()}

    def loss(params):
      target = 1.0 + 0.99 * (1 - drawn["done"]) * forward(network, state.target, drawn["next"]).max(-1)
      q = jnp.take_along_axis(forward(network, params, drawn["obs"]), drawn["action"][:, None], -1)[:, 0]
      return optax.huber_loss(q, jax.lax.stop_gradient(target)).mean()

    value, grads = jax.value_and_grad(loss)(state.params)
    updates, opt_state = tx.update(axes.pmean(grads), state.opt_state)
    params = optax.apply_updates(state.params, updates)
    restart = 0.05 * jax.random.normal(jax.random.fold_in(key, 2), (4,))
    new = state.replace(
      step=state.step + 1,
      params=params,
      target=keep_if(state.step % 10 == 0, params, state.target),
      opt_state=opt_state,
      environment=jnp.where(done, restart, after),
      replay=replay,
    )
    return new, {"loss": Mean.constant(value)}

  def evaluate(state, batch):
    q = forward(network, state.params, jnp.zeros((len(batch["mask"]), 4))).max(-1)
    return {"q": Mean.of(q, batch["mask"])}

  return experiment_of(Learner(init, update, evaluate), {"slot": np.arange(64, dtype=np.int32)}, seed=seed)


ALL = {"classifier": classifier, "game": game, "mixture": mixture, "temporal_difference": temporal_difference}
