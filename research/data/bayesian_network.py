"""A discrete Bayesian network as a file or a page states it: names, parents and tables of probabilities, checked."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from research.errors import UserError

TOLERANCE = 1e-3  # distance of a row's sum from 1 that is rounding of what was printed


class Variable(NamedTuple):
  """What can be asked about, and what it can be."""

  name: str
  states: tuple[str, ...]

  def state(self, text: str) -> int:
    """The place of a state by its name.

    Raises:
      UserError: it has no such state; names those that it has.
    """
    if text not in self.states:
      raise UserError(f"state of {self.name}", text, f"there is no such state: {_choices(self.states, text)}.")
    return self.states.index(text)


@dataclasses.dataclass(frozen=True)
class BayesianNetwork:
  """p(x) = ∏ p(x_i | parents of i) over discrete variables; `of` makes one, checked.

  Attributes:
    name: for messages and titles.
    variables: names and states.
    parents: of each variable, places in `variables`.
    tables: of each variable, probabilities [state of each parent, ..., own state].
  """

  name: str
  variables: tuple[Variable, ...]
  parents: tuple[tuple[int, ...], ...]
  tables: tuple[Float[np.ndarray, "..."], ...]

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(variable.name for variable in self.variables)

  @property
  def cards(self) -> tuple[int, ...]:
    """How many states each variable has."""
    return tuple(len(variable.states) for variable in self.variables)

  def index(self, name: str) -> int:
    """The place of a variable by its name.

    Raises:
      UserError: there is none; names the nearest.
    """
    return index_of(self.variables, name, self.name)

  def evidence(self, text: str, field: str = "evidence") -> Int[np.ndarray, " variable"]:
    """The places of states in 'smoke=yes, xray=no', -1 where nothing is said.  As `evidence`."""
    return evidence(self.variables, text, field)

  def sample(self, count: int, seed: int) -> Int[np.ndarray, "row variable"]:
    """Rows drawn parents first (Henrion 1988, without evidence); the same for the same seed."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    rows = np.empty((count, len(self.variables)), np.int32)
    for node in topological_order(self.parents, self.names):
      table = self.tables[node]
      below = table[tuple(rows[:, parent] for parent in self.parents[node])]
      cumulative = np.broadcast_to(below, (count, table.shape[-1])).cumsum(1)
      rows[:, node] = (rng.random((count, 1)) > cumulative[:, :-1] / cumulative[:, -1:]).sum(1)
    return rows


def of(
  name: str,
  states: Mapping[str, Sequence[str]],
  parents: Mapping[str, Sequence[str]],
  tables: Mapping[str, np.ndarray],
) -> BayesianNetwork:
  """A network by names, checked.

  Args:
    name: of the network.
    states: of every variable, in the order that the network is to have.
    parents: of those variables that have some.
    tables: of every variable [state of each parent, ..., own state].

  Raises:
    UserError: a name or a state twice, a parent that is no variable, a cycle, no table, or one whose shape is another,
      that holds what is no probability, or whose rows do not sum to 1 (within `TOLERANCE`).
  """
  variables = tuple(Variable(variable, tuple(each)) for variable, each in states.items())
  for variable in variables:
    if not variable.states or len(set(variable.states)) < len(variable.states):
      raise UserError(f"states of {variable.name}", variable.states, "give one state or more, each once.")
  for child in {**parents, **tables}:
    index_of(variables, child, name)
  places = tuple(tuple(index_of(variables, p, name) for p in parents.get(v.name, ())) for v in variables)
  topological_order(places, [variable.name for variable in variables])
  checked = tuple(_table(variables, node, places[node], tables) for node in range(len(variables)))
  return BayesianNetwork(name, variables, places, checked)


def index_of(variables: Sequence[Variable], name: str, where: str) -> int:
  """The place of a variable by its name.

  Raises:
    UserError: there is none; names the nearest.
  """
  names = [variable.name for variable in variables]
  if name not in names:
    raise UserError("variable", name, f"{where} has no such variable: {_choices(names, name)}.")
  return names.index(name)


def evidence(variables: Sequence[Variable], text: str, field: str = "evidence") -> Int[np.ndarray, " variable"]:
  """The places of states in 'smoke=yes, xray=no', -1 where nothing is said.

  Raises:
    UserError: not of that form, a variable or a state that there is not, or a variable twice.
  """
  states = np.full(len(variables), -1, np.int32)
  for pair in filter(None, (part.strip() for part in text.split(","))):
    name, equals, state = (part.strip() for part in pair.partition("="))
    if not equals:
      raise UserError(field, text, f"write variable=state, with commas between; {pair!r} has no '='.")
    node = index_of(variables, name, field)
    if states[node] >= 0:
      raise UserError(field, text, f"{name} is there twice: say it once.")
    states[node] = variables[node].state(state)
  return states


def topological_order(parents: Sequence[Sequence[int]], names: Sequence[str]) -> list[int]:
  """Variables, parents before their children.

  Raises:
    UserError: there is none, since arrows go in a circle, which is named.
  """
  order: list[int] = []
  done, left = set(), list(range(len(parents)))
  while left:
    ready = [node for node in left if done.issuperset(parents[node])]
    if not ready:
      circle = _circle(parents, left)
      text = " -> ".join(names[node] for node in circle)
      raise UserError("network", text, "its arrows go in a circle: turn round or remove one of them.")
    order += ready
    done.update(ready)
    left = [node for node in left if node not in done]
  return order


def _circle(parents, left) -> list[int]:
  """Of variables that each have a parent among themselves: one circle, in the direction of the arrows."""
  path, among = [left[0]], set(left)
  while path[-1] not in path[:-1]:
    path.append(next(parent for parent in parents[path[-1]] if parent in among))
  return path[path.index(path[-1]) :][::-1]


def _table(variables, node, parents, tables) -> Float[np.ndarray, "..."]:
  name = variables[node].name
  if name not in tables:
    raise UserError("variable", name, "it has no table: give its probabilities.")
  table = np.asarray(tables[name], np.float64)
  shape = tuple(len(variables[i].states) for i in (*parents, node))
  if table.shape != shape:
    remedy = f"give {shape}: the states of {', '.join(variables[i].name for i in (*parents, node))}."
    raise UserError(f"shape of the table of {name}", table.shape, remedy)
  bad = ~((table >= 0) & (table <= 1 + TOLERANCE))
  if bad.any():
    raise UserError(f"table of {name}", float(table[bad][0]), "give probabilities, 0 to 1.")
  sums = table.sum(-1)
  far = np.abs(sums - 1) > TOLERANCE
  if far.any():
    place = np.argwhere(far)[0]
    given = ", ".join(f"{variables[p].name}={variables[p].states[s]}" for p, s in zip(parents, place))
    field = f"sum of the table of {name}" + (f" given {given}" if given else "")
    raise UserError(field, round(float(sums[tuple(place)]), 6), "its probabilities are to sum to 1: correct them.")
  return table


def _choices(names: Sequence[str], text: str) -> str:
  """The nearest name, or all where there are few."""
  near = difflib.get_close_matches(text, names, 1)
  if near:
    return f"the nearest is {near[0]}"
  return f"choose one of {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
