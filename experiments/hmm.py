"""Hidden Markov models: weather behind umbrellas, chords behind chorales, parts of speech behind words.

  python -m experiments.hmm[ --config=configs/hmm/weather.py:gradient]   Baum-Welch, by gradient or by :counts; seconds
  python -m experiments.hmm --config=configs/hmm/jsb_chorales.py         88 Bernoulli keys; samples are MIDI files
  python -m experiments.hmm --config=configs/hmm/jsb_chorales_neural.py  transitions by a network
  python -m experiments.hmm --config=configs/hmm/brown_tagging.py
  python -m experiments.hmm --mode=predict --workdir=... --input=FILE    states of a MIDI file, tags of a text
  python -m experiments.hmm --mode=predict --workdir=...                 samples

Rabiner 1989; neural transitions: Bengio & Frasconi 1995, Obermeyer et al. 2019; tagging: Brants 2000.
"""

import jax.numpy as jnp
import ml_collections

from experiments.command import cli
from experiments.parts import fields, splits, tagging
from experiments.parts import learning as learning_lib
from experiments.reports import hmm as hmm_report
from research.data import chorales, pipeline, remembered, weather
from research.data.dataset import Dataset
from research.data.sequences import Sequences
from research.errors import UserError
from research.families.hmm import autoregressive, emissions, learning, neural
from research.families.hmm.learning import HiddenMarkov
from research.networks.markov import EmissionNetwork, TransitionNetwork
from research.training import precision, statistics, steps
from research.training.experiment import Experiment, Program
from research.training.learner import Learner

DEFAULT = "configs/hmm/weather.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A hidden Markov model of sequences whose states are hidden, or a tagger's, which are not."""
  if config.data.name == "brown":
    return tagging.experiment(config)
  data = load(config.data)
  family = family_of(config, data.train)
  train_data = training(config, data.train)
  size = config.data.eval_batch_size
  measure = lambda part: pipeline.sequential(part.arrays, size, name=part.name)
  report = hmm_report.weather if config.data.name == "weather" else hmm_report.chorales
  predict = hmm_report.predict_weather if config.data.name == "weather" else hmm_report.predict_chorales
  params = params_of(config)
  return Experiment(
    learner=learner_of(config, family, train_data),
    train_data=train_data,
    eval_data=measure(data.validation) if data.validation is not None else None,
    test_data=measure(data.test),
    report=lambda state: report(params(state), state.key, family, config, data.test),
    predict=lambda state, path: predict(params(state), state.key, family, config, path),
    sample=lambda state: predict(params(state), state.key, family, config, ""),
    definitions=learning.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: inferred(params(state), family, inputs),
      {name: array for name, array in data.test.arrays.items() if name in ("inputs", "length")},
    ),
  )


def inferred(params, family: HiddenMarkov, inputs) -> dict:
  """Of each sequence log p(sequence), nats, p(state | sequence) and the most probable path, all of fixed length."""
  smoothed = family.smooth(params, {**inputs, "mask": jnp.ones(len(inputs["length"]))})
  path = family.decode(params, inputs).states
  return {"log_evidence": smoothed.log_evidence, "probabilities": smoothed.probabilities, "states": path}


def load(data: ml_collections.ConfigDict) -> splits.Splits[Sequences]:
  """The sequences that `config.data` names."""
  if data.name == "weather":
    fields.refuse_unread(data, {"validation"})
    return splits.of(weather.load("train"), weather.load("test"), data.validation)
  if data.name == "jsb_chorales":
    fields.refuse_unread(data, {"path", "resolution", "validation"})
    read = lambda part: chorales.load(part, data.path or None, data.resolution)
    return remembered.data("chorales", lambda: splits.with_own_validation(read, data))
  raise UserError("config.data.name", data.name, "choose weather, jsb_chorales or brown.")


def family_of(config: ml_collections.ConfigDict, train: Sequences) -> HiddenMarkov:
  """Emissions and transitions, as `config.model` has them."""
  model, compute = config.model, precision.dtype(config.train.precision)
  if config.data.name == "weather" and model.states != len(weather.STATES):
    raise UserError("config.model.states", model.states, "the umbrella world has two: rain and dry.")
  emission = emission_of(config, train)
  if model.transition.name == "table":
    prior = 1 + model.transition.table.prior
    return learning.hmm(emission, initial_concentration=prior, transition_concentration=prior)
  options = model.transition.neural
  network = TransitionNetwork(model.states, options.hidden, options.dropout, options.input_dropout, compute)
  return neural.neural_transitions(emission, network, rank=options.rank)


def emission_of(config: ml_collections.ConfigDict, train: Sequences) -> emissions.Emission:
  """What the states emit: symbols, or bits with a prior at how often each is 1 in training."""
  model, compute = config.model, precision.dtype(config.train.precision)
  name = model.emission.name
  options = model.emission[name]
  kinds = ("bernoulli", "autoregressive", "neural") if train.inputs.ndim == 3 else ("categorical",)
  if name not in kinds or (model.transition.name == "neural" and train.inputs.ndim != 3):
    choice = f"{', '.join(kinds[:-1])} or {kinds[-1]}" if len(kinds) > 1 else kinds[0]
    remedy = f"{train.name} has {'bits' if train.inputs.ndim == 3 else 'symbols'}: choose {choice}"
    raise UserError("config.model.emission.name", name, f"{remedy}, and neural transitions with bits alone.")
  if name == "categorical":
    symbols = int(train.inputs.max()) + 1
    return emissions.categorical(model.states, symbols, concentration=1 + options.prior)
  keys = train.inputs.shape[-1]
  if name == "neural":
    network = EmissionNetwork(model.states, keys, options.hidden, options.dropout, compute)
    return emissions.neural_bernoulli(model.states, keys, network, autoregressive=True)
  if name == "autoregressive":
    return autoregressive.autoregressive_bernoulli(model.states, keys, reach=options.reach)
  # As if each key had once sounded and once not: one that training never plays is not impossible.
  mean = (train.inputs.sum((0, 1)) + 1) / (train.length.sum() + 2)
  prior = 1 + options.prior * mean, 1 + options.prior * (1 - mean)
  return emissions.bernoulli(model.states, keys, concentration=prior)


def training(config: ml_collections.ConfigDict, train: Sequences) -> Dataset:
  """What an update sees: exact passes where sufficient statistics are counted."""
  batches = pipeline.shuffled if config.train.learning == "gradient" else pipeline.passes
  return batches(train.arrays, config.train.batch_size, seed=config.seed, name=train.name)


def learner_of(config: ml_collections.ConfigDict, family: HiddenMarkov, train_data: Dataset) -> Learner:
  """Baum-Welch; counts, where the states are known; or the gradient of the same likelihood."""
  train = config.train
  if train.learning == "gradient":
    if "optimizer" not in config:
      remedy = "this config has no optimizer: take one that has, such as configs/hmm/weather.py:gradient."
      raise UserError("config.train.learning", "gradient", remedy)
    init, evaluate = family.init_variables, family.evaluate_variables
    return learning_lib.gradient_learner(config, family, train_data, init=init, evaluate=evaluate)
  if train.learning not in ("em", "counts"):
    raise UserError("config.train.learning", train.learning, "choose em, counts or gradient.")
  counts = train.learning == "counts"
  if counts and "states" not in train_data.resident:
    raise UserError("config.train.learning", "counts", f"the states of {train_data.name} are not known: choose em.")
  in_one_batch = train_data.num_batches == 1
  combine = statistics.latest if in_one_batch else statistics.stepwise(train_data.num_examples)
  return statistics.statistics_learner(
    init=family.init,
    expect=family.count if counts else family.expect,
    maximise=family.maximise,
    evaluate=family.evaluate,
    combine=statistics.total if counts else combine,
    accumulate=train.accumulate,
  )


def params_of(config: ml_collections.ConfigDict):
  """`params(state)`: what is measured of a state, by whichever way it learns."""
  if config.train.learning == "gradient":
    return lambda state: steps.variables_of(state)["params"]
  return lambda state: state.params


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
