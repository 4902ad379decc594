"""Commands and run folders of a revision whose networks had no sections of their own."""

import contextlib
import json

import pytest

from experiments.command import cli, runs
from research import renamed
from research.errors import UserError
from research.training import rundir

GAN = "configs/gan/digits.py:smoke"


def test_a_field_is_found_in_the_section_of_the_network_that_is_chosen():
  config = cli.load_config(GAN, {"model.generator_widths": "(4, 4)"})
  assert config.model.dcgan.generator_widths == (4, 4)
  other = cli.load_config("configs/gan/mnist.py", {"model.output": "linear", "model.network": "mlp"})
  assert (other.model.name, other.model.mlp.output) == ("mlp", "linear")


def test_what_is_not_there_once_is_not_guessed():
  fields = ["train.steps", "model.a.x", "model.b.x", "model.c.d.y"]
  assert [renamed.now(field, fields) for field in ("model.x", "model.y", "steps", "train.steps")] == [
    "model.x",
    "model.y",
    "steps",
    "train.steps",
  ]
  with pytest.raises(UserError, match="no such field"):
    cli.load_config(GAN, {"model.codes": "3"})


def flat_config():
  """The config as it was written before: all networks' fields beside one another."""
  config = json.loads(json.dumps(cli.load_config(GAN).to_dict()))
  model = config["model"]
  model |= {"network": model.pop("name"), **model.pop("dcgan"), "output": "tanh", "generator_norm": True}
  return config


@pytest.mark.parametrize(
  ("change", "field"), [({}, None), ({"critic_widths": [9, 9]}, "model.dcgan.critic_widths"), ({"r1": 3.0}, "model.r1")]
)
def test_a_folder_of_an_older_revision_is_gone_on_with_unless_a_field_differs(change, field, tmp_path):
  old = flat_config()
  old["model"] |= change
  (tmp_path / "config.json").write_text(json.dumps(old))
  with contextlib.closing(rundir.RunDirectory(tmp_path)) as directory:
    if field is None:
      directory.claim(cli.load_config(GAN).to_dict())
      assert json.loads((tmp_path / "config.json").read_text())["model"]["name"] == "dcgan"
    else:
      with pytest.raises(UserError, match=f"another config.*{field}"):
        directory.claim(cli.load_config(GAN).to_dict())


def test_a_pixelcnn_of_so_many_blocks_is_one_of_so_many_layers_without_dilation(tmp_path):
  spec = "configs/autoregressive/digits.py"
  old = json.loads(json.dumps(cli.load_config(spec).to_dict()))
  old["model"]["pixelcnn"]["blocks"] = len(old["model"]["pixelcnn"].pop("dilations")) + 1
  dilations = runs.restored(old, spec).model.pixelcnn.dilations
  assert dilations == (1,) * old["model"]["pixelcnn"]["blocks"]
  (tmp_path / "config.json").write_text(json.dumps(old))
  with contextlib.closing(rundir.RunDirectory(tmp_path)) as directory:
    with pytest.raises(UserError, match=r"another config.*model.pixelcnn.dilations"):
      directory.claim(cli.load_config(spec).to_dict())
    directory.claim(cli.load_config(spec, {"model.pixelcnn.dilations": str(dilations)}).to_dict())
