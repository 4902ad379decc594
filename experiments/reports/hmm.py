"""What a run of a hidden Markov model leaves behind: transitions, emissions, segmentations, and music to listen to."""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from research import randomness
from research.data import weather as weather_lib
from research.data.sequences import Sequences, padded
from research.errors import UserError
from research.evaluation import chains, music
from research.families.hmm import inference
from research.families.hmm.learning import HiddenMarkov
from research.training.experiment import Report

_SHOWN = 100  # time steps in a figure


def whole(sequences: Sequences) -> dict[str, Array]:
  """All of a set as one batch."""
  return {**jax.tree.map(jnp.asarray, sequences.arrays), "mask": jnp.ones(len(sequences))}


def _drawn(family: HiddenMarkov, params, key, config: ml_collections.ConfigDict):
  """Observations and states of sequences that the model makes up."""
  sample = jax.jit(family.sample, static_argnums=2)
  return sample(params, sample_keys(key, config.report.samples), config.report.steps)


# Weather


def weather(params, key, family: HiddenMarkov, config: ml_collections.ConfigDict, test: Sequences) -> Report:
  """What was learned beside the truth, which a simulation knows; states are matched by how often they agree."""
  del key
  batch = whole(test)
  path = np.asarray(jax.jit(family.decode)(params, batch).states)
  smoothed = jax.jit(family.smooth)(params, batch)
  real = np.arange(path.shape[1]) < test.length[:, None]
  # Learned states have no names: they are the true ones as they are numbered, or the other way round.
  order = np.array([0, 1] if (path == batch["states"])[real].mean() >= 0.5 else [1, 0])
  transition = np.exp(family.chain(params).log_transition)[np.ix_(order, order)]
  emission = np.asarray(jax.nn.softmax(params["emission"]["logits"]))[order]
  truth = inference.Chain(jnp.log(weather_lib.INITIAL), jnp.log(weather_lib.TRANSITION))
  best = jax.jit(inference.log_evidence)(truth, jnp.log(weather_lib.EMISSION).T[test.inputs], batch["length"])
  metrics = {
    "test_state_accuracy": float((order[path] == np.asarray(batch["states"]))[real].mean()),
    "test_nll_true": float(-best.sum() / test.length.sum()),
    "transition_error": float(np.abs(transition - weather_lib.TRANSITION).max()),
    "emission_error": float(np.abs(emission - weather_lib.EMISSION).max()),
  }
  definitions = {
    "test_state_accuracy": "share of days whose weather is that of the most probable path; test set",
    "test_nll_true": "negative log-likelihood of the model that the data were drawn from, nats a time step; test set",
    "transition_error": "largest distance of a transition probability from the true one",
    "emission_error": "largest distance of an emission probability from the true one",
  }
  days = min(int(test.length[0]), _SHOWN)
  names, symbols = weather_lib.STATES, weather_lib.SYMBOLS
  rain = np.asarray(smoothed.probabilities[0, :days, order[0]])
  pictures = {
    "transition": chains.probabilities(transition, names, names, "transitions, learned"),
    "emission": chains.probabilities(emission, names, symbols, "emissions, learned", ("state", "symbol")),
    "segmentation": chains.segmentation(
      {"true": test.arrays["states"][0, :days], "most probable": order[path[0, :days]]},
      names,
      {"umbrella": (test.inputs[0, :days] == 0).astype(float), "p(rain | all days)": rain},
      title="a test sequence",
    ),
  }
  return Report(metrics, pictures, definitions)


def predict_weather(params, key, family: HiddenMarkov, config, path: str) -> dict[str, Any]:
  """Weather of the days in a text file, a line a sequence of 'umbrella' and 'none'; without one, days at random."""
  if not path:
    symbols, states = _drawn(family, params, key, config)
    return {"symbols": np.array(weather_lib.SYMBOLS)[np.asarray(symbols)], "states": np.asarray(states)}
  lines = [line.split() for line in _read(path).decode(errors="replace").splitlines() if line.strip()]
  unknown = sorted({word for line in lines for word in line} - set(weather_lib.SYMBOLS))
  if unknown:
    raise UserError("--input", path, f"it has {unknown[0]!r}: write {' and '.join(weather_lib.SYMBOLS)}, a day a word.")
  sequences = padded(path, [np.array([weather_lib.SYMBOLS.index(word) for word in line], np.int32) for line in lines])
  states, probabilities, nll = _inferred(params, family, sequences)
  # Rain is where an umbrella is more probable.
  umbrella = jax.nn.softmax(params["emission"]["logits"])[:, 0]
  names = np.array(weather_lib.STATES if umbrella[0] >= umbrella[1] else weather_lib.STATES[::-1])
  weather_names = np.where(states >= 0, names[states], "")
  return {"states": states, "weather": weather_names, "probabilities": probabilities, "nll": nll}


# Chorales


def chorales(params, key, family: HiddenMarkov, config: ml_collections.ConfigDict, test: Sequences) -> Report:
  """What sounds in each state and where states lead, as used on the test set; a chorale's path; samples as MIDI."""
  batch = whole(test)
  smoothed = jax.jit(family.smooth)(params, batch)
  gamma, occupancy = np.asarray(smoothed.probabilities), np.asarray(smoothed.probabilities.sum((0, 1)))
  busiest = np.argsort(-occupancy)[: min(config.report.states, config.model.states)]
  frames = np.einsum("ntk,ntd->kd", gamma[..., busiest], test.inputs) / np.maximum(occupancy[busiest, None], 1e-9)
  moves = np.asarray(smoothed.transitions)[np.ix_(busiest, busiest)]
  moves = moves / np.maximum(np.asarray(smoothed.transitions)[busiest].sum(1, keepdims=True), 1e-9)
  path = np.asarray(jax.jit(family.decode)(params, {name: value[:1] for name, value in batch.items()}).states[0])
  steps = min(int(test.length[0]), _SHOWN)
  visited, numbers = np.unique(path[:steps], return_inverse=True)
  samples = np.asarray(_drawn(family, params, key, config)[0])
  per_quarter = steps_per_quarter(config)
  pictures = {
    "transition": chains.probabilities(moves, title=f"moves between the {len(busiest)} most visited states"),
    "emission": chains.piano_rolls([frames], ["mean frame of each state, most visited first"], axis="state"),
    "segmentation": chains.segmentation(
      {"state": numbers},
      [str(state) for state in visited],
      {"p(state | piece)": gamma[0, np.arange(steps), path[:steps]]},
      roll=test.inputs[0, :steps],
      title=f"a test chorale: {len(visited)} of {config.model.states} states in {steps} steps",
    ),
    "piano_rolls": chains.piano_rolls(
      [test.inputs[0, : config.report.steps], *samples[:3]], ["of the test set", *["sample"] * 3]
    ),
  }
  entropy = -(occupancy / occupancy.sum() * np.log(np.maximum(occupancy / occupancy.sum(), 1e-30))).sum()
  return Report(
    {"test_states_used": float(np.exp(entropy))},
    pictures,
    {"test_states_used": "exponential of the entropy of the states' shares of the time steps; test set"},
    midi_files(samples, per_quarter),
  )


def midi_files(rolls: np.ndarray, steps_per_quarter: int) -> dict[str, bytes]:
  """`sample-<n>.mid` of each piano roll."""
  return {f"sample-{n}.mid": music.midi(roll, steps_per_quarter) for n, roll in enumerate(rolls)}


def predict_chorales(params, key, family: HiddenMarkov, config: ml_collections.ConfigDict, path: str) -> dict[str, Any]:
  """States, their probabilities and nats a step of a MIDI file; without one, samples, as rolls and as MIDI files."""
  per_quarter = steps_per_quarter(config)
  if not path:
    rolls, states = map(np.asarray, _drawn(family, params, key, config))
    return {"samples": rolls.astype(np.uint8), "states": states, **midi_files(rolls, per_quarter)}
  roll = music.piano_roll(_read(path), per_quarter, name=f"--input = {path}")
  states, probabilities, nll = _inferred(params, family, padded(path, [roll]))
  return {"roll": roll, "states": states[0], "probabilities": probabilities[0], "nll": nll}


def steps_per_quarter(config: ml_collections.ConfigDict) -> int:
  """Time steps in a quarter note."""
  return {"quarter": 1, "16th": 4}[config.data.resolution]


def sample_keys(key, count: int):
  """Keys of the sequences that are drawn for a report."""
  return randomness.example_keys(randomness.stream_key(key, "samples"), count)


def _inferred(params, family: HiddenMarkov, sequences: Sequences):
  """Most probable states [sequence, time], probabilities of all, and nats a step of each sequence."""
  batch = whole(sequences)
  smoothed = jax.jit(family.smooth)(params, batch)
  nll: Float[np.ndarray, " sequence"] = -np.asarray(smoothed.log_evidence) / sequences.length
  return np.asarray(jax.jit(family.decode)(params, batch).states), np.asarray(smoothed.probabilities), nll


def _read(path: str) -> bytes:
  try:
    return pathlib.Path(path).read_bytes()
  except OSError as error:
    raise UserError("--input", path, f"it cannot be read ({error}).") from error
