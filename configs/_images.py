"""What configs of labelled images share."""


def images() -> dict:
  """What `data` says of labelled images."""
  return {
    "test_split": "test",  # scored once, at the end
    "normalise": "none",  # none: pixels 0 to 1; train: the training set's mean 0 and deviation 1; imagenet
    "image_size": 0,  # height and width that images are brought to; 0 leaves them
    "channels": 0,  # 1 grey, 3 colour; 0 leaves them
    "streamed": False,  # read images when they are needed; False: only where they exceed 1 GiB
    "target": "",  # of a table of one's own, the column that tells the class
    "impute": False,  # of a table, fill missing cells: the training rows' mean, or most frequent word; else refuse them
    "eval_batch_size": 1000,  # over all devices
  }
