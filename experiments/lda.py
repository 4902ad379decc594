"""Topics of documents: latent Dirichlet allocation by variational Bayes, in one batch or in many.

  python -m experiments.lda                                           pages of Python's help, embedded: seconds
  python -m experiments.lda --config=configs/lda/brown.py[:online] --config.data.path=...
  python -m experiments.lda --config.data.name=own --config.data.path=folder_of_txt_files
  python -m experiments.lda --mode=predict --workdir=... --input=text.txt      the topics of one's own text

Blei, Ng & Jordan 2003; Hoffman, Blei & Bach 2010 (online); Minka 2000 (priors); Wallach et al. 2009 (completion).
"""

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields
from experiments.parts.splits import batch_size
from experiments.reports import lda as lda_report
from research.data import documents, pipeline, remembered
from research.data.dataset import Dataset
from research.data.documents import Documents
from research.errors import UserError
from research.families import lda
from research.training import statistics
from research.training.experiment import Experiment

DEFAULT = "configs/lda/python_help.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """Topics of a set of documents."""
  train, validation, test = load(config.data)
  model = config.model
  if model.topics < 2:
    raise UserError("config.model.topics", model.topics, "give two or more.")
  family = lda.lda(
    model.topics,
    alpha=model.alpha,
    eta=model.eta,
    learn_priors=model.learn_priors,
    iterations=model.iterations,
  )
  train_data = pipeline.passes(
    {"counts": train.counts}, batch_size(config, len(train)), seed=config.seed, name=train.name
  )
  combine = statistics.latest
  if train_data.num_batches > 1:
    combine = statistics.stepwise(train_data.num_examples, config.train.step_power, config.train.step_delay)
  learner = statistics.statistics_learner(**family._asdict(), combine=combine, accumulate=config.train.accumulate)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=completion(validation, config) if validation else None,
    test_data=completion(test, config),
    report=lambda state: lda_report.report(state.params, train, config),
    predict=lambda state, source: lda_report.predictions(state.params, source, train, test),
    derive=perplexity,
    definitions={**lda.DEFINITIONS, "perplexity": "e to the `nll`: perplexity a held-out word (Wallach et al. 2009)"},
  )


def perplexity(means) -> dict[str, float]:
  """Of the held-out words, where they were measured."""
  return {"perplexity": float(np.exp(means["nll"]))} if "nll" in means else {}


def load(data: ml_collections.ConfigDict) -> tuple[Documents, Documents | None, Documents]:
  """Training, validation and test documents; the vocabulary is of the training documents, validation's included."""
  fields.refuse_unread(data, {"validation", *({"path"} if data.name != "python_help" else ())})
  options = {"least": data.least, "most": data.most, "passage": data.passage}
  train, test = remembered.data("documents", lambda: documents.load(data.name, data.path or None, **options))
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
  arrays = {"counts": observed, "held_out": held_out}
  return pipeline.sequential(arrays, config.data.eval_batch_size, name=part.name)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
