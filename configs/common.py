"""The fields that every config shares, with their defaults; a config file adds its own and changes what differs."""

import ml_collections


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


def images() -> dict:
  """What `data` says of labelled images."""
  return {
    "test_split": "test",  # scored once, at the end
    "normalise": "none",  # none: pixels 0 to 1; train: the training set's mean 0 and deviation 1; imagenet
    "image_size": 0,  # height and width that images are brought to; 0 leaves them
    "channels": 0,  # 1 grey, 3 colour; 0 leaves them
    "streamed": False,  # read images when they are needed; False: only where they exceed 1 GiB
    "eval_batch_size": 1000,  # over all devices
  }


def classification() -> ml_collections.ConfigDict:
  """`base`, with the fields of a classifier."""
  config = base()
  config.data.update(
    {
      **images(),
      "folds": 0,  # k: cross-validate on test_split, k networks side by side; 0 does not
      "random_area": (),  # of streamed training images, the range of areas of a random part; (): the centre
      "centre": 1.0,  # of streamed test images, the part of the shorter side that is taken
    }
  )
  config.augment = ml_collections.ConfigDict(
    {
      "rotation": 0.0,  # largest angle, degrees
      "translation": 0.0,  # largest shift, pixels
      "scale": (1.0, 1.0),  # least and largest magnification
      "elastic": 0.0,  # standard deviation of a smooth displacement of every pixel, pixels
      "crop": 0,  # pixels of reflected border around which a window of the image's size is taken
      "flip": False,  # mirror half of the images
      "cutout": 0,  # side of a square that is erased
      "mixup": 0.0,  # alpha of Beta(alpha, alpha); 0 does not mix
    }
  )
  config.train.update({"label_smoothing": 0.0})  # mass moved from the label to the uniform distribution
  return config


def generative() -> ml_collections.ConfigDict:
  """`base`, with the fields of what generates: VAE, GAN, diffusion."""
  config = base()
  config.data.update(images())
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


def naive_bayes() -> ml_collections.ConfigDict:
  """`classical`, with a naive Bayes model."""
  config = classical()
  config.data.update(images())
  config.model = ml_collections.ConfigDict(
    {
      "name": "gaussian",  # gaussian, bernoulli, multinomial, complement, categorical
      "var_smoothing": 1e-9,  # of gaussian: share of the largest variance that every variance gains
      "alpha": 1.0,  # of the others: added to every count
      "threshold": 0.5,  # of bernoulli: a pixel, 0 to 1, is on above it
      "levels": 4,  # of categorical: grey levels that a pixel is brought to
      "norm": False,  # of complement: divide the weights of a class by their sum
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 10})  # images of each class in a figure
  config.comparison = ml_collections.ConfigDict(
    {
      "sizes": (),  # of training sets on which logistic regression is compared; (): it is not
      "repeats": 20,  # random training sets of each size
      "inverse_penalty": 1.0,  # of logistic regression: scikit-learn's C
    }
  )
  return config


def gmm() -> ml_collections.ConfigDict:
  """`classical`, with a mixture of Gaussians."""
  config = classical()
  config.data.update(images())
  config.data.update(
    {
      "principal_components": 0,  # of the training set, that inputs are projected onto; 0 takes them as they are
      "whole": False,  # train on test_split too: a density of all the data, as the literature has it on iris
      "leave_out": "",  # classes left out of training, to be told as anomalies: "3,5" or "all"; a mixture for each
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "components": 10,  # Gaussians of a mixture
      "candidates": (),  # numbers of components trained side by side, the best chosen by BIC; (): `components`
      "covariance": "full",  # full, tied, diag, spherical
      "reg_covar": 1e-6,  # added to every variance, in the square of the data's unit
      "start": "k-means++",  # k-means++, random (examples), of the means before k-means
      "lloyd_iterations": 100,  # of k-means before the first update, at most
      "starts": 1,  # mixtures trained side by side, the best chosen by likelihood
      "by_class": False,  # one mixture for each class: a generative classifier
      "variational": False,  # variational Bayes; covariance full or diag
      "concentration": 1e-3,  # of variational: of the Dirichlet prior, for each component; small empties components
    }
  )
  config.train.update(
    {
      "batch_size": 0,  # over all devices; 0: the whole set, which makes every step one of EM
      "step_power": 0.7,  # of stepwise EM, on smaller batches: the weight of a batch is (step + delay) ** -power
      "step_delay": 1.0,
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 64})  # in a figure
  return config


def hmm(learning: str = "em") -> ml_collections.ConfigDict:
  """`classical`, or `base` where it learns by gradient, with a hidden Markov model."""
  config = base() if learning == "gradient" else classical()
  del config.data["data_dir"]
  config.data.update(
    {
      "name": "weather",  # embedded: weather; files: jsb_chorales, brown
      "path": "",  # the folder of the files; empty: GENERA_DATA_DIR and the name
      "eval_batch_size": 200,  # sequences, over all devices
    }
  )
  config.train.update(
    {
      "learning": learning,  # em (Baum-Welch), counts (of known states), gradient (of the likelihood)
      "batch_size": 1000,  # sequences, over all devices; in Baum-Welch, fewer than all are stepwise EM
    }
  )
  if learning == "gradient":
    del config.train["members"]
  return config


def hidden_states(learning: str = "em") -> ml_collections.ConfigDict:
  """`hmm`, with states that are hidden."""
  config = hmm(learning)
  config.data.resolution = "quarter"  # of jsb_chorales: length of a time step, quarter or 16th
  config.model = ml_collections.ConfigDict(
    {
      "states": 2,  # K
      "emission": "categorical",  # symbols: categorical; bits: bernoulli; given those before: autoregressive, neural
      "transition": "table",  # table; neural: a network of the observation before moves a table of low rank
      "emission_prior": 0.0,  # pseudo-counts: of each symbol; of bits in all, divided as in the training set
      "transition_prior": 0.0,  # pseudo-counts of each transition, and of each first state
      "rank": 64,  # of neural transitions: of their table
      "reach": 2,  # of autoregressive: how far away, in keys, it looks for one that was down before
      "hidden": 256,  # of neural: width of the network's hidden layer
      "dropout": 0.0,  # of neural: rate behind it
      "input_dropout": 0.0,  # of neural transitions: rate of the observation before
    }
  )
  config.report = ml_collections.ConfigDict(
    {
      "samples": 4,  # sequences drawn
      "steps": 64,  # time steps of each
      "states": 48,  # shown in figures, those most visited
    }
  )
  return config


def tagger() -> ml_collections.ConfigDict:
  """`hmm`, with a trigram tagger."""
  config = hmm("counts")
  config.train.precision = "float32"  # exact for counts below 16 million
  config.model = ml_collections.ConfigDict(
    {
      "suffix": 5,  # letters of the longest suffix that tells the tags of an unknown word
      "rare": 10,  # occurrences of the words that are learned from for unknown ones, at most
      "least": 3,  # such words that a suffix must have
      "strength": 10.0,  # tokens that what a shorter suffix says weighs
    }
  )
  return config


def mlp() -> ml_collections.ConfigDict:
  """`classification`, with a multilayer perceptron."""
  config = classification()
  config.model = ml_collections.ConfigDict(
    {
      "features": (256, 256),  # widths of the hidden layers
      "dropout": 0.0,  # rate behind every hidden layer
      "input_dropout": 0.0,  # rate at the input
      "input_noise": 0.0,  # standard deviation of normal noise at the input
      "noise": 0.0,  # the same for every hidden layer, before its activation
      "batch_norm": False,  # normalise every hidden layer before its activation
      "kernel_init": "he",  # lecun, he, glorot, orthogonal
    }
  )
  return config


def cnn() -> ml_collections.ConfigDict:
  """`classification`, with a convolutional network."""
  config = classification()
  config.data.test_views = ""  # predictions averaged with the mirror image's (mirror), or shifted ones' (shift)
  config.model = ml_collections.ConfigDict(
    {
      "name": "small",  # textbook (conv 32, conv 64, pool, dense 128), lenet5, small (strong and modern)
      "stages": ((32, 32), (64, 64, 128)),  # of small: widths of the convolutions, stage by stage
      "dropout": 0.0,  # of textbook and small: rate in front of the logits
    }
  )
  return config


def resnet() -> ml_collections.ConfigDict:
  """`classification`, with a residual network and momentum, as these are trained."""
  config = classification()
  config.data.test_views = ""  # as in `cnn`
  config.model = ml_collections.ConfigDict(
    {
      "name": "cifar",  # cifar (depth 20, 32, 44, 56, 110), imagenet (10, 18, 34, 50, 101, 152), wide (6n + 4), fast
      "depth": 20,  # layers; of fast: convolutions a group
      "version": 1,  # 1: He et al. 2015; 2: pre-activation, 2016
      "shortcut": "A",  # of cifar, where shapes change: A zero-padded, B projected
      "zero_init": False,  # the last scale of each block starts at 0, so each block as the identity
      "factor": 10,  # of wide: channels in multiples of 16, 32, 64
      "dropout": 0.0,  # of wide: rate between the convolutions of a block
      "widths": (64, 256, 256),  # of fast: channels of the groups
      "whitening_size": 2,  # of fast: side of the first layer's patches
      "whitening_stride": 1,  # of fast: 2 halves the image at once
    }
  )
  config.optimizer.update({"name": "momentum", "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4})
  config.optimizer.boundaries = ()  # of piecewise: durations at which the learning rate drops tenfold
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
