"""Topics of documents: latent Dirichlet allocation by variational Bayes, in one batch or in many, or by Gibbs sampling.

  python -m experiments.lda                                           pages of Python's help, embedded: seconds
  python -m experiments.lda --config=configs/lda/brown.py[:online|gibbs] --config.data.path=...
  python -m experiments.lda --config.data.path=folder_of_txt_files
  python -m experiments.lda --mode=predict --workdir=... --input=text.txt      the topics of one's own text

Blei, Ng & Jordan 2003; Hoffman, Blei & Bach 2010 (online); Griffiths & Steyvers 2004 (Gibbs); Minka 2000 (priors);
Wallach et al. 2009 (completion).
"""

import dataclasses
from collections.abc import Callable

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import as_files, fields
from experiments.parts.splits import batch_size
from experiments.reports import lda as lda_report
from research.data import documents, pipeline, remembered
from research.data.dataset import Dataset
from research.data.documents import Documents
from research.errors import UserError
from research.families import lda, lda_gibbs
from research.training import statistics, transitions
from research.training.experiment import Experiment, Program
from research.training.learner import Learner

DEFAULT = "configs/lda/python_help.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """Topics of a set of documents."""
  train, validation, test = load(config.data)
  model = config.model
  if model.topics < 2:
    raise UserError("config.model.topics", model.topics, "give two or more.")
  learner, train_data, topics = (sampled if model.name == "gibbs" else variational)(train, config)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=completion(validation, config) if validation else None,
    test_data=completion(test, config),
    report=lambda state: lda_report.report(topics(state), train, config),
    predict=lambda state, source: lda_report.predictions(topics(state), source, train, test),
    as_file=as_files.lines,
    derive=perplexity,
    program=Program(
      lambda state, inputs, _: lda.infer_counts(topics(state), inputs["counts"]),
      {"counts": np.zeros((1, len(train.vocabulary)), np.float32)},
      {"word": train.vocabulary},
    ),
    definitions={**lda.DEFINITIONS, "perplexity": "e to the `nll`: perplexity a held-out word (Wallach et al. 2009)"},
  )


def variational(train: Documents, config: ml_collections.ConfigDict) -> tuple[Learner, Dataset, Callable]:
  """What learns by variational Bayes, from which batches, and `topics(state)`."""
  model = config.model
  priors = {"alpha": model.alpha, "eta": model.eta, "learn_priors": model.learn_priors}
  family = lda.lda(model.topics, len(train.vocabulary), **priors, iterations=model.iterations)
  train_data = pipeline.passes(
    {"words": train.words, "counts": train.counts}, batch_size(config, len(train)), seed=config.seed, name=train.name
  )
  combine = statistics.latest
  if train_data.num_batches > 1:
    combine = statistics.stepwise(train_data.num_examples, config.train.step_power, config.train.step_delay)
  learner = statistics.statistics_learner(**family._asdict(), combine=combine, accumulate=config.train.accumulate)
  return learner, train_data, lambda state: state.params


def sampled(train: Documents, config: ml_collections.ConfigDict) -> tuple[Learner, Dataset, Callable]:
  """The same of a Gibbs sampler, whose chains are the documents, always in the same order."""
  model = config.model
  if config.train.batch_size or config.train.accumulate > 1:
    given = (config.train.batch_size, config.train.accumulate)
    remedy = "a sampler sweeps over all documents at once: set them to 0 and 1."
    raise UserError("config.train.batch_size, accumulate", given, remedy)
  priors = {"alpha": model.alpha, "eta": model.eta, "learn_priors": model.learn_priors}
  family = lda_gibbs.sampler(
    model.topics, len(train.vocabulary), **priors, burn_in=model.gibbs.burn_in, iterations=model.iterations
  )
  longest = remembered.value("longest", lambda: int(train.counts.sum(1).max()))  # of which chains are as long
  words, rows = lda_gibbs.places(train.words, train.counts, longest), batch_size(config, len(train))
  once = pipeline.passes({"words": words}, rows, seed=config.seed, name=train.name)
  train_data = dataclasses.replace(once, feed=lambda step: pipeline.in_order(len(words), 0, rows))
  learner = transitions.transition_learner(init=family.init, move=family.move, evaluate=family.evaluate)
  return learner, train_data, lambda state: family.topics(state.params)


def perplexity(means) -> dict[str, float]:
  """Of the held-out words, where they were measured."""
  return {"perplexity": float(np.exp(means["nll"]))} if "nll" in means else {}


def load(data: ml_collections.ConfigDict) -> tuple[Documents, Documents | None, Documents]:
  """Training, validation and test documents; the vocabulary is of the training documents, validation's included."""
  fields.refuse_unread(data, {"validation", "path"})
  options = {"least": data.least, "most": data.most, "passage": data.passage}
  train, test = remembered.data("counted_documents", lambda: documents.load(data.name, data.path or None, **options))
  if not data.validation:
    return train, None, test
  held = round(data.validation * len(train))
  if not 0 < held < len(train):
    remedy = f"of {len(train)} documents it leaves {len(train) - held} to train and {held} to validate."
    raise UserError("config.data.validation", data.validation, remedy)
  return train.select(slice(0, -held)), train.select(slice(-held, None)), test


def completion(part: Documents, config: ml_collections.ConfigDict) -> Dataset:
  """Half of each document's words to infer its topics from, the other half to predict; always the same halves."""
  observed, held_out = documents.completion(part)
  arrays = {"words": part.words, "counts": observed, "held_out": held_out}
  return pipeline.sequential(arrays, config.data.eval_batch_size, name=part.name)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
