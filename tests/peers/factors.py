"""Speed of gensim, scikit-learn and implicit where `experiments/benchmark/factors.py` has ours, a JSON line each.

  python -m tests.peers.factors [word2vec|lda|als ...]      what is not installed is told and passed over

Two workers each.  `als` needs implicit and NumPy alone, so that it runs in an environment without this library.
"""

import json
import os
import pathlib
import sys
import time

PASSES = 10


def line(workload: str, peer: str, metric: str, value: float, unit: str, **detail) -> None:
  detail |= {"workers": 2, "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
  print(
    json.dumps({"workload": workload, "peer": peer, "metric": metric, "value": value, "unit": unit, "detail": detail})
  )


def word2vec() -> None:
  """gensim's words a second, of one pass at the settings of `configs/word2vec/brown.py`."""
  import gensim

  from research.text import vocabulary

  sentences = vocabulary.load("brown")
  model = gensim.models.Word2Vec(
    vector_size=100, window=5, min_count=5, sg=1, negative=5, sample=1e-3, workers=2, seed=1
  )
  model.build_vocab(sentences)
  start = time.perf_counter()
  model.train(sentences, total_examples=model.corpus_count, epochs=1)
  seconds, total = time.perf_counter() - start, sum(map(len, sentences))
  peer = f"gensim {gensim.__version__}"
  line("factors/word2vec_brown", peer, "words_per_second", total / seconds, "words/s", seconds=seconds, words=total)


def lda() -> None:
  """scikit-learn's seconds a pass, of ten in one batch, at the tolerance of ours."""
  import numpy as np
  import scipy.sparse
  import sklearn
  from sklearn.decomposition import LatentDirichletAllocation

  from research.data import documents

  train = documents.load("brown", None, least=5, most=0.5, passage=100)[0]
  present = train.counts > 0
  ends = np.concatenate([[0], present.sum(1).cumsum()])
  shape = (len(train), len(train.vocabulary))
  counts = scipy.sparse.csr_matrix((train.counts[present], train.words[present], ends), shape)
  for jobs in (2, 1):
    options = {"max_iter": PASSES, "max_doc_update_iter": 100, "mean_change_tol": 1e-3, "evaluate_every": -1}
    model = LatentDirichletAllocation(50, learning_method="batch", random_state=0, n_jobs=jobs, **options)
    start = time.perf_counter()
    model.fit(counts)
    seconds = (time.perf_counter() - start) / PASSES
    peer = f"scikit-learn {sklearn.__version__}, n_jobs={jobs}"
    line("factors/lda_brown", peer, "pass", seconds, "s", documents=len(train), passes=PASSES)


def als() -> None:
  """implicit's milliseconds an iteration, by conjugate gradients and by exact solution as ours."""
  import implicit
  import numpy as np
  import scipy.sparse

  path = pathlib.Path(os.environ["GENERA_DATA_DIR"]) / "movielens" / "u.data"
  user, item, rating = np.loadtxt(path, dtype=int)[:, :3].T
  chosen = np.random.default_rng(0).permutation(len(user))[: len(user) * 4 // 5]
  matrix = scipy.sparse.csr_matrix((rating[chosen], (user[chosen] - 1, item[chosen] - 1)), dtype=np.float32)
  for solver, approximate in (("conjugate gradients, 3 steps", True), ("exact", False)):
    options = {"factors": 20, "regularization": 10.0, "alpha": 2.0, "iterations": 100, "num_threads": 2}
    model = implicit.als.AlternatingLeastSquares(use_cg=approximate, **options)
    start = time.perf_counter()
    model.fit(matrix, show_progress=False)
    each = 1e3 * (time.perf_counter() - start) / 100
    peer = f"implicit {implicit.__version__}, {solver}"
    line("factors/als_movielens", peer, "iteration", each, "ms", factors=20, ratings=len(chosen), iterations=100)


def main(names: list[str]) -> int:
  """Runs those that are named, or all."""
  known = {"word2vec": word2vec, "lda": lda, "als": als}
  for name in names or known:
    try:
      known[name]()
    except ImportError as error:
      print(f"{name}: {error}", file=sys.stderr)
  return 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
