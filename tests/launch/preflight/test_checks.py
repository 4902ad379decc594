"""What is checked without a compiler."""

import jax
import jax.numpy as jnp
import pytest

from launch.preflight import checks
from research.errors import UserError
from research.training.loop import Settings


def test_a_folder_that_is_not_there_yet_is_tried_where_it_would_be_and_left_alone(tmp_path):
  checks.writable(tmp_path / "a" / "b")
  assert checks.nearest_folder(tmp_path / "a" / "b") == tmp_path
  assert not list(tmp_path.iterdir())


def test_a_workdir_below_a_file_cannot_be_written(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match="cannot be written"):
    checks.writable(tmp_path / "file" / "run")


def test_a_disk_too_small_says_by_how_much(tmp_path):
  assert checks.disk(tmp_path, 1.0) > 1.0
  with pytest.raises(UserError, match=r"1048576\.00 GiB.*keep fewer"):
    checks.disk(tmp_path, 2.0**50)


def test_bytes_of_a_state():
  state = {"w": jnp.zeros((3, 4)), "half": jnp.zeros(5, jnp.bfloat16), "step": jnp.int32(0), "key": jax.random.key(0)}
  abstract = jax.eval_shape(lambda state: state, state)
  assert checks.state_bytes(abstract) == 48 + 10 + 4 + 8


@pytest.mark.parametrize(
  ("settings", "kept"),
  [
    (Settings(100, save_every=10, keep=2), 3),
    (Settings(100, save_every=10, keep=2, best_metric="loss"), 4),
    (Settings(100, save_every=10, keep=2, keep_every=20), 8),
    (Settings(100, save_every=0, keep=2), 2),  # saved once, at the end
  ],
)
def test_checkpoints_that_lie_there_at_once(settings, kept):
  assert checks.checkpoints_kept(settings) == kept
