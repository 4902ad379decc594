"""Which values the numbers of a config may have: one table for all experiments, held before anything is built.

What depends on other fields, on the network or on the data is the family's own to refuse.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from research.errors import UserError

# Interval -> fields, each named by as much of the end of its name as tells it apart.
_INTERVALS = {
  "[1, inf)": """
    accumulate agent.rows agent.steps atoms bands base_components bases batches beams bins blocks candidates capacity
    chains chunk classes code_size codes communities components context critic_steps critic_widths data.edges data.nodes
    data.rows data.scale density_side dilations draws epochs eval_batch_size eval_samples eval_strings examples
    exploration.frames factor factors fan_outs features film.frames films filters first_size generator_widths
    gradient_steps graphs groups heads hidden horizon images iterations keep kernel known labels latent_size
    latents layers least length levels longest maps max_depth max_steps members method.most minibatches n_steps
    negatives noise_steps objects output_heads passage patch points rank rare reader_depth repeats report.first
    report.frames report.states report.steps report.topics report.words samples sampler.steps scales scenes season
    segment select_episodes shortest side sides size sizes skip stack stages starts states steps steps_per_dispatch
    stride strings suffix sweeps target_every test_episodes thin topics vector version whitening_size
    whitening_stride width widths window windows""",
  "[2, inf)": "temperatures",
  "[0, inf)": """
    alpha beta bound_nodes buckets budget burn_in cap channels chrono churn clip_norm coded collapse commitment compare
    completions concentration conservative consistency crop cutout cycle data.sample depth dice drawn edits elastic
    embedding encoder_depth environment.bins eta eval_episodes factors.levels final_fraction fine_tune floor folds
    gradient_penalty guidance identity importance importance_samples input_noise kv_heads learning_rate learning_starts
    level likelihood_steps limit lloyd_iterations margin mask_bands mask_steps max_skips mixup model.hidden
    model.levels model.noise model.steps num_devices oddities patience penalty per_class phrase_threshold phrases plane
    prior priority principal_components r1 reach reconstruction reg_covar repulsion report.augment report.skip rotation
    size_weight speeds std step_delay stop_at strength temperature top_k train.batch_size train.select translation
    transpose var_smoothing vocabulary warmup weight_decay whitening_kernel batch_size""",
  "(0, inf)": """
    augment.scale backprop.prior backprop.std confidence data_std features.window hop inverse_penalty langevin.delay
    langevin.prior laplace.precision linear.scale logistic.scale method.path poisson.scale repetition_penalty
    seconds step_power step_size train.temperature""",
  "[0, 1)": """
    b1 b2 code_decay damping data.missing dropout ema_decay head_dropout input_dropout label_dropout label_smoothing
    laplace.decay momentum node_dropout recurrent_dropout validation""",
  "(0, 1)": "acceptance data.test quantiles",
  "[0, 1]": """
    data.noise decay discount evaluation exploration.first follow guidance_interval last min_p overlap report.strength
    score target_rate teleport""",
  "(0, 1]": "centre data.most random_area top_p",
  "[0, 8192]": "image_size",  # of a side: 64 million pixels
  "[0, 4294967296)": "seed",  # which JAX's keys take
  "[-1, inf)": "factors.fold fold",
  "(-inf, inf)": "coupling liked returns threshold",
}
# Least and largest, of which the first is not above the second.
_SPANS = ("augment.scale", "guidance_interval", "random_area", "returns", "speeds")
_PAIRS = (*_SPANS, "plane")
_NOT_EMPTY = ("critic_widths", "dilations", "fan_outs", "generator_widths", "latents", "quantiles", "stages", "widths")
_WORDS = ("boundaries", "model.augment", "quantities", "report.compare", "targets")  # tuples of them
_LARGEST = 2**31 - 1  # of a whole number: what an index of 32 bits holds
_BY_NAME = {name: interval for interval, names in _INTERVALS.items() for name in names.split()}


def interval(field: str) -> str | None:
  """The interval of a field by its full name, such as `[0, 1)`, from the longest end of the name that has one."""
  parts = field.split(".")
  ends = (".".join(parts[start:]) for start in range(len(parts)))
  return next((_BY_NAME[end] for end in ends if end in _BY_NAME), None)


def check(values: Mapping[str, Any]) -> None:
  """Holds the fields of a config, by their full names, against their intervals.

  Raises:
    UserError: a number that is not finite or out of its range; a tuple of something else than its field takes.
  """
  for field, value in values.items():
    if isinstance(value, tuple | list):
      _check_tuple(field, value)
    if _is(field, ("folds",)) and value == 1:
      raise UserError(f"config.{field}", value, "give 2 or more; 0 for none.")
    for number in numbers(value):
      if not _within(number, interval(field) or "(-inf, inf)"):
        raise UserError(f"config.{field}", value, remedy(interval(field) or "(-inf, inf)"))
      if isinstance(number, int) and number > _LARGEST and not _is(field, ("seed",)):
        raise UserError(f"config.{field}", value, f"give {_LARGEST:,} or less.")


def _check_tuple(field: str, value: tuple | list) -> None:
  if not value and _is(field, _NOT_EMPTY):
    raise UserError(f"config.{field}", value, "give one entry at least, such as (1,).")
  if _is(field, _WORDS):
    if not all(isinstance(entry, str) for entry in value):
      raise UserError(f"config.{field}", value, 'write words, such as ("a", "b").')
    return
  if interval(field) is not None and len(list(numbers(value))) < len(list(_leaves(value))):
    raise UserError(f"config.{field}", value, "write numbers, such as (1, 2).")
  if _is(field, _PAIRS) and (len(value) != 2 or len(list(numbers(value))) != 2):
    if not value and _is(field, ("random_area",)):
      return
    raise UserError(f"config.{field}", value, "give two numbers.")
  if _is(field, _SPANS) and value[0] > value[1]:
    raise UserError(f"config.{field}", value, "give the lesser first.")


def _is(field: str, names: tuple[str, ...]) -> bool:
  """Whether a field is one of these, which are ends of names."""
  return any(f".{field}".endswith(f".{name}") for name in names)


def _leaves(value: Any) -> Iterator[Any]:
  if isinstance(value, tuple | list):
    for entry in value:
      yield from _leaves(entry)
  else:
    yield value


def numbers(value: Any) -> Iterator[int | float]:
  """The numbers of a value, of tuples' entries too; True is none."""
  return (leaf for leaf in _leaves(value) if isinstance(leaf, int | float) and not isinstance(leaf, bool))


def _bounds(text: str) -> tuple[float, float, bool, bool]:
  """Least and largest of `[0, 1)`, and whether each is taken."""
  low, high = re.split(r",\s*", text[1:-1])
  return float(low), float(high), text[0] == "[", text[-1] == "]"


def _within(number: int | float, text: str) -> bool:
  low, high, has_low, has_high = _bounds(text)
  above = number >= low if has_low else number > low
  below = number <= high if has_high else number < high
  return math.isfinite(number) and above and below


def remedy(text: str) -> str:
  """What to give, in words, for an interval."""
  low, high, has_low, has_high = _bounds(text)
  least = f"{low:,.0f} or more" if has_low else f"more than {low:g}"
  most = f"at most {high:g}" if has_high else f"less than {high:,.0f}"
  match math.isfinite(low), math.isfinite(high):
    case True, True:
      return f"give {least} and {most}."
    case True, False:
      return f"give {least}."
    case _:
      return "give a finite number."
