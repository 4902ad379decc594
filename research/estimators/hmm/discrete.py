"""Symbols, bits and counts in every state."""

from typing import Any

import numpy as np
from scipy import special

from research.errors import UserError
from research.estimators import base
from research.estimators.hmm.base import HMM
from research.estimators.hmm.parameter import Parameter, log, logits
from research.families.hmm import emissions


def whole(X) -> np.ndarray:
  """The numbers of X as whole ones from 0.

  Raises:
    UserError: one is not.
  """
  counts = X.astype(np.int64)
  if (bad := (counts != X) | (counts < 0)).any():
    raise UserError("X", float(X[bad][0]), "give whole numbers from 0.")
  return counts


class CategoricalHMM(HMM):
  """One symbol a row, a whole number from 0: X is [row, 1].

  Args:
    n_components: states.
    n_features: symbols that there are; by default as many as the data have.  Others have probability 0.
    startprob_prior, transmat_prior, emissionprob_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    startprob_init, transmat_init, emissionprob_init: parameters to start from; by default drawn at random.
    params, init_params: as of `GaussianHMM`, with letters s, t, and e of the emission.
    algorithm, n_iter, tol, verbose, implementation, random_state: as `GaussianHMM`.

  Attributes:
    emissionprob_: [state, symbol].
  """

  emissionprob_ = Parameter(
    "e",
    ("emission", "logits"),
    lambda model, name, value: model._write(name, value),
    lambda model, stored: special.softmax(stored, -1),
  )

  def __init__(
    self,
    n_components=1,
    *,
    n_features=None,
    startprob_prior=1.0,
    transmat_prior=1.0,
    emissionprob_prior=1.0,
    startprob_init=None,
    transmat_init=None,
    emissionprob_init=None,
    algorithm="viterbi",
    n_iter=100,
    tol=1e-2,
    verbose=False,
    params="ste",
    init_params="ste",
    implementation="log",
    random_state=None,
  ):
    self.n_components = n_components
    self.n_features = n_features
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.emissionprob_prior = emissionprob_prior
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.emissionprob_init = emissionprob_init
    self.algorithm = algorithm
    self.n_iter = n_iter
    self.tol = tol
    self.verbose = verbose
    self.params = params
    self.init_params = init_params
    self.implementation = implementation
    self.random_state = random_state

  def _check(self, X) -> None:
    super()._check(X)
    if self.n_features is not None:
      base.check_number("n_features", self.n_features, 1, whole=True)

  def _write(self, name: str, value):
    stored = logits(name, value, (self.n_components, self.n_features))
    self._symbols, self.n_features_in_ = stored.shape[1], 1
    return stored

  def _inputs(self, X):
    if X.shape[1] != 1:
      raise UserError("X", X.shape, "give one column, of symbols.")
    return whole(X[:, 0]).astype(np.int32)

  def _emission(self):
    shape = (self.n_components, self._symbols)
    options = {
      "num_symbols": self._symbols,
      "concentration": base.hashable("emissionprob_prior", self.emissionprob_prior, shape, least=1),
    }
    return emissions.categorical, {"num_states": self.n_components, **options}

  def _estimated(self, inputs, start):
    if ("emission", "logits") in start:
      self._symbols = start["emission", "logits"].shape[1]
    else:
      self._symbols = int(inputs.max()) + 1 if self.n_features is None else self.n_features
    return {}

  def _free(self):
    return {"e": self.n_components * (self._symbols - 1)}


class MultinomialHMM(HMM):
  """How often each symbol came in the trials of a row: X is [row, symbol], whole numbers from 0.

  Args:
    n_components: states.
    n_trials: that a row has, a number or one for each row; by default what X says.  What is drawn needs one number.
    startprob_prior, transmat_prior, startprob_init, transmat_init, emissionprob_init, params, init_params: as
      `CategoricalHMM`.
    algorithm, n_iter, tol, verbose, implementation, random_state: as `GaussianHMM`.

  Attributes:
    emissionprob_: [state, symbol].
  """

  emissionprob_ = Parameter(
    "e",
    ("emission", "logits"),
    lambda model, name, value: model._write(name, value),
    lambda model, stored: special.softmax(stored, -1),
  )

  def __init__(
    self,
    n_components=1,
    n_trials=None,
    *,
    startprob_prior=1.0,
    transmat_prior=1.0,
    startprob_init=None,
    transmat_init=None,
    emissionprob_init=None,
    algorithm="viterbi",
    n_iter=100,
    tol=1e-2,
    verbose=False,
    params="ste",
    init_params="ste",
    implementation="log",
    random_state=None,
  ):
    self.n_components = n_components
    self.n_trials = n_trials
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.emissionprob_init = emissionprob_init
    self.algorithm = algorithm
    self.n_iter = n_iter
    self.tol = tol
    self.verbose = verbose
    self.params = params
    self.init_params = init_params
    self.implementation = implementation
    self.random_state = random_state

  def _write(self, name: str, value):
    stored = logits(name, value, (self.n_components, None))
    self.n_features_in_ = stored.shape[1]
    return stored

  def _check(self, X) -> None:
    super()._check(X)
    if self.n_trials is None:
      return
    trials = np.asarray(base.hashable("n_trials", self.n_trials, (len(X),), least=0))
    if (sums := whole(X).sum(1) != trials).any():
      row = int(np.argmax(sums))
      raise UserError("n_trials", self.n_trials, f"row {row} of X sums to {X[row].sum():g}: give None, or those of X.")

  def _inputs(self, X):
    return whole(X).astype(np.float64)

  def _emission(self):
    trials = np.unique(0 if self.n_trials is None else self.n_trials)
    options = {"num_symbols": self.n_features_in_, "trials": int(trials[0]) if len(trials) == 1 else 0}
    return emissions.multinomial, {"num_states": self.n_components, **options}

  def sample(self, n_samples: int = 1, random_state=None, currstate: int | None = None):
    """As `HMM.sample`, of rows of `n_trials` trials each.

    Raises:
      UserError: `n_trials` is not one number.
    """
    if self.n_trials is None or np.ndim(self.n_trials) or not self.n_trials:
      raise UserError("n_trials", self.n_trials, "give the number of trials that a drawn row has.")
    observed, states = super().sample(n_samples, random_state, currstate)
    return observed.astype(np.int64), states

  def _free(self):
    return {"e": self.n_components * (self.n_features_in_ - 1)}


class BernoulliHMM(HMM):
  """Features on or off, independently given the state.

  Args:
    n_components: states.
    binarize: a feature is on above it; None: features are 0 or 1.
    startprob_prior, transmat_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    emissionprob_prior: concentration of the Beta prior of every feature, for on and for off.
    startprob_init, transmat_init, emissionprob_init: parameters to start from; by default distributions drawn at
      random, and rows drawn from X, half-way to their mean.
    params, init_params: as `CategoricalHMM`.
    algorithm, n_iter, tol, verbose, implementation, random_state: as `GaussianHMM`.

  Attributes:
    emissionprob_: probability of on, [state, feature].
  """

  emissionprob_ = Parameter(
    "e",
    ("emission", "logits"),
    lambda model, name, value: model._write(name, value),
    lambda model, stored: special.expit(stored),
  )

  def __init__(
    self,
    n_components=1,
    *,
    binarize: float | None = 0.0,
    startprob_prior=1.0,
    transmat_prior=1.0,
    emissionprob_prior=1.0,
    startprob_init=None,
    transmat_init=None,
    emissionprob_init=None,
    algorithm="viterbi",
    n_iter=100,
    tol=1e-2,
    verbose=False,
    params="ste",
    init_params="ste",
    implementation="log",
    random_state=None,
  ):
    self.n_components = n_components
    self.binarize = binarize
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.emissionprob_prior = emissionprob_prior
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.emissionprob_init = emissionprob_init
    self.algorithm = algorithm
    self.n_iter = n_iter
    self.tol = tol
    self.verbose = verbose
    self.params = params
    self.init_params = init_params
    self.implementation = implementation
    self.random_state = random_state

  def _write(self, name: str, value):
    on = base.shaped(name, value, (self.n_components, None))
    if (on < 0).any() or (on > 1).any():
      raise UserError(name, on.tolist(), "give probabilities, 0 to 1.")
    self.n_features_in_ = on.shape[1]
    return log(on) - log(1 - on)

  def _check(self, X) -> None:
    super()._check(X)
    if self.binarize is not None:
      base.check_number("binarize", self.binarize)

  def _inputs(self, X):
    if self.binarize is not None:
      return np.greater(X, self.binarize).astype(np.float64)
    if (bad := (X != 0) & (X != 1)).any():
      raise UserError("X", float(X[bad][0]), "give 0 and 1, or a number for binarize.")
    return X

  def _emission(self):
    shape = (self.n_components, self.n_features_in_)
    concentration: Any = base.hashable("emissionprob_prior", self.emissionprob_prior, shape, least=1)
    options = {"num_features": self.n_features_in_, "concentration": (concentration, concentration)}
    return emissions.bernoulli, {"num_states": self.n_components, **options}

  def _free(self):
    return {"e": self.n_components * self.n_features_in_}


class PoissonHMM(HMM):
  """Counts, independently given the state: X is [row, feature], whole numbers from 0.

  Args:
    n_components: states.
    startprob_prior, transmat_prior: concentrations of Dirichlet priors; 1 is maximum likelihood.
    lambdas_prior, lambdas_weight: so many events are believed to have come in so many further rows, numbers or arrays
      that broadcast to [state, feature].
    startprob_init, transmat_init, lambdas_init: parameters to start from; by default distributions drawn at random, and
      rows drawn from X, half-way to their mean.
    params, init_params: as of `GaussianHMM`, with letters s, t, and l of the rates.
    algorithm, n_iter, tol, verbose, implementation, random_state: as `GaussianHMM`.

  Attributes:
    lambdas_: mean counts, [state, feature].
  """

  lambdas_ = Parameter(
    "l",
    ("emission", "log_rate"),
    lambda model, name, value: model._write(name, value),
    lambda model, stored: np.exp(stored),
  )

  def __init__(
    self,
    n_components=1,
    *,
    startprob_prior=1.0,
    transmat_prior=1.0,
    lambdas_prior=0.0,
    lambdas_weight=0.0,
    startprob_init=None,
    transmat_init=None,
    lambdas_init=None,
    algorithm="viterbi",
    n_iter=100,
    tol=1e-2,
    verbose=False,
    params="stl",
    init_params="stl",
    implementation="log",
    random_state=None,
  ):
    self.n_components = n_components
    self.startprob_prior = startprob_prior
    self.transmat_prior = transmat_prior
    self.lambdas_prior = lambdas_prior
    self.lambdas_weight = lambdas_weight
    self.startprob_init = startprob_init
    self.transmat_init = transmat_init
    self.lambdas_init = lambdas_init
    self.algorithm = algorithm
    self.n_iter = n_iter
    self.tol = tol
    self.verbose = verbose
    self.params = params
    self.init_params = init_params
    self.implementation = implementation
    self.random_state = random_state

  def _write(self, name: str, value):
    rates = base.shaped(name, value, (self.n_components, None))
    if (rates < 0).any():
      raise UserError(name, rates.tolist(), "give mean counts, 0 or more.")
    self.n_features_in_ = rates.shape[1]
    return log(rates)

  def _inputs(self, X):
    return whole(X).astype(np.float64)

  def _emission(self):
    shape, fields = (self.n_components, self.n_features_in_), ("lambdas_prior", "lambdas_weight")
    priors = [base.hashable(field, getattr(self, field), shape, least=0) for field in fields]
    options = {"num_features": self.n_features_in_, "events": priors[0], "observations": priors[1]}
    return emissions.poisson, {"num_states": self.n_components, **options}

  def sample(self, n_samples: int = 1, random_state=None, currstate: int | None = None):
    """As `HMM.sample`, of whole numbers."""
    observed, states = super().sample(n_samples, random_state, currstate)
    return observed.astype(np.int64), states

  def _free(self):
    return {"l": self.n_components * self.n_features_in_}
