"""The fields of recognisers of speech, whichever network they have."""

import ml_collections

from configs import common


def base() -> ml_collections.ConfigDict:
  """`common.base`, with recordings of single words and features of sound."""
  config = common.base()
  del config.data["data_dir"], config.train["members"]
  config.task = "words"  # what to learn, see experiments/<family>.py
  config.data.update(
    {
      "name": "spoken_digits",  # files: spoken_digits; own: path
      "path": "",  # spoken_digit.npz or its folder; or, by another name, a folder with a folder of .wav for each class
      "seconds": 1.0,  # of a recording; what is longer is cut
      "eval_batch_size": 250,  # over all devices
    }
  )
  config.features = ml_collections.ConfigDict(
    {
      "bands": 40,  # of the mel scale
      "window": 0.032,  # seconds of a frame
      "hop": 0.016,  # seconds from one frame to the next
      "stack": 1,  # frames that become one step
      "mask_steps": 8,  # longest span of steps that training leaves out, twice; 0 for none
      "mask_bands": 8,  # longest span of bands, likewise
    }
  )
  config.train.label_smoothing = 0.0  # mass moved from the label to the uniform distribution
  config.optimizer.update({"name": "adamw", "clip_norm": 1.0})
  return config


def strings() -> ml_collections.ConfigDict:
  """`base`, with strings of words joined from the recordings."""
  config = base()
  config.task = "strings"  # what to learn, see experiments/<family>.py
  del config.train["label_smoothing"]
  config.data.update(
    {
      "seconds": 0.6,  # of a recording; what is longer is cut
      "strings": 2000,  # of an epoch of training; no epoch repeats another's
      "eval_strings": 500,  # joined of validation and of test recordings, always the same
      "eval_batch_size": 50,  # over all devices
    }
  )
  config.features.stack = 2
  config.report = ml_collections.ConfigDict(
    {
      "samples": 20,  # strings of the test set whose transcripts are kept
      "beams": 8,  # prefixes of the search
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
  """`common.variant`, with short recordings."""
  if name == "smoke":
    config.features.update({"bands": 4, "hop": 0.008, "window": 0.008, "mask_steps": 1, "mask_bands": 1})
    if config.task == "strings":
      config.data.update({"seconds": 0.08, "eval_strings": 10})
      config = common.variant(config, name)
      config.report.beams = 2
      config.data.eval_batch_size = 8
      return config
    config.data.seconds = 0.1
  return common.variant(config, name)
