"""A field of the data that the chosen source does not read is refused, with its value and a remedy."""

import ml_collections
import numpy as np
import pytest

from experiments import cnn, hmm, mlp, naive_bayes
from experiments.command import cli
from experiments.parts import fields
from research.errors import UserError


@pytest.mark.parametrize(
  ("experiment", "spec", "field", "text"),
  [
    (hmm, "configs/hmm/weather.py", "path", "my.npz"),
    (hmm, "configs/hmm/weather.py", "resolution", "16th"),
    (mlp, "configs/mlp/digits.py", "channels", "3"),
    (mlp, "configs/mlp/digits.py", "data_dir", "/data"),
    (mlp, "configs/mlp/digits.py", "image_size", "16"),
    (mlp, "configs/mlp/digits.py", "streamed", "True"),
    (mlp, "configs/mlp/digits.py", "random_area", "(0.1, 1.0)"),
    (cnn, "configs/cnn/digits.py", "centre", "0.9"),
    (naive_bayes, "configs/naive_bayes/digits.py", "channels", "3"),
  ],
)
def test_a_field_that_the_source_does_not_read_is_refused(experiment, spec, field, text):
  config = cli.load_config(spec, {f"data.{field}": text})
  with pytest.raises(UserError, match="leave it out") as refused:
    experiment.experiment(config)
  assert refused.value.field == f"config.data.{field}"
  assert str(refused.value.value) == text


def test_an_archive_is_not_looked_for_where_prepared_sets_lie(tmp_path):
  np.savez(tmp_path / "own.npz", inputs=np.zeros((20, 3), np.float32), label=np.arange(20) % 2)
  config = cli.load_config(
    "configs/mlp/digits.py", {"data.path": str(tmp_path / "own.npz"), "data.data_dir": str(tmp_path)}
  )
  with pytest.raises(UserError, match="leave it out"):
    mlp.experiment(config)


def test_what_is_read_or_left_at_its_default_is_no_error():
  data = ml_collections.ConfigDict(
    {"name": "weather", "path": "", "validation": 0.5, "leave_out": "3", "random_area": []}
  )
  fields.refuse_unread(data, {"validation"})
  with pytest.raises(UserError, match=r"weather does not use it"):
    fields.refuse_unread(data, ())
