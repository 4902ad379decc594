"""Bayesian networks as BIF files, the Interchange Format of Cozman 1996 (0.15): read, and written.

The format of the Bayesian Network Repository, and what pgmpy, bnlearn and GeNIe read.
"""

import itertools
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from research.data import bayesian_network
from research.data.bayesian_network import BayesianNetwork
from research.errors import UserError

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_WORD = re.compile(r'"[^"]*"|[^\s{}()\[\],;|"]+|[{}()\[\];|]')  # commas are spaces


def read(path: str | pathlib.Path) -> BayesianNetwork:
  """The network in a `.bif` file.  As `parse`.

  Raises:
    UserError: the file cannot be read.
  """
  file = pathlib.Path(path).expanduser()
  try:
    text = file.read_text(encoding="utf-8")
  except (OSError, UnicodeDecodeError) as error:
    raise UserError("BIF file", str(path), f"it cannot be read ({error}): give a .bif file.") from error
  return parse(text, file.stem)


def write(network: BayesianNetwork) -> str:
  """The text of a `.bif` file; `parse` gives the same network, to the last bit."""
  lines = [f"network {_quoted(network.name)} {{\n}}"]
  for name, states in network.variables:
    lines.append(f"variable {_quoted(name)} {{")
    lines.append(f"  type discrete [ {len(states)} ] {{ {', '.join(map(_quoted, states))} }};\n}}")
  for (name, _), parents, table in zip(network.variables, network.parents, network.tables):
    given = f" | {', '.join(_quoted(network.variables[p].name) for p in parents)}" if parents else ""
    lines.append(f"probability ( {_quoted(name)}{given} ) {{")
    for place in itertools.product(*(range(size) for size in table.shape[:-1])):
      states = ", ".join(_quoted(network.variables[p].states[s]) for p, s in zip(parents, place))
      lines.append(f"  {f'({states})' if parents else 'table'} {', '.join(map(repr, table[place].tolist()))};")
    lines.append("}")
  return "\n".join(lines) + "\n"


def parse(text: str, name: str = "network") -> BayesianNetwork:
  """The network that a BIF file's text states; its properties are passed over.

  Of a table without rows the child's states are outermost, the last parent's innermost, as the format has it.

  Args:
    text: of the file.
    name: of the network, where the text gives none.

  Raises:
    UserError: what is no BIF, by its nearest line; a row for states that there are not, numbers too few or too many;
      or as `bayesian_network.of`.
  """
  reader = _Reader(text, name)
  states: dict[str, list[str]] = {}
  blocks: dict[str, tuple[list[str], list]] = {}
  for word in reader:
    match word:
      case "network":
        name = reader.title() or name
        reader.skip_block()
      case "variable":
        variable = reader.next()
        states[variable] = reader.states()
      case "probability":
        child, parents = reader.scope()
        if child in blocks:
          raise reader.wrong(f"the second table of {child}: give one.")
        blocks[child] = parents, list(reader.rows())
      case _:
        raise reader.wrong(f"{word!r} is none of network, variable, probability.")
  for child, (parents, _) in blocks.items():
    for variable in (child, *parents):
      if variable not in states:
        raise UserError(name, variable, "it has a table or children but no block `variable`: add one.")
  if not states:
    raise UserError("BIF file", name, "it has no block `variable`: give one at least.")
  tables = {child: _table(child, parents, rows, states, name) for child, (parents, rows) in blocks.items()}
  return bayesian_network.of(name, states, {child: block[0] for child, block in blocks.items()}, tables)


def _quoted(name: str) -> str:
  """A name as one word."""
  return name if re.fullmatch(r'[^\s{}()\[\],;|"]+', name) else f'"{name}"'


def _table(child: str, parents: list[str], rows: list, states: dict[str, list[str]], where: str) -> np.ndarray:
  """[state of each parent, ..., own state], from `(key, numbers)`: the key is the parents' states or a word."""
  cards = [len(states[parent]) for parent in parents]
  own = len(states[child])
  table = np.full((*cards, own), np.nan)
  for key, numbers in rows:
    size = own if key != "table" else own * int(np.prod(cards))
    if len(numbers) != size:
      raise UserError(f"{where}: numbers of {child} {key}", len(numbers), f"give {size}.")
    if key == "table":
      table[...] = np.moveaxis(np.reshape(numbers, (own, *cards)), 0, -1)
    elif key == "default":
      table[np.isnan(table).any(-1)] = numbers
    else:
      table[_place(child, parents, key, states, where)] = numbers
  if np.isnan(table).any():
    missing = [states[p][s] for p, s in zip(parents, np.argwhere(np.isnan(table))[0])]
    raise UserError(f"{where}: table of {child}", tuple(missing), "it has no row for these states: add it.")
  return table


def _place(child: str, parents: list[str], key: tuple[str, ...], states: dict[str, list[str]], where: str):
  if len(key) != len(parents):
    raise UserError(f"{where}: row of {child}", key, f"give a state of each of {', '.join(parents) or 'no parents'}.")
  for parent, state in zip(parents, key):
    if state not in states[parent]:
      remedy = f"{parent} has no such state: it has {', '.join(states[parent])}."
      raise UserError(f"{where}: row of {child}", state, remedy)
  return tuple(states[parent].index(state) for parent, state in zip(parents, key))


class _Reader:
  """The words of a BIF file, one after the other."""

  def __init__(self, text: str, name: str):
    # Comments become as many lines as they were, so that messages count right.
    text = _COMMENT.sub(lambda match: "\n" * match[0].count("\n"), text)
    self._words = [(match[0], match.start()) for match in _WORD.finditer(text)]
    self._text, self._name, self._at = text, name, 0

  def __iter__(self) -> Iterator[str]:
    while self._at < len(self._words):
      yield self.next()

  def next(self, expected: str = "") -> str:
    if self._at == len(self._words):
      raise self.wrong("the file ends within a block.")
    word = self._words[self._at][0]
    self._at += 1
    if expected and word != expected:
      raise self.wrong(f"there is {word!r} where {expected!r} should be.")
    return word.strip('"') if word.startswith('"') else word

  def peek(self) -> str:
    return self._words[self._at][0] if self._at < len(self._words) else ""

  def until(self, end: str) -> list[str]:
    words = []
    while (word := self.next()) != end:
      words.append(word)
    return words

  def wrong(self, what: str) -> UserError:
    place = self._words[max(self._at - 1, 0)][1] if self._words else 0
    return UserError(f"{self._name}, line {self._text.count(chr(10), 0, place) + 1}", "BIF", what)

  def title(self) -> str:
    """What stands before a block."""
    return " ".join(self.until("{"))

  def skip_block(self) -> None:
    self.until("}")

  def states(self) -> list[str]:
    self.next("{")
    names: list[str] = []
    while (word := self.next()) != "}":
      if word == "type":
        self.next("discrete")
        self.next("[")
        count = self.until("]")
        self.next("{")
        names = self.until("}")
        if count != [str(len(names))]:
          raise self.wrong(f"it says {' '.join(count)} states and names {len(names)}.")
      else:
        self.until(";")
      if self.peek() == ";":
        self.next()
    return names

  def scope(self) -> tuple[str, list[str]]:
    self.next("(")
    child, *rest = self.until(")")
    if rest and rest[0] == "|":
      rest = rest[1:]
    self.next("{")
    return child, rest

  def rows(self) -> Iterator[tuple[str | tuple[str, ...], list[float]]]:
    while (word := self.next()) != "}":
      if word == "property":
        self.until(";")
        continue
      if word not in ("(", "table", "default"):
        raise self.wrong(f"{word!r} is none of table, default and states in brackets.")
      key = tuple(self.until(")")) if word == "(" else word
      words = self.until(";")
      try:
        yield key, [float(word) for word in words]
      except ValueError as error:
        raise self.wrong(f"{error}: give numbers.") from error
