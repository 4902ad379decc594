"""A section of a config in which one part is chosen: that part alone exists, and choosing another brings it."""

import ml_collections
import pytest

from configs._choice import Choice
from experiments.command import cli
from research.errors import UserError

PARTS = {"small": {"stages": ((1, 2), (3,)), "dropout": 0.0}, "wide": {"factor": 10}, "plain": {}}


def config_of() -> ml_collections.ConfigDict:
  config = ml_collections.ConfigDict({"seed": 0})
  config.model = Choice("small", PARTS, states=2)
  return config.lock()


def test_the_chosen_part_alone_exists():
  assert config_of().model.to_dict() == {"name": "small", "states": 2, "small": PARTS["small"]}


def test_another_name_brings_its_part_with_the_defaults_and_drops_the_other():
  config = config_of()
  config.model.small.dropout = 0.5
  config.model.name = "wide"
  assert config.model.to_dict() == {"name": "wide", "states": 2, "wide": {"factor": 10}}
  config.model.name = "small"
  assert config.model.small.dropout == 0.0
  config.model.name = "plain"
  assert config.model.to_dict() == {"name": "plain", "states": 2, "plain": {}}
  with pytest.raises(AttributeError):  # locked as before
    config.model.other = 1


def test_a_name_that_is_chosen_already_leaves_its_part_as_it_is():
  config = config_of()
  config.model.small.dropout = 0.5
  config.model.name = "small"
  assert config.model.small.dropout == 0.5


def test_defaults_are_of_parts_chosen_now_or_later_and_of_this_config_alone():
  config = config_of()
  config.model.defaults(small={"dropout": 0.1}, wide={"factor": 4})
  assert config.model.small.dropout == 0.1
  config.model.name = "wide"
  assert config.model.wide.factor == 4
  assert config_of().model.small.dropout == PARTS["small"]["dropout"] == 0.0


def test_a_copy_chooses_for_itself():
  config = config_of()
  copy = config.copy_and_resolve_references()
  copy.model.name = "wide"
  assert copy.model.wide.factor == 10
  assert config.model.name == "small"


@pytest.mark.parametrize(
  ("field", "text", "words"),
  [
    ("model.name", "larg", "choose small, wide or plain"),
    ("model.wide.factor", "3", "no such field"),
    ("model.small.dropout", "no", "must be of type float"),
  ],
)
def test_the_command_line_says_what_there_is(field, text, words):
  with pytest.raises(UserError, match=words):
    cli.override(config_of(), field, text)


def test_a_name_on_the_command_line_goes_before_the_fields_of_its_part():
  overrides = {"model.textbook.dropout": "0.25", "model.name": "textbook"}
  config = cli.load_config("configs/cnn/mnist.py", overrides)
  assert config.model.to_dict() == {"name": "textbook", "textbook": {"dropout": 0.25}}
