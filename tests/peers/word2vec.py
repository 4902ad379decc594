"""Vectors of Brown's words beside gensim's at equal settings: `python -m tests.peers.word2vec [model...] [--seeds=5]`.

Each of the four models of `configs/word2vec/brown.py` and gensim's of the same sentences, vocabulary, window, noise
words, subsampling, passes and rates (gensim in one thread, which makes its seed a run), by the rank correlation with
people's judgements of the pairs of WordSim-353 that both know.  A line of JSON a model and seed, then one of the means.
"""

import argparse
import json
import sys
import time

import gensim
import ml_collections
import numpy as np

from experiments import word2vec
from experiments.benchmark.timing import trained
from experiments.command import cli
from experiments.reports import word2vec as report_lib
from research.data import raw
from research.evaluation import words
from research.text import vocabulary
from research.text.word_vectors import WordVectors
from research.training import durations, host

MODELS = ("sg_ns", "cbow", "sg_hs", "cbow_hs")


def ours(config: ml_collections.ConfigDict) -> tuple[WordVectors, float]:
  """The vectors, and seconds of training, compiled before."""
  experiment = word2vec.experiment(config)
  train, _ = word2vec.load(config.data)
  family, _ = word2vec.family_of(config.model, train)
  units = {"per_step": experiment.train_data.per_step, "total_steps": None, "field": "config.train.duration"}
  total = durations.steps(config.train.duration, **units)
  state, seconds = trained(experiment, config.seed, config.run.steps_per_dispatch, total)
  return report_lib.vectors_of(state.tables, family, train, None), seconds


def theirs(config: ml_collections.ConfigDict, workers: int = 1) -> tuple[WordVectors, float]:
  """The same of gensim."""
  sentences = vocabulary.load(config.data.name, None, config.data.units)
  hierarchical, passes = config.model.output == "hierarchical", int(config.train.duration.split()[0])
  model = gensim.models.Word2Vec(
    vector_size=config.model.features,
    window=config.model.window,
    min_count=config.data.least,
    sg=int(config.model.context == "skip-gram"),
    hs=int(hierarchical),
    negative=0 if hierarchical else config.model.negatives,
    sample=config.data.sample,
    alpha=config.optimizer.learning_rate,
    min_alpha=config.optimizer.learning_rate * config.optimizer.final_fraction,
    epochs=passes,
    workers=workers,
    seed=config.seed + 1,
  )
  model.build_vocab(sentences)
  start = time.perf_counter()
  model.train(sentences, total_examples=model.corpus_count, epochs=passes)
  seconds = time.perf_counter() - start
  return WordVectors(tuple(model.wv.index_to_key), np.asarray(model.wv.vectors)), seconds


def compared(model: str, seed: int, pairs) -> dict:
  """Both programs' correlation over the pairs that both know, and seconds."""
  variant = "" if model == "sg_ns" else f":{model}"
  config = cli.load_config(f"configs/word2vec/brown.py{variant}", {"seed": str(seed)})
  line = {"model": model, "seed": seed}
  for name, train in (("ours", ours), ("gensim", theirs)):
    vectors, seconds = train(config)
    measured = words.similarity(vectors, pairs)
    line |= {name: measured.spearman, f"{name}_s": seconds, f"{name}_covered": measured.covered}
  return line


def main(argv: list[str]) -> int:
  """Prints the lines; 1 where a mean is more than 0.02 below gensim's."""
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("models", nargs="*", help=", ".join(MODELS))
  parser.add_argument("--seeds", type=int, default=5)
  flags = parser.parse_args(argv)
  host.tune_cpu()
  pairs, worse = words.pairs(raw.locate("eval", report_lib.FILES["wordsim353"])), False
  for model in flags.models or MODELS:
    lines = []
    for seed in range(flags.seeds):
      lines.append(compared(model, seed, pairs))
      print(json.dumps(lines[-1]), flush=True)
    scores = {name: np.array([line[name] for line in lines]) for name in ("ours", "gensim")}
    means = {name: float(values.mean()) for name, values in scores.items()}
    deviations = {f"{name}_sd": float(values.std(ddof=min(1, len(values) - 1))) for name, values in scores.items()}
    print(json.dumps({"model": model, "seeds": flags.seeds, **means, **deviations}), flush=True)
    worse |= means["ours"] < means["gensim"] - 0.02
  return int(worse)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
