"""The fields that every config shares, with their defaults; a config file adds its own and changes what differs."""

import ml_collections


def base() -> ml_collections.ConfigDict:
  """A config without a model: seed, data, optimizer, training, run, published numbers."""
  return ml_collections.ConfigDict(
    {
      "seed": 0,  # of initialisation, data order, augmentation, dropout: everything
      "data": {
        "name": "digits",  # embedded: digits, iris; TFDS: mnist, fashion_mnist, cifar10, imagenet2012; own: npz, folder
        "data_dir": "",  # where TFDS sets lie; empty: TFDS_DATA_DIR
        "path": "",  # the user's own .npz file or folder of images
        "validation": 0.0,  # share of the training set held out and evaluated during training; 0 trains on all of it
      },
      "optimizer": {
        "name": "adam",  # sgd, momentum, adam, adamw, lion, lamb, muon
        "learning_rate": 1e-3,  # its peak
        "schedule": "cosine",  # constant, cosine, linear, piecewise, one_cycle
        "warmup": "0 steps",  # duration of the linear warm-up
        "final_fraction": 0.0,  # learning rate at the end, as a share of the peak
        "weight_decay": 0.0,  # on kernels only
        "clip_norm": 0.0,  # largest global norm of the gradient; 0 does not clip
      },
      "train": {
        "batch_size": 128,  # over all devices
        "duration": "10 epochs",  # steps, epochs or examples
        "ema_decay": 0.0,  # of the parameters' moving average that is evaluated; 0 evaluates the parameters
        "accumulate": 1,  # micro-batches per update
        "members": 1,  # networks trained together by vmap; their predictions are averaged
        "precision": "float32",  # of the forward and backward pass: float32 or bfloat16; parameters are float32
      },
      "run": run(),
      "published": {},  # metric -> {value, source}: what result.json shows beside
      "bars": {},  # metric -> {min or max}: what this project set out to reach
    }
  )


def run() -> ml_collections.ConfigDict:
  """How, not what: these may change between two launches of one run."""
  return ml_collections.ConfigDict(
    {
      "parallelism": "auto",  # jit, pmap, fsdp; auto: jit on one device, else pmap
      "num_devices": 0,  # devices used; 0: all
      "steps_per_dispatch": 1,  # updates per call of the compiled step; tiny dense steps gain from 100
      "eval_every": "10 %",  # duration between evaluations
      "save_every": "10 %",  # duration between checkpoints
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


def shrink(config: ml_collections.ConfigDict, steps: int = 8, batch_size: int = 8) -> ml_collections.ConfigDict:
  """The same config in seconds, for tests: a few small steps, every interval exercised."""
  config.train.duration = f"{steps} steps"
  config.train.batch_size = batch_size
  config.run.update({"eval_every": "4 steps", "save_every": "3 steps", "log_every": "2 steps"})
  config.bars = ml_collections.ConfigDict()
  return config


def classification() -> ml_collections.ConfigDict:
  """`base`, with the fields of a classifier."""
  config = base()
  config.data.update(
    {
      "test_split": "test",  # scored once, at the end
      "folds": 0,  # k: cross-validate on test_split, k networks side by side; 0 does not
      "normalise": "none",  # none: pixels 0 to 1; train: the training set's mean 0 and deviation 1; imagenet
      "image_size": 0,  # height and width that images are brought to; 0 leaves them
      "channels": 0,  # 1 grey, 3 colour; 0 leaves them
      "eval_batch_size": 1000,  # over all devices
      "random_area": (),  # of streamed training images, the range of areas of a random part; (): the centre
      "centre": 1.0,  # of streamed test images, the part of the shorter side that is taken
    }
  )
  config.train.update({"label_smoothing": 0.0})  # mass moved from the label to the uniform distribution
  return config
