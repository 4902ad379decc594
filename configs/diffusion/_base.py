"""The fields of diffusion models: a network, a process, a sampler."""

import ml_collections

from configs import _generative, _language, _scenes, common
from configs._choice import Choice

NETWORKS = {
  "mlp": {
    "features": 128,  # width of a block
    "depth": 4,  # number of blocks
  },
  "unet": {
    "widths": (32, 64, 64),  # channels of the stages
    "blocks": 2,  # residual blocks a stage
    "attention": (False, True, False),  # whether a stage has attention
    "dropout": 0.0,
  },
  "dit": {
    "features": 128,  # width of a block
    "depth": 4,  # number of blocks
    "heads": 4,  # of attention or static mixing
    "patch": 4,  # side of a patch
    "window": 2,  # side of what a token reads and writes, in patches; 1 is the paper's, without overlap
    "mixing": "attention",  # attention; static (learned weights between places)
    "dropout": 0.0,
  },
}
SMALL = {
  "mlp": {"features": 16, "depth": 1},
  "unet": {"widths": (4, 4, 4), "blocks": 1},
  "dit": {"features": 16, "depth": 1, "heads": 2},
}
SMALL_REPORT = {
  "bound_nodes": 2,
  "edits": 2,
  "repeats": 1,
  "likelihood_steps": 3,
  "density_side": 4,
}


def diffusion(network: str = "dit") -> ml_collections.ConfigDict:
  """`generative`, with a diffusion model."""
  config = _generative.generative()
  config.data.limit = 0  # training examples used, drawn by the seed; 0 uses all
  config.model = Choice(
    network,
    NETWORKS,
    process="cosine",  # linear, cosine (variance preserving), edm, rectified_flow, learned (VDM)
    predicts="v",  # noise, data, v, velocity, edm
    data_std=1.0,  # standard deviation of the inputs, which scales what the network sees
    conditional=True,  # on the label
  )
  config.train.weighting = "output"  # output, noise, min_snr, elbo: what the squared error is weighted for
  config.train.times = "uniform"  # uniform, logit_normal, log_normal
  config.train.label_dropout = 0.1  # share of labels withheld, for guidance
  config.sampler = sampler()
  return config


def sampler() -> ml_collections.ConfigDict:
  """How images are drawn."""
  return ml_collections.ConfigDict(
    {
      "name": "dpm_solver",  # ancestral, ddim, heun, dpm_solver, sde_dpm_solver (with fresh noise), euler
      "steps": 25,
      "spacing": "log_snr",  # uniform in time; log_snr; karras
      "eta": 0.0,  # of ddim: share of the ancestral noise
      "churn": 0.0,  # of heun: relative rise of the noise at every step
      "guidance": 1.0,  # weight of the label's direction; 1 is none
      "guidance_interval": (0.0, 1.0),  # from which to which share of the steps there is guidance, noise first
      "loop": "auto",  # device, host; auto chooses by platform and network
    }
  )


def images(network: str = "dit") -> ml_collections.ConfigDict:
  """`diffusion`, with what is measured and drawn of images."""
  config = diffusion(network)
  config.report.update(
    {
      "bound_nodes": 0,  # of the quadrature of the variational bound, over the test set; 0 leaves it out
      "edits": 8,  # test images that are inpainted, enlarged and redrawn
      "repeats": 4,  # resamplings of every step when inpainting
      "factor": 4,  # of the enlargement
      "strength": 0.6,  # share of the steps that is done again when an image is redrawn
      "augment": 0,  # samples beside the training examples for a classifier to learn from; 0 trains none
      "augment_config": "configs/cnn/mnist.py",  # that classifier
      "augment_duration": "600 steps",  # of its training, with samples and without
      "compare": (),  # sampler:steps, or last (parameters without average), whose samples are measured too
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network and few steps."""
  config = _generative.variant(config, name, also)
  if name == "smoke":
    config.model[config.model.name].update(SMALL[config.model.name])
    config.optimizer.name = "adam"  # Muon's products take longest to compile
    config.sampler.steps = 3
    config.report.update({field: value for field, value in SMALL_REPORT.items() if config.report.get(field)})
  return config


def text() -> ml_collections.ConfigDict:
  """Diffusion of a text's tokens by a Transformer's encoder; the text is that of language models."""
  config = _language.base()
  config.task = "text"
  config.data.context = 32  # tokens of a window of the evaluation that are given; the bound is that of the others
  config.data.draws = 4  # of each window of the evaluation: how much of it is hidden, and what
  config.model = _language.transformer()
  config.model.update({"qk_norm": True, "activation": "relu2"})
  config.train.batch_size = 16  # windows, over all devices
  del config.train["label_smoothing"]
  config.optimizer.update({"name": "muon", "learning_rate": 5e-3, "weight_decay": 0.01})
  config.sampler = ml_collections.ConfigDict(
    {
      "steps": 64,  # in each the network is asked once; as many as a window has tokens are about as good as more
      "temperature": 1.0,  # of the tokens' distributions; 0 takes the most probable
      "top_p": 1.0,  # share of the mass of the most probable tokens that are drawn from
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 8})  # texts written, and filled in
  return config


def text_variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network on the first characters of a text."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.data.update({"limit": 2000, "length": 8, "context": 4, "draws": 2})
    config.model.update({"features": 8, "depth": 1, "heads": 2})
    config.optimizer.name = "adam"
    config.sampler.steps = 3
    config.report.samples = 2
  return config


def films() -> ml_collections.ConfigDict:
  """Diffusion of films of moving digits, or of one's own, by a transformer factorised in space and time."""
  config = diffusion()
  config.task = "films"
  # A model of one network, without labels; its films have no end.
  del config["model"], config.data["limit"], config.train["label_dropout"]
  for field in ("guidance", "guidance_interval"):  # there are no labels
    del config.sampler[field]
  config.data.update({"films": 300, "validation": 0.1})  # for validation, and for the test
  config.film = ml_collections.ConfigDict(
    {
      "size": 32,  # side of the canvas; one's own films are brought to it
      "frames": 16,  # of a film
      "objects": 1,  # digits that move
      "side": 14.0,  # of a digit's picture, pixels
      "speeds": (1.0, 2.5),  # least and largest, pixels a frame
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "features": 64,  # width of the tokens
      "depth": 2,  # pairs of blocks, of space and of time
      "heads": 4,  # of attention
      "patch": 4,  # distance of a token's patch to the next
      "window": 2,  # side of what a token reads and writes, in patches
      "process": "cosine",  # as above
      "predicts": "v",  # as above
      "data_std": 1.0,  # standard deviation of the inputs, which scales what the network sees
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 8})  # films in a figure
  return config


def films_variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network on short, small films."""
  config = common.variant(config, name)
  if name == "smoke":
    config.film.update({"size": 16, "side": 8.0, "frames": 3})
    config.model.update({"features": 16, "depth": 1, "heads": 2})
    config.optimizer.name = "adam"
    config.sampler.steps = 3
    config.data.films = 66  # a whole batch, and one of two
    config.report.samples = 2
  return config


def captions() -> ml_collections.ConfigDict:
  """Scenes of digits by what is said of them."""
  config = _scenes.scenes()
  config.task = "captions"
  config.scene.update({"objects": (2, 2), "cluttered": False})
  config.model = ml_collections.ConfigDict(
    {
      "features": 96,  # width of a block, and of the caption's reader
      "depth": 4,  # number of blocks
      "heads": 4,  # of attention
      "patch": 4,  # side of a patch
      "window": 2,  # side of what a token reads and writes, in patches
      "reader_depth": 2,  # layers of the encoder that reads the caption
      "dropout": 0.0,
      "process": "cosine",  # as of images
      "predicts": "v",
      "data_std": 0.5,
    }
  )
  config.train.update({"weighting": "min_snr", "times": "uniform", "label_dropout": 0.1})  # as of images
  config.sampler = sampler()
  config.measure = ml_collections.ConfigDict(
    {
      "detector": "",  # folder of a run of experiments.detection on such scenes, which judges samples; empty: none
      "score": 0.3,  # from which on what it detects counts
    }
  )
  return config


def captions_variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network on few small scenes."""
  config = common.variant(config, name)
  if name == "smoke":
    config.model.update({"features": 16, "depth": 1, "heads": 2, "reader_depth": 1})
    config.scene.update({"size": 16, "sides": (5.0, 8.0)})
    config.data.scenes = 66  # a whole batch, and one of two
    config.optimizer.name = "adam"  # Muon's products take longest to compile
    config.sampler.steps = 3
    config.report.samples = 4
  return config
