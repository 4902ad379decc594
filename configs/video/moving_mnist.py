"""A convolutional LSTM on films of two of MNIST's digits, 32x32: ten frames from ten.

`:published` is for one GPU: films of 64x64, measured on the 10,000 published test films, from TFDS (moving_mnist) or as
the authors' mnist_test_seq.npy in $GENERA_DATA_DIR/moving_mnist.

Paper: Shi et al. 2015 (ConvLSTM); Srivastava et al. 2015 (the films, there of 64x64); of `:published`, 103.3, the
  squared error of a frame, and SSIM 0.707 of a ConvLSTM in Wang et al. 2017 (PredRNN), table 1 (recalled, not checked)
Command: python -m experiments.video --config=configs/video/moving_mnist.py
Hardware: 2 CPU cores; `:published` one GPU
Time: 14.5 minutes on two shared cores; `:published` is not measured
Expected: 0.42 of the squared error of copying the last frame (seed 0; the aim is half); digits blur
  into blobs that move as they do
"""

from configs.video import _base

VARIANTS = ("published",)


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "mnist"
  config.data.validation = 0.05
  config.data.eval_batch_size = 100
  config.train.batch_size = 16
  config.train.duration = "1200 steps"
  config.train.ema_decay = 0.995
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup = "100 steps"
  config.run.best_metric, config.run.best_mode = "mse", "min"
  config.bars = {"test_mse_over_copying": {"max": 0.5}}
  if variant == "published":
    config.data.test_films = "moving_mnist"
    config.film.update(
      {"size": 64, "side": 28.0, "speeds": (3.6, 3.6)}
    )  # a tenth of the room, as the authors drew them
    config.model.update({"widths": (128, 64, 64), "kernel": 5})
    config.train.duration = "100000 steps"
    config.optimizer.learning_rate = 1e-3
    source = "ConvLSTM in Wang et al. 2017, table 1 (recalled)"
    config.published.test_frame_mse = {"value": 103.3, "source": source}
    config.published.test_ssim = {"value": 0.707, "source": source}
    config.bars = {"test_frame_mse": {"max": 103.3}}
  return _base.variant(config, variant, VARIANTS)
