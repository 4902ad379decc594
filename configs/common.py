"""The fields that every config shares, with their defaults; a config file adds its own and changes what differs."""

import ml_collections

from configs import _images


def classical() -> ml_collections.ConfigDict:
  """A config without model and optimizer, for what learns by counting: seed, data, training, run, published numbers."""
  return ml_collections.ConfigDict(
    {
      "seed": 0,  # of initialisation, data order, augmentation, dropout: everything
      "data": {
        "name": "digits",  # embedded: digits, iris; TFDS: mnist, fashion_mnist, cifar10, imagenet2012; own: npz, folder
        "data_dir": "",  # where TFDS sets lie; empty: TFDS_DATA_DIR
        "path": "",  # the user's own .npz file or folder of images
        "validation": 0.0,  # share of the training set held out and evaluated during training; 0 trains on all of it
      },
      "train": {
        "batch_size": 1000,  # over all devices
        "duration": "1 epoch",  # steps, epochs or examples
        "accumulate": 1,  # micro-batches per update
        "precision": "float64",  # float32; bfloat16 forward and backward, parameters float32; float64 throughout
      },
      "run": run(),
      "published": {},  # metric -> {value, source}: what result.json shows beside
      "bars": {},  # metric -> {min or max}: what this project set out to reach
    }
  )


def base() -> ml_collections.ConfigDict:
  """`classical`, with the fields of what learns by gradient."""
  config = classical()
  config.optimizer = ml_collections.ConfigDict(
    {
      "name": "adam",  # sgd, momentum, adam, adamw, lion, lamb, muon
      "learning_rate": 1e-3,  # its peak
      "schedule": "cosine",  # constant, cosine, linear, piecewise, one_cycle
      "warmup": "0 steps",  # duration of the linear warm-up
      "final_fraction": 0.0,  # learning rate at the end, as a share of the peak
      "weight_decay": 0.0,  # on kernels only
      "clip_norm": 0.0,  # largest global norm of the gradient; 0 does not clip
    }
  )
  config.train.update(
    {
      "batch_size": 128,
      "duration": "10 epochs",
      "ema_decay": 0.0,  # of the parameters' moving average that is evaluated; 0 evaluates the parameters
      "members": 1,  # networks trained together by vmap; their predictions are averaged
      "precision": "float32",
    }
  )
  return config


def run() -> ml_collections.ConfigDict:
  """How, not what: these may change between two launches of one run."""
  return ml_collections.ConfigDict(
    {
      "parallelism": "auto",  # jit, pmap, fsdp; auto: jit on one device, else pmap
      "num_devices": 0,  # devices used; 0: all
      "steps_per_dispatch": 1,  # updates per call of the compiled step; tiny dense steps gain from 100
      "eval_every": "10 %",  # duration between evaluations
      "measure_every": "0 steps",  # duration between measures on the host (BLEU, R-hat); 0: at the end alone
      "save_every": "10 %",  # duration between checkpoints; a best state is saved besides
      "log_every": "1 %",  # duration between rows of training metrics
      "keep": 2,  # newest checkpoints kept
      "keep_every": "0 steps",  # checkpoints at multiples of this are kept for good
      "best_metric": "",  # evaluation metric whose best checkpoint is kept
      "best_mode": "max",  # whether its largest or smallest value is best
      "report_best": False,  # report that checkpoint rather than the last
      "max_skips": 0,  # updates with a non-finite loss or gradient to skip before stopping
      "profile": "",  # "10:20" traces steps 10 to 19 into profile/
      "stop_at": 0,  # stop, saved and resumable, at this step
      "compilation_cache": "",  # folder of compiled programs; empty: the user's cache folder
    }
  )


def generative() -> ml_collections.ConfigDict:
  """`base`, with the fields of what generates: VAE, GAN, diffusion."""
  config = base()
  config.data.update(_images.images())
  config.report = ml_collections.ConfigDict({"samples": 64})  # images in a figure
  return config


def measure() -> ml_collections.ConfigDict:
  """How samples are measured: by the features and labels of a classifier that this project trains."""
  return ml_collections.ConfigDict(
    {
      "samples": 10_000,  # whose classes are counted
      "classifier": "",  # folder of a finished run of experiments.cnn; empty: one is trained, once, and kept
      "config": "configs/cnn/mnist.py:judge",  # that one's config; its data are those that are generated
      "duration": "5 epochs",  # of its training
    }
  )


def diffusion() -> ml_collections.ConfigDict:
  """`generative`, with a diffusion model: its network, its process, its sampler."""
  config = generative()
  config.data.limit = 0  # training examples used, the first ones; 0 uses all
  config.model = ml_collections.ConfigDict(
    {
      "name": "dit",  # mlp, unet, dit
      "features": 128,  # of mlp and dit: width of a block
      "depth": 4,  # of mlp and dit: number of blocks
      "heads": 4,  # of dit: of attention or static mixing
      "patch": 4,  # of dit: side of a patch
      "window": 2,  # of dit: side of what a token reads and writes, in patches; 1 is the paper's, without overlap
      "mixing": "attention",  # of dit: attention; static (learned weights between places)
      "widths": (32, 64, 64),  # of unet: channels of the stages
      "blocks": 2,  # of unet: residual blocks a stage
      "attention": (False, True, False),  # of unet: whether a stage has attention
      "dropout": 0.0,  # of unet and dit
      "process": "cosine",  # linear, cosine (variance preserving), edm, rectified_flow, learned (VDM)
      "predicts": "v",  # noise, data, v, velocity, edm
      "data_std": 1.0,  # standard deviation of the inputs, which scales what the network sees
      "conditional": True,  # on the label
    }
  )
  config.train.weighting = "output"  # output, noise, min_snr, elbo: what the squared error is weighted for
  config.train.times = "uniform"  # uniform, logit_normal, log_normal
  config.train.label_dropout = 0.1  # share of labels withheld, for guidance
  config.sampler = ml_collections.ConfigDict(
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
  return config


def diffusion_images() -> ml_collections.ConfigDict:
  """`diffusion`, with what is measured and drawn of images."""
  config = diffusion()
  config.report.update(
    {
      "bound_nodes": 0,  # of the quadrature of the variational bound, over the test set; 0 leaves it out
      "edits": 8,  # test images that are inpainted, enlarged and redrawn
      "repeats": 4,  # resamplings of every step when inpainting
      "factor": 4,  # of the enlargement; divides the sides of the images
      "strength": 0.6,  # share of the steps that is done again when an image is redrawn
      "augment": 0,  # samples beside the training examples for a classifier to learn from; 0 trains none
      "augment_config": "configs/cnn/mnist.py",  # that classifier
      "augment_duration": "600 steps",  # of its training, with samples and without
      "compare": (),  # sampler:steps, or last (parameters without average), whose samples are measured too
    }
  )
  return config


def vae() -> ml_collections.ConfigDict:
  """`generative`, with a variational autoencoder."""
  config = generative()
  config.data.update(
    {
      "binarise": False,  # draw every pixel from its grey value: anew at each step, once for evaluation
      "leave_out": "",  # classes left out of training, to be told as anomalies: "3,5" or "all"; a model for each
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "name": "mlp",  # mlp, conv, vq (convolutions around a codebook)
      "likelihood": "bernoulli",  # bernoulli, gaussian, logistic (discretised, for bytes)
      "std": 0.0,  # of gaussian, in units of pixels 0 to 1; 0 learns it for every pixel
      "conditional": False,  # encoder and decoder see the label
      "latents": (50,),  # of mlp: sizes of the levels of latents, top first
      "hidden": (200, 200),  # of mlp: widths between two levels, from the image up
      "activation": "tanh",  # of mlp: relu, tanh, leaky_relu, elu, gelu, gated
      "dropout": 0.0,  # of mlp: rate in the encoder
      "vector": 32,  # of conv: size of the top level
      "maps": (),  # of conv: channels of the latents at each stage, largest first; (): only the vector
      "widths": (32, 64),  # of conv and vq: channels of the stages, each half the size of the one before
      "blocks": 1,  # of conv and vq: residual blocks a stage
      "codes": 64,  # of vq: entries of the codebook
      "code_size": 16,  # of vq: length of an entry
      "commitment": 0.25,  # of vq: weight of the encoder's distance to its code
      "code_decay": 0.99,  # of vq: of the codebook's moving averages
    }
  )
  config.train.update(
    {
      "objective": "elbo",  # elbo, iwae
      "samples": 1,  # of the latents, for each image
      "beta": 1.0,  # weight of the KL divergence in training
      "warmup": "0 steps",  # duration of the linear rise of that weight from 0
      "eval_samples": 10,  # of the importance-weighted bound in evaluation
    }
  )
  config.report.update(
    {
      "importance_samples": 1000,  # of the test log-likelihood
      "chunk": 50,  # of them at once
      "batch_size": 100,  # images at once, with so many samples each
      "sweeps": 100,  # of Gibbs sampling, to impute missing pixels
    }
  )
  return config


def gan() -> ml_collections.ConfigDict:
  """`generative`, with two networks, two optimizers and what is measured of the samples."""
  config = generative()
  config.measure = measure()
  config.data.stacked = False  # three grey images as the channels of one: stacked MNIST
  config.data.examples = 100_000  # of points: training examples
  config.model = ml_collections.ConfigDict(
    {
      "network": "dcgan",  # dcgan; mlp (images as vectors, and points)
      "latent_size": 64,  # components of z
      "generator_widths": (128, 64),  # dcgan: channels from the smallest image on; mlp: of the hidden layers
      "critic_widths": (64, 128),  # the same of the discriminator
      "output": "tanh",  # of mlp: tanh, sigmoid, linear
      "generator_norm": True,  # of mlp: batch normalisation in the generator
      "critic_norm": "batch",  # batch (dcgan only), spectral, none
      "conditional": False,  # on the class: one-hot beside z, projection in the discriminator
      "loss": "non_saturating",  # non_saturating, least_squares, hinge, wasserstein
      "gradient_penalty": 0.0,  # its weight; 10 with the Wasserstein loss
      "r1": 0.0,  # gamma of the R1 penalty
      "augment": (),  # DiffAugment: color, translation, cutout
    }
  )
  config.optimizer.update({"learning_rate": 2e-4, "schedule": "constant", "b1": 0.5})  # Radford et al. 2016
  config.critic_optimizer = ml_collections.ConfigDict(config.optimizer.to_dict())
  config.train.update({"batch_size": 64, "critic_steps": 1, "ema_decay": 0.999})  # a batch is divided among the steps
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """The variant that `--config=file.py:name` asks for; `smoke` is the same config in seconds, for tests.

  Raises:
    ValueError: there is no such variant.
  """
  if name in ("", *also):
    return config
  if name != "smoke":
    raise ValueError(f"config variant {name!r}: there are {', '.join(('smoke', *also))}")
  config.train.update({"duration": "8 steps", "batch_size": 8})
  config.run.update({"eval_every": "4 steps", "save_every": "3 steps", "log_every": "2 steps"})
  config.data.eval_batch_size = 64
  config.bars = ml_collections.ConfigDict()
  if "warmup" in config.get("optimizer", {}):
    config.optimizer.warmup = "2 steps"
  if "samples" in config.get("report", {}):
    config.report.samples = 8
  if "importance_samples" in config.get("report", {}):
    config.report.update({"importance_samples": 10, "chunk": 5, "batch_size": 20, "sweeps": 3})
  if "measure" in config:
    config.measure.update({"samples": 16, "duration": "2 steps"})
  return config
