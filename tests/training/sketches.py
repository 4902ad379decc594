"""Kinds of learning on one contract: gradient, game, statistics, environment, stream, packs, chains, sparse tables.

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
from research.data import clock, packs, pipeline, streams
from research.families import classifier as classifier_lib
from research.metrics import Mean
from research.training import sparse, steps
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


def descend(tx, loss, params, opt_state):
  """One step on the global mean of `loss(params) -> Mean`: sums and counts are added up apart, and divided once."""

  def total(params):
    mean = loss(params)
    return mean.total, mean

  grads, mean = jax.grad(total, has_aux=True)(params)
  mean, grads = axes.psum((mean, grads))
  updates, opt_state = tx.update(jax.tree.map(lambda g: g / mean.count, grads), opt_state, params)
  return optax.apply_updates(params, updates), opt_state, Mean.constant(mean.value())


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

  def critic_loss(params, batch, made):
    losses = jax.nn.softplus(-forward(critic, params, batch["x"])) + jax.nn.softplus(forward(critic, params, made))
    return Mean.of(losses[:, 0], batch["mask"])

  def init(key, batch):
    g = generator.init(randomness.stream_key(key, "generator"), jnp.zeros((1, 2)))
    c = critic.init(randomness.stream_key(key, "critic"), batch["x"])
    return GameState.create(key, generator=g, critic=c, generator_opt=tx.init(g), critic_opt=tx.init(c))

  def update(state, batch):
    key, count = randomness.stream_key(state.key, "noise", state.step), len(batch["x"])
    made = fake(state.generator, key, count)
    new_critic, critic_opt, c_loss = descend(tx, lambda c: critic_loss(c, batch, made), state.critic, state.critic_opt)
    score = lambda g: forward(critic, new_critic, fake(g, key, count))[:, 0]
    g_objective = lambda g: Mean.of(jax.nn.softplus(-score(g)), batch["mask"])
    new_generator, generator_opt, g_loss = descend(tx, g_objective, state.generator, state.generator_opt)
    new = state.replace(
      step=state.step + 1,
      generator=new_generator,
      critic=new_critic,
      generator_opt=generator_opt,
      critic_opt=critic_opt,
    )
    return new, {"critic_loss": c_loss, "generator_loss": g_loss}

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
  environments: Any  # [row, 4], of all devices
  replay: Any  # [row, time, ...], one ring for each environment


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


def temporal_difference(seed=0, rows=8, capacity=32):
  """DQN by a clock: environments and replay are held by rows, the target network is in the state."""
  network, tx = Net(2), optax.adam(1e-3)

  def init(key, batch):
    params = network.init(randomness.stream_key(key, "init"), jnp.zeros(4))
    ring = lambda *shape: jnp.zeros((rows, capacity, *shape))
    replay = {"obs": ring(4), "action": ring().astype(jnp.int32), "next": ring(4), "done": ring()}
    # A copy: the target must not share the parameters' buffers, which are donated.
    target = jax.tree.map(jnp.array, params)
    return QState.create(
      key, params=params, target=target, opt_state=tx.init(params), environments=jnp.zeros((rows, 4)), replay=replay
    )

  def act(params, key, obs):
    """What one row does and where that leads; where its episode ends, another begins."""
    explore, which = jax.random.bernoulli(key, 0.2), jax.random.randint(jax.random.fold_in(key, 1), (), 0, 2)
    action = jnp.where(explore, which, forward(network, params, obs).argmax())
    after, done = cart_pole(obs, action)
    restart = 0.05 * jax.random.normal(jax.random.fold_in(key, 2), (4,))
    step = {"obs": obs, "action": action, "next": after, "done": done.astype(jnp.float32)}
    return step, jnp.where(done, restart, after)

  def update(state, batch):
    keys = randomness.example_keys(randomness.stream_key(state.key, "act", state.step), len(batch["mask"]))
    obs, replay = axes.mine((state.environments, state.replay))
    taken, environments = jax.vmap(act, (None, 0, 0))(state.params, keys, obs)
    replay = {name: replay[name].at[:, state.step % capacity].set(taken[name]) for name in replay}
    replayed = jax.vmap(
      lambda k: jax.random.randint(jax.random.fold_in(k, 3), (), 0, jnp.minimum(state.step + 1, capacity))
    )
    drawn = {name: value[jnp.arange(len(keys)), replayed(keys)] for name, value in replay.items()}

    def loss(params):
      target = 1.0 + 0.99 * (1 - drawn["done"]) * forward(network, state.target, drawn["next"]).max(-1)
      q = jnp.take_along_axis(forward(network, params, drawn["obs"]), drawn["action"][:, None], -1)[:, 0]
      return Mean.of(optax.huber_loss(q, jax.lax.stop_gradient(target)), batch["mask"])

    params, opt_state, value = descend(tx, loss, state.params, state.opt_state)
    environments, replay = axes.whole((environments, replay))
    new = state.replace(
      step=state.step + 1,
      params=params,
      target=keep_if(state.step % 10 == 0, params, state.target),
      opt_state=opt_state,
      environments=environments,
      replay=replay,
    )
    return new, {"loss": value}

  def evaluate(state, batch):
    q = forward(network, state.params, jnp.zeros((len(batch["mask"]), 4))).max(-1)
    return {"q": Mean.of(q, batch["mask"])}

  del seed  # all that is random follows from the run's key
  test = clock.clock(rows, count=20)
  return Experiment(Learner(init, update, evaluate), clock.clock(rows, frames=rows), test, test)


BITS = np.array([0, 1, 1] * 54)  # each the exclusive or of the two before


def stream(seed=0, rows=4):
  """A recurrent network whose rows carry their state on: each token is the exclusive or of the two before."""
  del seed  # a stream is read in its order
  cell, head = nn.SimpleCell(8), nn.Dense(2)
  blank = jnp.zeros((1, 8))

  def init(key, batch):
    one, two = jax.random.split(key)
    return {"params": {"cell": cell.init(one, blank, jnp.zeros((1, 2))), "head": head.init(two, blank)}}

  def read(variables, batch, carry):
    params, inputs = variables["params"], jax.nn.one_hot(batch["inputs"], 2)
    carry = jnp.where(batch["fresh"][:, None] > 0, 0, carry)
    carry, hidden = jax.lax.scan(lambda c, x: cell.apply(params["cell"], c, x), carry, inputs.swapaxes(0, 1))
    logits = head.apply(params["head"], hidden.swapaxes(0, 1))
    nll = optax.softmax_cross_entropy_with_integer_labels(logits, batch["targets"])
    return Mean((nll * batch["mask"]).sum(), batch["mask"].sum()), carry

  def loss(variables, batch, key, carry):
    mean, carry = read(variables, batch, carry)
    return mean, ({}, {}, carry)

  def evaluate(variables, batch, carry):
    mean, carry = read(variables, batch, carry)
    return {"nll": mean}, carry

  init_carry = lambda batch: jnp.zeros((len(batch["fresh"]), 8))
  learner = steps.gradient_learner(
    init=init, loss=loss, evaluate=evaluate, optimizer=optax.adam(3e-2), init_carry=init_carry
  )
  data = streams.contiguous(BITS, rows, 5)
  derive = lambda means: {"perplexity": np.exp(means["nll"])}
  return Experiment(learner, data, data, data, derive=derive)


def pack(seed=0):
  """Ragged sequences side by side: a token is told by its position and the one before it in its segment."""
  rng = np.random.default_rng(0)
  sequences = [(rng.integers(0, 2) + np.arange(n)) % 2 for n in rng.integers(2, 9, 30)]
  network = Net(2)

  def logits(variables, batch):
    before = jnp.where(batch["position"] > 0, jnp.roll(batch["tokens"], 1, axis=1), -1)
    return forward(network, {"params": variables["params"]}, jax.nn.one_hot(before, 2))

  def nll(variables, batch):
    losses = optax.softmax_cross_entropy_with_integer_labels(logits(variables, batch), batch["tokens"])
    return Mean((losses * batch["mask"]).sum(), batch["mask"].sum())

  learner = steps.gradient_learner(
    init=lambda key, batch: network.init(key, jnp.zeros((1, 2))),
    loss=lambda variables, batch, key: (nll(variables, batch), ({}, {})),
    evaluate=lambda variables, batch: {"nll": nll(variables, batch)},
    optimizer=optax.adam(1e-2),
  )
  packed = lambda seed: packs.packed({"tokens": sequences}, 12, 4, seed=seed)
  return Experiment(learner, packed(seed), packed(None), packed(None))


@struct.dataclass
class ChainState(State):
  chains: Any  # [row, 2], of all devices
  mean: Any


def chain(seed=0, rows=8):
  """Persistent Langevin chains by a clock: samples of a Gaussian about (2, 2), and their mean so far."""
  del seed

  def init(key, batch):
    return ChainState.create(key, chains=jnp.zeros((rows, 2)), mean=jnp.zeros(2))

  def update(state, batch):
    keys = randomness.example_keys(randomness.stream_key(state.key, "noise", state.step), len(batch["mask"]))
    own = axes.mine(state.chains)
    noise = jax.vmap(lambda key: jax.random.normal(key, (2,)))(keys)
    own = own + 0.1 * (2.0 - own) + jnp.sqrt(0.2) * noise
    now = axes.psum(Mean.of(own, batch["mask"])).value()
    new = state.replace(step=state.step + 1, chains=axes.whole(own), mean=state.mean + 0.05 * (now - state.mean))
    return new, {"square": Mean.of((own**2).sum(-1), batch["mask"])}

  def evaluate(state, batch):
    return {"distance": Mean.of(jnp.full(len(batch["mask"]), jnp.abs(state.mean - 2).max()), batch["mask"])}

  test = clock.clock(rows, count=8)
  measure = lambda state, data: {"spread": float(np.ptp(np.asarray(state.chains)))}
  return Experiment(Learner(init, update, evaluate), clock.clock(rows), test, test, measure=measure)


def table(seed=0, size=50):
  """Two embeddings whose product is to be the parity of their ids: only the rows of a batch are moved."""
  rng = np.random.default_rng(0)
  pairs = rng.integers(0, size, (200, 2)).astype(np.int32)
  same = (pairs.sum(1) % 2 == 0).astype(np.float32)

  def nll(rows, batch):
    logit = (rows[:, 0] * rows[:, 1]).sum(-1)
    return Mean.of(optax.sigmoid_binary_cross_entropy(logit, batch["same"]), batch["mask"])

  learner = sparse.sparse_learner(
    init=lambda key, batch: {"words": 0.5 * jax.random.normal(key, (size, 4))},
    ids=lambda batch, key: {"words": batch["pair"]},
    loss=lambda rows, batch, key: (nll(rows["words"], batch), {}),
    evaluate=lambda tables, batch: {"nll": nll(tables["words"][batch["pair"]], batch)},
    optimizer=sparse.adagrad(lambda step: 0.5),
  )
  return experiment_of(learner, {"pair": pairs, "same": same}, seed=seed)


ALL = {
  "classifier": classifier,
  "game": game,
  "mixture": mixture,
  "temporal_difference": temporal_difference,
  "stream": stream,
  "pack": pack,
  "chain": chain,
  "table": table,
}
