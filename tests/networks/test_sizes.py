"""Images of any sides and channels: a network takes them, or says in a sentence what it needs; never a traceback.

Shapes only: nothing is computed.
"""

import functools

import jax
import jax.numpy as jnp
import pytest

from research.errors import UserError
from research.families.diffusion import samplers
from research.networks import autoencoder, cnn, conditioned, dcgan, dit, fast_resnet, mlp, resnet, unet

SHAPES = [(8, 8, 1), (13, 17, 1), (17, 13, 5), (7, 9, 2), (28, 5, 4), (2, 3, 3), (1, 1, 3)]
CLASSIFIERS = {
  "mlp": mlp.MLP((4,), 3),
  "textbook": cnn.CNN(3),
  "lenet5": cnn.LeNet5(3),
  "small": cnn.SmallCNN(3, ((2, 2), (2, 2), (2,))),
  "cifar": resnet.cifar_resnet(8, 3),
  "cifar projected": resnet.cifar_resnet(8, 3, option="B"),
  "imagenet": resnet.ResNet((1, 1, 1, 1), (4, 4, 4, 4), 3, bottleneck=True, stem_width=4, imagenet_stem=True),
  "wide": resnet.ResNet((1, 1), (4, 8), 3, version=2),
  "fast": fast_resnet.FastResNet(3, (4, 4), 1),
  "fast strided": fast_resnet.FastResNet(3, (4, 4), 1, whitening_stride=2),
}
TOO_SMALL = {
  "textbook": [(28, 5), (2, 3), (1, 1)],
  "lenet5": [(8, 8), (7, 9), (28, 5), (2, 3), (1, 1)],
  "small": [(28, 5), (2, 3), (1, 1)],
  "fast": [(2, 3), (1, 1)],
  "fast strided": [(7, 9), (28, 5), (2, 3), (1, 1)],
}
DENOISERS = {
  "mlp": conditioned.ConditionedMLP(8, 1),
  "unet": unet.UNet((4, 4, 4), 1, (False, True, False), head_features=2, groups=2),
  "dit": dit.DiT(8, 1, 2, 4),
  "dit window": dit.DiT(8, 1, 2, 4, window=2, mixing="static"),
  "dit patch 3": dit.DiT(8, 1, 2, 3, window=3),
}


def shapes(function, *arguments):
  return jax.eval_shape(function, jax.random.key(0), *(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in arguments))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", DENOISERS)
def test_denoisers_give_back_what_they_get(name, shape):
  network = DENOISERS[name]
  passed = lambda key, x, level: network.init_with_output(key, x, level, None, train=False)[0]
  assert shapes(passed, (2, *shape), (2,)).shape == (2, *shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_logits_or_say_what_they_need(name, shape):
  network = CLASSIFIERS[name]
  passed = lambda key, x: network.init_with_output(key, x, train=False)[0]
  if shape[:2] in TOO_SMALL.get(name, ()):
    with pytest.raises(UserError, match="larger images"):
      shapes(passed, (2, *shape))
  else:
    assert shapes(passed, (2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["mlp", "conv", "ladder"])
def test_autoencoders_put_out_the_image_that_they_get(kind, shape):
  network = {
    "mlp": lambda: autoencoder.MLPAutoencoder(shape, 2, (3,), (4,)),
    "conv": lambda: autoencoder.ConvAutoencoder(shape, 2, 3, (), (4, 4, 4)),
    "ladder": lambda: autoencoder.ConvAutoencoder(shape, 2, 3, (2, 0, 1), (4, 4, 4), num_classes=3),
  }[kind]()
  label = jnp.zeros(2, jnp.int32)

  def passed(key, x, *noise):
    both = lambda module, x: module.infer(module.encode(x, label, False), noise, label, False)
    return network.init_with_output(key, x, method=both)[0]

  outputs, levels = shapes(passed, (2, *shape), *((2, *latent) for latent in network.latent_shapes))
  assert outputs.shape == (2, *shape, 2)
  assert tuple(latent.shape[1:] for latent, *_ in levels) == network.latent_shapes


@pytest.mark.parametrize("shape", SHAPES)
def test_a_quantised_autoencoder_puts_out_the_image_that_it_gets(shape):
  network = autoencoder.VQAutoencoder(shape, 1, 2, (4, 4))
  both = lambda module, x: module.decode(module.encode(x))
  passed = lambda key, x: network.init_with_output(key, x, method=both)[0]
  assert shapes(passed, (2, *shape)).shape == (2, *shape, 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["dcgan", "mlp"])
def test_a_pair_of_players_makes_and_judges_images_or_says_what_it_needs(kind, shape):
  pair = {
    "dcgan": lambda: (dcgan.Generator(shape, (4, 4)), dcgan.Discriminator((4, 4))),
    "mlp": lambda: (dcgan.MLPGenerator(shape, (4,)), dcgan.MLPDiscriminator((4,))),
  }[kind]()
  passed = lambda network, key, x: network.init_with_output(key, x, None, train=True)[0]
  divides = all(side % 4 == 0 for side in shape[:2])
  if kind == "dcgan" and not divides:
    with pytest.raises(UserError, match="multiples of 4"):
      shapes(functools.partial(passed, pair[0]), (2, 6))
  else:
    assert shapes(functools.partial(passed, pair[0]), (2, 6)).shape == (2, *shape)
  if kind == "dcgan" and min(shape[:2]) < 4:
    with pytest.raises(UserError, match="larger images"):
      shapes(functools.partial(passed, pair[1]), (2, *shape))
  else:
    assert shapes(functools.partial(passed, pair[1]), (2, *shape)).shape == (2,)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_low_pass_filters_keep_the_shape(shape, factor):
  assert shapes(lambda _, x: samplers.low_pass(x, factor), (2, *shape)).shape == (2, *shape)
