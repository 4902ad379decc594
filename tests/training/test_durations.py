import pytest

from research.errors import UserError
from research.training import durations


@pytest.mark.parametrize(
  ("duration", "expected"),
  [
    (500, 500),
    (500.0, 500),
    ("500", 500),
    ("500 steps", 500),
    ("1 step", 1),
    ("1_000 steps", 1000),
    (0, 0),
    ("1 epoch", 8),  # 1000 / 128 = 7.8: eight steps to see them all
    ("10 epochs", 79),  # 78.125
    ("0.128 epochs", 1),  # exactly one batch
    ("50000 examples", 391),
    ("128 examples", 1),
    ("5 %", 10),
    ("5%", 10),
    ("12.5 percent", 25),
    ("0.25 %", 1),  # half a step rounds up
  ],
)
def test_forms(duration, expected):
  assert durations.steps(duration, batch_size=128, num_examples=1000, total_steps=200) == expected


@pytest.mark.parametrize(
  "duration", ["", "ten epochs", "10 epoch s", "-5", -5, 2.5, "2.5 steps", True, None, "5 minutes"]
)
def test_bad_input_names_field_value_and_remedy(duration):
  with pytest.raises(UserError, match="warmup") as error:
    durations.steps(duration, batch_size=128, num_examples=1000, total_steps=200, field="warmup")
  assert repr(duration) in str(error.value)
  assert "'10 epochs'" in str(error.value)


def test_percent_needs_a_total():
  with pytest.raises(UserError, match="percentage of what"):
    durations.steps("5 %", batch_size=128, num_examples=1000)


def test_large_numbers_are_exact():
  assert durations.steps("90 epochs", batch_size=1024, num_examples=1_281_167) == 112_603
  assert durations.steps(10**15 + 1, batch_size=1, num_examples=1) == 10**15 + 1
