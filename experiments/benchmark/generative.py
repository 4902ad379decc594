"""Training steps of generative families, and sampling."""

import statistics
import time

import jax
import numpy as np
import optax

from experiments.benchmark.timing import BATCH, SHAPES, image_batch, images, result, timed
from research.families import gan, vae
from research.families.diffusion import generation, samplers
from research.families.diffusion import model as diffusion
from research.networks import dcgan
from research.networks.autoencoder import MLPAutoencoder
from research.networks.unet import UNet
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
  found = {}
  for loop in ("auto", "host", "device"):
    draw = generation.generator(model, samplers.ddim(), 50, loop=loop).draw
    seconds = []
    for i in range(4):  # the first compiles
      begin = time.perf_counter()
      jax.block_until_ready(draw({"params": params}, (16, 32, 32, 1), jax.random.key(i)))
      seconds.append(time.perf_counter() - begin)
    found[loop] = statistics.median(seconds[1:])
  parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
  detail = {"images": 16, "ddim_steps": 50, "parameters": parameters}
  return result(
    name, "sampling_time", found["auto"], "s", host_loop_s=found["host"], device_loop_s=found["device"], **detail
  )


WORKLOADS = {"dcgan_step": dcgan_step, "vae_step": vae_step, "ddpm_step": ddpm_step, "ddim_sample": ddim_sample}
