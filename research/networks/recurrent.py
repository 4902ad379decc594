"""Recurrent networks: LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000) and GRU (Cho et al. 2014).

What does not wait for the step before is taken out of the loop over time: the product with the inputs in front of it,
and, in the gradient, that of the recurrent kernel behind it, as one matrix product over all steps.  Left to
reverse-mode differentiation the loop would add up a matrix as large as the kernel at every step.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from research import randomness
from research.errors import UserError
from research.networks import layers

State = tuple[Float[Array, "batch feature"], ...]  # what a cell carries, h first: (h, c) of LSTM, (h,) of GRU
Steps = Float[Array, "batch time feature"]


class Cell(NamedTuple):
  """What a step does, elementwise, and how a gradient goes back through it.

  Attributes:
    gates: columns of the kernels, in multiples of the features.
    states: arrays that are carried.
    additive: whether inputs and recurrent product count by their sum alone.
    update: `update(inputs, product, state) -> state, opened`; `inputs` = x W + b and `product` = h U + b', [batch,
      gates * features].  `opened`, the gates' values, are kept for `pull`, which takes no exponential but in tanh(c).
    pull: `pull(opened, before, after, d_after) -> d_inputs, d_product, d_before`, of the states before and after; what
      goes back to h by the product is not in `d_before`.
  """

  gates: int
  states: int
  additive: bool
  update: Callable[[Array, Array, State], tuple[State, tuple[Array, ...]]]
  pull: Callable[[tuple[Array, ...], State, State, State], tuple[Array, Array, tuple[Any, ...]]]


def _lstm(inputs, product, state):
  i, f, g, o = jnp.split(inputs + product, 4, axis=-1)
  i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
  c = f * state[1] + i * g
  return (o * jnp.tanh(c), c), (i, f, g, o)


def _lstm_pull(opened, before, after, d_after):
  i, f, g, o = opened
  tanh_c = jnp.tanh(after[1])
  d_h, d_c = d_after
  d_c += d_h * o * (1 - tanh_c * tanh_c)
  d_i, d_f, d_g, d_o = (
    d_c * g * i * (1 - i),
    d_c * before[1] * f * (1 - f),
    d_c * i * (1 - g * g),
    d_h * tanh_c * o * (1 - o),
  )
  d_sum = jnp.concatenate([d_i, d_f, d_g, d_o], -1)
  return d_sum, d_sum, (0, d_c * f)


def _gru(inputs, product, state):
  # The reset gate works on the product, as in cuDNN and PyTorch, so that there is one product a step.
  x_r, x_z, x_n = jnp.split(inputs, 3, axis=-1)
  p_r, p_z, p_n = jnp.split(product, 3, axis=-1)
  r, z = jax.nn.sigmoid(x_r + p_r), jax.nn.sigmoid(x_z + p_z)
  n = jnp.tanh(x_n + r * p_n)
  return ((1 - z) * n + z * state[0],), (r, z, n, p_n)


def _gru_pull(opened, before, after, d_after):
  del after
  r, z, n, p_n = opened
  (d_h,) = d_after
  d_z, d_n = d_h * (before[0] - n) * z * (1 - z), d_h * (1 - z) * (1 - n * n)
  d_r = d_n * p_n * r * (1 - r)
  return jnp.concatenate([d_r, d_z, d_n], -1), jnp.concatenate([d_r, d_z, d_n * r], -1), (d_h * z,)


CELLS = {"lstm": Cell(4, 2, True, _lstm, _lstm_pull), "gru": Cell(3, 1, False, _gru, _gru_pull)}


def cell_of(name: str) -> Cell:
  """The cell of that name; UserError where there is none."""
  if name not in CELLS:
    raise UserError("config.model.cell", name, f"choose {' or '.join(CELLS)}.")
  return CELLS[name]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def recurrence(cell: Cell, unroll: int, inputs, kernel, bias, kept, state: State) -> State:
  """The states after every step.

  Args:
    cell: elementwise.
    unroll: steps that one turn of the compiled loop does: of 1, 2 and 4, 1 took least on CPU.
    inputs: [time, batch, gates * features], x W + b.
    kernel: U [features, gates * features].
    bias: b' [gates * features], of the recurrent product; None for 0.
    kept: [batch, features], what h is multiplied by before the product (dropout, the same at every step); None for 1.
      It gets no gradient.
    state: before the first step, [batch, features] each.

  Returns:
    Arrays [time, batch, features], one for each of `state`.
  """
  return _forward(cell, unroll, inputs, kernel, bias, kept, state)[0]


def _forward(cell, unroll, inputs, kernel, bias, kept, state):
  def step(state, x):
    state, opened = cell.update(x, _product(_masked(state[0], kept), kernel, bias), state)
    return state, (state, opened)

  states, opened = jax.lax.scan(step, state, inputs, unroll=unroll)[1]
  return states, (opened, kernel, bias, kept, state, states)


def _backward(cell, unroll, saved, d_states):
  opened, kernel, bias, kept, first, after = saved
  before = tuple(jnp.concatenate([start[None], later[:-1]]) for start, later in zip(first, after))

  def step(d_state, at):
    opened, before, after, d_output = at
    d_x, d_product, d_before = cell.pull(opened, before, after, tuple(a + b for a, b in zip(d_state, d_output)))
    d_h = d_before[0] + _masked(_product(d_product, kernel.T, None), kept)
    return (d_h, *d_before[1:]), (None if cell.additive else d_x, d_product)

  nothing = tuple(map(jnp.zeros_like, first))
  d_first, (d_inputs, d_products) = jax.lax.scan(
    step, nothing, (opened, before, after, d_states), reverse=True, unroll=unroll
  )
  flat = lambda x: x.reshape(-1, x.shape[-1])
  h = _masked(before[0], kept)
  d_kernel = jnp.dot(flat(h).T.astype(kernel.dtype), flat(d_products).astype(kernel.dtype)).astype(kernel.dtype)
  d_bias = None if bias is None else d_products.sum((0, 1)).astype(bias.dtype)
  d_inputs = d_products if cell.additive else d_inputs
  return d_inputs, d_kernel, d_bias, None if kept is None else jnp.zeros_like(kept), d_first


recurrence.defvjp(_forward, _backward)


def _product(x, kernel, bias):
  y = jnp.dot(x.astype(kernel.dtype), kernel, preferred_element_type=jnp.promote_types(kernel.dtype, jnp.float32))
  return y if bias is None else y + bias


def _masked(x, kept):
  return x if kept is None else x * kept


class Recurrent(nn.Module):
  """Layers of LSTM or GRU over padded sequences; the states at their ends are returned, to go on from.

  Attributes:
    features: units of a layer and direction.
    layers: their number.
    cell: `lstm` or `gru`.
    bidirectional: a second pass from the end of every sequence to its start; outputs are concatenated.
    dropout: rate at the input of every layer and at the output, one mask for all steps (Gal & Ghahramani 2016).
    recurrent_dropout: rate on h before the recurrent product, one mask for all steps (the same).
    residual: each layer but the first adds to its input.
    chrono: longest dependency expected, in steps: LSTM's biases are drawn for it (Tallec & Ollivier 2018); 0 sets the
      forget gate's to 1 (Jozefowicz et al. 2015).
    unroll: steps that one turn of the compiled loop does: of 1, 2 and 4, 1 took least on CPU.
    dtype: compute type of the products; states are float32.
  """

  features: int
  layers: int = 1
  cell: str = "lstm"
  bidirectional: bool = False
  dropout: float = 0.0
  recurrent_dropout: float = 0.0
  residual: bool = False
  chrono: int = 0
  unroll: int = 1
  dtype: jnp.dtype = jnp.float32

  def zero_state(self, batch: int) -> tuple[State, ...]:
    """The state before the first step: of every layer and direction."""
    zeros = jnp.zeros((batch, self.features))
    return ((zeros,) * cell_of(self.cell).states,) * (self.layers * (1 + self.bidirectional))

  @nn.compact
  def __call__(
    self,
    x: Steps,
    train: bool,
    state: tuple[State, ...] | None = None,
    lengths: Int[Array, " batch"] | None = None,
  ) -> tuple[Steps, tuple[State, ...]]:
    """Outputs [batch, time, features (twice, if bidirectional)], and the states after the last step of every row.

    Args:
      x: [batch, time, in].
      train: with dropout.
      state: to start from, as `zero_state`, which it is by default.
      lengths: steps of each row that count; by default all.  Outputs within a length do not depend on what is beyond.
    """
    state = self.zero_state(len(x)) if state is None else state
    directions = (False, True) if self.bidirectional else (False,)
    ends = []
    for layer in range(self.layers):
      fed, outputs = LockedDropout(self.dropout)(x, train), []
      for reverse in directions:
        name = f"layer_{layer}{'_reverse' * reverse}"
        start = state[layer * len(directions) + reverse]
        kept = self._kept(len(x), train)
        y, end = _Layer(self.features, self.cell, self.chrono, self.unroll, self.dtype, name=name)(
          _reversed(fed, lengths) if reverse else fed, start, lengths, kept
        )
        outputs.append(_reversed(y, lengths) if reverse else y)
        ends.append(end)
      y = jnp.concatenate(outputs, -1) if self.bidirectional else outputs[0]
      x = x + y if self.residual and layer else y
    return LockedDropout(self.dropout)(x, train), tuple(ends)

  def _kept(self, batch: int, train: bool):
    """What is kept of h, [batch, features], the same at every step."""
    if not train or not self.recurrent_dropout:
      return None
    return kept(self.make_rng("dropout"), batch, (self.features,), self.recurrent_dropout)


class _Layer(nn.Module):
  """One layer in one direction; see `Recurrent`."""

  features: int
  cell: str
  chrono: int
  unroll: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: Steps, state: State, lengths, kept) -> tuple[Steps, State]:
    cell, width = cell_of(self.cell), self.features
    columns = cell.gates * width
    bias_init = _lstm_bias(width, self.chrono) if self.cell == "lstm" else nn.initializers.zeros
    kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], columns)).astype(self.dtype)
    recurrent = self.param("recurrent", _orthogonal_gates(cell.gates), (width, columns)).astype(self.dtype)
    bias = self.param("bias", bias_init, (columns,))
    inner = None if cell.additive else self.param("recurrent_bias", nn.initializers.zeros, (columns,))
    inputs = layers.product(x.swapaxes(0, 1).astype(self.dtype), kernel) + bias.astype(self.dtype)
    unroll = min(self.unroll, x.shape[1])
    states = recurrence(cell, unroll, inputs, recurrent, inner, kept, state)
    y = states[0].swapaxes(0, 1)
    if lengths is None:
      return y, tuple(s[-1] for s in states)
    rows, last = jnp.arange(len(x)), jnp.maximum(lengths - 1, 0)
    end = lambda s, start: jnp.where(lengths[:, None] > 0, s[last, rows], start)
    return y, tuple(map(end, states, state))


def _reversed(x: Steps, lengths) -> Steps:
  """The first `lengths` steps of every row from the last to the first; what is beyond stays."""
  if lengths is None:
    return x[:, ::-1]
  time = jnp.arange(x.shape[1])
  index = jnp.where(time < lengths[:, None], lengths[:, None] - 1 - time, time)
  return jnp.take_along_axis(x, index[:, :, None], 1)


def _orthogonal_gates(gates: int) -> Callable:
  """An orthogonal matrix for every gate (Saxe et al. 2014)."""

  def init(key, shape, dtype=jnp.float32):
    one = nn.initializers.orthogonal()
    blocks = [one(k, (shape[0], shape[1] // gates), dtype) for k in jax.random.split(key, gates)]
    return jnp.concatenate(blocks, -1)

  return init


def _lstm_bias(width: int, chrono: int) -> Callable:
  """Biases of i, f, g and o: the forget gate's 1, or log U(1, chrono - 1) with the input gate's opposite."""

  def init(key, shape, dtype=jnp.float32):
    del shape
    zeros = jnp.zeros(width, dtype)
    if not chrono:
      return jnp.concatenate([zeros, zeros + 1, zeros, zeros])
    forget = jnp.log(jax.random.uniform(key, (width,), dtype, 1, max(chrono - 1, 1 + 1e-3)))
    return jnp.concatenate([-forget, forget, zeros, zeros])

  return init


def kept(key, batch: int, shape: tuple[int, ...], rate: float) -> Float[Array, "batch ..."]:
  """0 where a unit is dropped, else 1 / (1 - rate), keyed by the example's place in the global batch."""
  one = lambda key: jax.random.bernoulli(key, 1 - rate, shape) / (1 - rate)
  return jax.vmap(one)(randomness.example_keys(key, batch)).astype(jnp.float32)


class LockedDropout(nn.Module):
  """Dropout with one mask for all steps of a sequence (Gal & Ghahramani 2016).

  Attributes:
    rate: probability of setting a unit to zero.
  """

  rate: float

  @nn.compact
  def __call__(self, x: Steps, train: bool) -> Steps:
    if not train or not self.rate:
      return x
    return x * kept(self.make_rng("dropout"), len(x), (1, x.shape[-1]), self.rate).astype(x.dtype)


class RecurrentLM(nn.Module):
  """A language model: embedding, recurrent layers, softmax (Mikolov et al. 2010; Graves 2013).

  Its methods `init_carry`, `step` and `prefill` are those of `research.generation.model`.

  Attributes:
    vocabulary: number of tokens.
    recurrent: the layers, in one direction.
    embedding: size of a token's vector; 0 for as many as `recurrent.features`.
    tied: the softmax's kernel is the embedding (Press & Wolf 2017).
  """

  vocabulary: int
  recurrent: Recurrent
  embedding: int = 0
  tied: bool = False

  def setup(self):
    size = self.embedding or self.recurrent.features
    self.embed = nn.Embed(self.vocabulary, size, embedding_init=nn.initializers.normal(size**-0.5))
    if self.tied and size != self.recurrent.features:
      self.project = layers.Dense(size, dtype=self.recurrent.dtype)
    if not self.tied:
      self.out = layers.Dense(self.vocabulary, dtype=self.recurrent.dtype)

  def __call__(self, tokens: Int[Array, "batch time"], train: bool, carry=None):
    """Logits [batch, time, vocabulary], float32, and the carry, to go on from."""
    size = self.embedding or self.recurrent.features
    y, carry = self.recurrent(self.embed(tokens) * size**0.5, train, carry)
    if not self.tied:
      return self.out(y).astype(jnp.float32), carry
    y = self.project(y) if size != self.recurrent.features else y
    kernel = self.embed.embedding.T.astype(self.recurrent.dtype)
    return layers.product(y.astype(kernel.dtype), kernel).astype(jnp.float32), carry

  def init_carry(self, batch: int, length: int = 0, context=None):
    """The carry before the first token; of any length."""
    del length, context
    return self.recurrent.zero_state(batch)

  def step(self, carry, token: Int[Array, " batch"]):
    """carry, logits [batch, vocabulary] of the next token."""
    logits, carry = self(token[:, None], False, carry)
    return carry, logits[:, 0]

  def prefill(self, carry, tokens: Int[Array, "batch time"], lengths: Int[Array, " batch"]):
    """The carry after the first `lengths` of the tokens."""
    size = self.embedding or self.recurrent.features
    return self.recurrent(self.embed(tokens) * size**0.5, False, carry, lengths)[1]


class RecurrentClassifier(nn.Module):
  """Classes of sequences: what recurrent layers make of them, pooled over time.

  A sequence is one of tokens, int [batch, time], of which 0 is padding, or of vectors: the rows of an image [batch,
  height, width, channel], or [batch, time, feature].

  Attributes:
    num_classes: number of logits.
    recurrent: the layers.
    pool: over the steps: `last` (of each direction, the state at its end), `mean` or `max`.
    vocabulary: of tokens; 0 where there are none.
    embedding: size of a token's vector; 0 for `recurrent.features`.
  """

  num_classes: int
  recurrent: Recurrent
  pool: str = "last"
  vocabulary: int = 0
  embedding: int = 0

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Float[Array, "batch classes"]:
    lengths, size = None, self.embedding or self.recurrent.features
    if self.vocabulary:
      lengths = (x > 0).sum(-1)
      x = nn.Embed(self.vocabulary, size, embedding_init=nn.initializers.normal(1.0), name="embed")(x)
    y, ends = self.recurrent(x.reshape(*x.shape[:2], -1), train, None, lengths)
    return nn.Dense(self.num_classes, dtype=jnp.float32)(self._pooled(y, ends, lengths))

  def _pooled(self, y: Steps, ends: tuple[State, ...], lengths) -> Float[Array, "batch feature"]:
    directions = 1 + self.recurrent.bidirectional
    if self.pool == "last":
      return jnp.concatenate([end[0] for end in ends[-directions:]], -1)
    real = jnp.ones(y.shape[:2], bool) if lengths is None else jnp.arange(y.shape[1]) < lengths[:, None]
    if self.pool == "mean":
      return (y * real[:, :, None]).sum(1) / jnp.maximum(real.sum(1), 1)[:, None]
    if self.pool == "max":
      return jnp.where(real[:, :, None], y, jnp.finfo(y.dtype).min).max(1)
    raise UserError("config.model.pool", self.pool, "choose last, mean or max.")
