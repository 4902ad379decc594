"""Training steps of generative families, and sampling."""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.benchmark.timing import BATCH, SHAPES, image_batch, images, result, timed
from research.families import autoregressive, gan, vae
from research.families.diffusion import generation, samplers
from research.families.diffusion import model as diffusion
from research.families.flows import bijection, elementwise
from research.families.flows import model as flows
from research.generation import model as generation_model
from research.generation.choosing import sample
from research.generation.generate import generate
from research.networks import dcgan
from research.networks.autoencoder import MLPAutoencoder
from research.networks.coupling import ResidualMLP
from research.networks.pixelcnn import PixelCNN
from research.networks.unet import UNet
from research.networks.wavenet import WaveNet
from research.training import game, steps


def dcgan_step(name: str) -> dict:
  """Median wall time of one update of both players, in ms."""
  family = gan.gan(dcgan.Generator((28, 28, 1)), dcgan.Discriminator(), latent_size=64)
  learner = game.game_learner(
    init=family.init,
    generate=family.generate,
    critic_loss=family.critic_loss,
    generator_loss=family.generator_loss,
    evaluate=family.evaluate,
    generator_optimizer=optax.adam(2e-4, b1=0.5),
    critic_optimizer=optax.adam(2e-4, b1=0.5),
  )
  inputs, _, source = images("mnist", "train", 640)
  mask = np.ones(64, np.float32)
  batches = [jax.device_put({"inputs": 2 * x - 1, "mask": mask}) for x in np.split(inputs, 10)]
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves((state.generator.params, state.critic.params)))
  median, measured = timed(jax.jit(learner.update, donate_argnums=0), state, batches, 100)
  return result(name, "step_time", median, "ms", **measured, batch=64, parameters=parameters, data=source)


def vae_step(name: str) -> dict:
  """Median wall time of one update of the textbook VAE, 784-400-20-400-784, on MNIST, in ms."""
  family = vae.vae(MLPAutoencoder(SHAPES["mnist"], 1, (20,), (400,), "relu"), vae.bernoulli())
  optimizer = optax.adam(1e-3)
  learner = steps.gradient_learner(init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer)
  inputs, labels, source = images("mnist", "train", 10 * BATCH)
  batches = [image_batch(inputs[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  median, measured = timed(jax.jit(learner.update, donate_argnums=0), state, batches, 500)
  return result(name, "step_time", median, "ms", **measured, batch=BATCH, parameters=parameters, data=source)


def _ddpm():
  """The U-Net of `peers/generative.py` (diffusers' UNet2DModel), its optimizer's learner, and the model."""
  model = diffusion.diffusion(UNet((32, 64, 64), 2, (False, True, False)), "linear", predicts="noise")
  optimizer = optax.adamw(1e-4, weight_decay=1e-2)
  learner = steps.gradient_learner(init=model.init, loss=model.loss, evaluate=model.evaluate, optimizer=optimizer)
  return model, learner


def ddpm_step(name: str) -> dict:
  """Median wall time of one update of DDPM's U-Net on 32 images of 32x32, in ms."""
  batch_size = 32
  _, learner = _ddpm()
  inputs, labels, source = images("mnist", "train", 10 * batch_size)
  inputs = np.pad(2 * inputs - 1, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
  batches = [
    image_batch(inputs[i : i + batch_size], labels[i : i + batch_size]) for i in range(0, len(inputs), batch_size)
  ]
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  median, measured = timed(jax.jit(learner.update, donate_argnums=0), state, batches, 30)
  return result(name, "step_time", median, "ms", **measured, batch=batch_size, parameters=parameters, data=source)


def ddim_sample(name: str) -> dict:
  """Seconds to draw 16 images of 32x32 by 50 steps of DDIM; `detail` has the same with the loop on the device."""
  model, learner = _ddpm()
  batch = image_batch(np.zeros((1, 32, 32, 1), np.float32), np.zeros(1, np.int32))
  params = jax.jit(learner.init)(jax.random.key(0), batch).params
  medians = {}
  for loop in ("auto", "host", "device"):
    draw = generation.generator(model, samplers.ddim(), 50, loop=loop).draw
    seconds = []
    for i in range(4):  # the first compiles
      begin = time.perf_counter()
      jax.block_until_ready(draw({"params": params}, (16, 32, 32, 1), jax.random.key(i)))
      seconds.append(time.perf_counter() - begin)
    medians[loop] = statistics.median(seconds[1:])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
  detail = {"images": 16, "ddim_steps": 50, "parameters": parameters}
  return result(
    name, "sampling_time", medians["auto"], "s", host_loop_s=medians["host"], device_loop_s=medians["device"], **detail
  )


def _density_step(name: str, family, batches, count: int, source: str) -> dict:
  """Median wall time of one update by the likelihood, in ms."""
  learner = steps.gradient_learner(
    init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optax.adam(1e-3)
  )
  state = jax.jit(learner.init)(jax.random.key(0), batches[0])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  median, measured = timed(jax.jit(learner.update, donate_argnums=0), state, batches, count)
  size = len(batches[0]["inputs"])
  return result(name, "step_time", median, "ms", **measured, batch=size, parameters=parameters, data=source)


def pixelcnn_step(name: str) -> dict:
  """A gated PixelCNN of two stacks on binary MNIST; the peer's is of one, with about as many parameters."""
  head = autoregressive.bernoulli()
  family = autoregressive.autoregressive(PixelCNN(1, 2, width=32, dilations=(1, 1, 1)), head)
  inputs, labels, source = images("mnist", "train", 640)
  bits = (inputs > 0.5).astype(np.float32)
  batches = [image_batch(bits[i : i + 64], labels[i : i + 64]) for i in range(0, 640, 64)]
  return _density_step(name, family, batches, 50, source)


def spline_flow_step(name: str) -> dict:
  """Four spline couplings of 64 numbers, conditioners of two layers of 256, 8 bins."""
  spline = elementwise.rational_quadratic(8)
  network = lambda features: ResidualMLP(features, 256, 1)
  layers = [bijection.coupling(network, spline, bijection.halves(i % 2 == 1)) for i in range(4)]
  family = flows.flow(bijection.chain(layers), (64,))
  inputs, labels, source = images("mnist", "train", 2560)
  # The means of 8x8 overlapping windows, as the peer's adaptive pooling has them.
  edges = [(i * 28 // 8, -(-(i + 1) * 28 // 8)) for i in range(8)]
  x = np.stack([inputs[:, a:b, c:d, 0].mean((1, 2)) for a, b in edges for c, d in edges], 1)
  x = (x - x.mean(0)) / (x.std(0) + 0.1)
  batches = [image_batch(x[i : i + 256], labels[i : i + 256]) for i in range(0, 2560, 256)]
  return _density_step(name, family, batches, 100, source)


def wavenet_generate(name: str, samples: int = 2000, uncached: int = 50) -> dict:
  """Samples a second of one sound, from ring buffers; in the detail, computing everything anew for each."""
  network = WaveNet(256, 256, tuple(2**i for i in range(10)), 32, 64)
  variables = jax.jit(lambda key: network.init(key, jnp.zeros((1, 16), jnp.int32)))(jax.random.key(0))
  full = lambda variables, tokens: network.apply(variables, jnp.pad(tokens, ((0, 0), (0, 1)))[:, 1:])
  cached = generation_model.model(
    lambda variables, batch, length, context=None: network.apply(variables, batch, method="init_carry"),
    lambda variables, carry, token: network.apply(variables, carry, token, method="step"),
  )
  rates = {}
  for kind, generator, count in (("cached", cached, samples), ("uncached", generation_model.buffered(full), uncached)):

    @jax.jit
    def run(variables, key, generator=generator, count=count):
      step = lambda carry, token: generator.step(variables, carry, token)
      carry = generator.init_carry(variables, 1, samples)
      return generate(step, carry, jnp.zeros(1, jnp.int32), key, count, choose=sample())[0]

    jax.block_until_ready(run(variables, jax.random.key(0)))
    begin = time.perf_counter()
    jax.block_until_ready(run(variables, jax.random.key(1)))
    rates[kind] = count / (time.perf_counter() - begin)
  detail = {"uncached_samples_per_s": rates["uncached"], "length": samples}
  return result(name, "generation_rate", rates["cached"], "samples/s", **detail)


WORKLOADS = {
  "dcgan_step": dcgan_step,
  "vae_step": vae_step,
  "ddpm_step": ddpm_step,
  "ddim_sample": ddim_sample,
  "pixelcnn_step": pixelcnn_step,
  "spline_flow_step": spline_flow_step,
  "wavenet_generate": wavenet_generate,
}
