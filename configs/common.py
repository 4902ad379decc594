"""The fields that every config shares, with their defaults; a config file adds its own and changes what differs."""

import ml_collections


def classical() -> ml_collections.ConfigDict:
  """A config without model and optimizer, for what learns by counting: seed, data, training, run, published numbers."""
  return ml_collections.ConfigDict(
    {
      "seed": 0,  # of initialisation, data order, augmentation, dropout: everything
      "init_from": "",  # folder of a run whose parameters training begins with
      "init_paths": "",  # of these alone, by the beginnings of their paths: "params/Conv_0,params/Conv_1"; empty: all
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


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """The variant that `--config=file.py:name` asks for; `smoke` is the same config in seconds, for tests.

  Raises:
    ValueError: there is no such variant.
  """
  if name in ("", *also):
    return config
  if name != "smoke":
    raise ValueError(f"config variant {name!r}: there are {', '.join(('smoke', *also))}")
  # 0 is the whole set, and stays so: another size is another algorithm.
  config.train.update({"duration": "8 steps", "batch_size": min(config.train.batch_size, 8)})
  config.run.update({"eval_every": "4 steps", "save_every": "3 steps", "log_every": "2 steps"})
  config.data.eval_batch_size, config.bars = 64, ml_collections.ConfigDict()
  for section, field, value in (("optimizer", "warmup", "2 steps"), ("report", "samples", 8)):
    if field in config.get(section, {}):
      config[section][field] = value
  return config
