"""Hidden Markov models with hmmlearn's interface: its names, parameters and priors, in float64.

  GaussianHMM(3).fit(X, lengths=lengths).predict(X, lengths=lengths)

Sequences follow one another in the rows of X, and `lengths` says where each ends; without it X is one sequence.  All go
through an iteration at once, padded to the longest.  In a pipeline, fit takes `<step>__lengths` and predict `lengths`;
score takes it with scikit-learn's metadata routing (`set_score_request(lengths=True)`).

A model whose parameters are known is used without a fit: set `startprob_`, `transmat_` and those of the emission.
"""

from research.estimators.hmm.discrete import BernoulliHMM, CategoricalHMM, MultinomialHMM, PoissonHMM
from research.estimators.hmm.normal import GMMHMM, GaussianHMM

__all__ = ["GMMHMM", "BernoulliHMM", "CategoricalHMM", "GaussianHMM", "MultinomialHMM", "PoissonHMM"]
