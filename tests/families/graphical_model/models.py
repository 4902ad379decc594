"""Small random models, and what they say by enumeration of all states."""

import itertools

import numpy as np

from research.families.graphical_model import factors


def network(seed, size=6, zeros=0.2):
  """Cards, parents and tables of a random Bayesian network, some of whose entries are 0."""
  rng = np.random.default_rng(seed)
  cards = tuple(int(card) for card in rng.integers(2, 4, size))
  parents = tuple(
    tuple(int(p) for p in rng.permutation(node)[: rng.integers(0, min(node, 2) + 1)]) for node in range(size)
  )
  tables = []
  for node, each in enumerate(parents):
    table = rng.random([cards[v] for v in (*each, node)]) + 0.05
    table[rng.random(table.shape) < zeros] = 0
    table[..., 0] += 0.05
    tables.append(table / table.sum(-1, keepdims=True))
  return cards, parents, tuple(tables)


def field(seed, scopes, cards, strength=1.0):
  """Log-tables of a random Markov field, and unary ones padded with what must not be looked at."""
  rng = np.random.default_rng(seed)
  tables = [strength * rng.normal(size=[cards[v] for v in scope]) for scope in scopes]
  unary = rng.normal(size=(len(cards), max(cards)))
  return tables, np.where(np.arange(max(cards)) < np.asarray(cards)[:, None], unary, 50.0)


def enumerated(cards, scopes, tables, unary):
  """log Z, p(x_i) padded, p(x_f), the most probable state with its value, by a loop over all states."""
  states = list(itertools.product(*(range(card) for card in cards)))
  values = np.array(
    [
      sum(table[tuple(state[v] for v in scope)] for scope, table in zip(scopes, tables))
      + sum(unary[v, s] for v, s in enumerate(state))
      for state in states
    ]
  )
  log_z = np.logaddexp.reduce(values)
  variables = np.zeros((len(cards), max(cards)))
  of_factors = [np.zeros(table.shape) for table in tables]
  for state, p in zip(states, np.exp(values - log_z)):
    for v, s in enumerate(state):
      variables[v, s] += p
    for scope, marginal in zip(scopes, of_factors):
      marginal[tuple(state[v] for v in scope)] += p
  return log_z, variables, of_factors, (states[int(values.argmax())], values.max())


def log(table):
  return np.asarray(factors.log(table), np.float64)
