"""Facts of head, relation and tail: a made-up family, or the user's own files."""

import dataclasses
import pathlib

import numpy as np
from jaxtyping import Int

from research.data import raw
from research.errors import UserError

FAMILY = "kinship"
KINDS = (
  "a file of facts (.txt, .tsv), head, relation and tail a line, by tabs; a folder of such, train.txt, test.txt and, "
  "if there is one, valid.txt"
)


@dataclasses.dataclass(frozen=True)
class Facts:
  """Facts, divided.

  Attributes:
    name: for messages.
    entities, relations: names by number.
    splits: 'train', 'validation', 'test' -> int32 [fact, 3]: head, relation, tail.
  """

  name: str
  entities: tuple[str, ...]
  relations: tuple[str, ...]
  splits: dict[str, Int[np.ndarray, "fact 3"]]


def load(name: str, path: str | None = None) -> Facts:
  """`kinship`; or the user's own: a folder with train.txt and test.txt, and valid.txt if there is one, as FB15k has
  them, a fact a line, head, relation and tail by tabs; or one such file, of which a tenth is held out for either.

  Raises:
    UserError: no such name or file, a line of another form, or what is not in the training facts.
  """
  if not raw.is_own(name, path):
    if name != FAMILY:
      raise UserError("config.data.name", name, f"choose {FAMILY}, or give facts by config.data.path.")
    return divided(FAMILY, kinship())
  root = raw.own(path, KINDS, (".txt", ".tsv", ""), "train.txt")
  if root.is_file():
    return divided(str(root), _read(root))
  parts = {part: root / f"{file}.txt" for part, file in (("train", "train"), ("validation", "valid"), ("test", "test"))}
  for part in ("train", "test"):
    if not parts[part].is_file():
      raise UserError(
        "config.data.path", str(root), f"it has no {parts[part].name}: name a folder of facts, or a file."
      )
  return numbered(str(root), {part: _read(file) if file.is_file() else [] for part, file in parts.items()})


def _read(file: pathlib.Path) -> list[tuple[str, str, str]]:
  try:
    lines = file.read_text(encoding="utf-8").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise UserError("config.data.path", str(file), f"it cannot be read as UTF-8 ({error}).") from error
  facts = []
  for number, line in enumerate(lines, 1):
    fields = line.split("\t")
    if line.strip() and len(fields) != 3:
      raise UserError(f"{file} line {number}", line, "give head, relation and tail, by tabs.")
    if line.strip():
      head, relation, tail = fields
      facts.append((head, relation, tail))
  if not facts:
    raise UserError("config.data.path", str(file), "it has no fact.")
  return facts


def divided(name: str, facts: list[tuple[str, str, str]]) -> Facts:
  """A tenth to validate, a tenth to test, drawn with seed 0; but none that an entity or relation is left without."""
  facts = sorted(set(facts))
  order = np.random.default_rng(0).permutation(len(facts))
  left: dict[str, int] = {}
  for head, relation, tail in facts:
    for each in (f"e {head}", f"e {tail}", f"r {relation}"):
      left[each] = left.get(each, 0) + 1
  parts: dict[str, list] = {"train": [], "validation": [], "test": []}
  share = len(facts) // 10
  for place in order:
    head, relation, tail = facts[place]
    names = (f"e {head}", f"e {tail}", f"r {relation}")
    part = next((part for part in ("test", "validation") if len(parts[part]) < share), "train")
    if part != "train" and min(left[each] for each in names) > 2:
      for each in names:
        left[each] -= 1
    else:
      part = "train"
    parts[part].append(facts[place])
  return numbered(name, parts)


def numbered(name: str, parts: dict[str, list[tuple[str, str, str]]]) -> Facts:
  """Facts by name, in numbers.

  Raises:
    UserError: an entity or a relation that the training facts have not.
  """
  entities = sorted({each for head, _, tail in parts["train"] for each in (head, tail)})
  relations = sorted({relation for _, relation, _ in parts["train"]})
  of_entity, of_relation = ({each: i for i, each in enumerate(names)} for names in (entities, relations))
  splits = {}
  for part, facts in parts.items():
    for head, relation, tail in facts:
      unknown = [each for each in (head, tail) if each not in of_entity] + [
        r for r in (relation,) if r not in of_relation
      ]
      if unknown:
        raise UserError(f"{name}: {part} has", unknown[0], "no training fact names it: nothing can be said of it.")
    rows = [(of_entity[head], of_relation[relation], of_entity[tail]) for head, relation, tail in facts]
    splits[part] = np.array(rows, np.int32).reshape(-1, 3)
  return Facts(name, tuple(entities), tuple(relations), splits)


def kinship(generations: int = 4, couples: int = 10, seed: int = 0) -> list[tuple[str, str, str]]:
  """Who is whose parent, child, spouse, sibling, grandparent, aunt or uncle, and cousin, in families of a village.

  Couples of each generation have two to four children, who marry one of another family, as many couples as before.
  """
  rng = np.random.default_rng(seed)
  people = 0

  def new() -> int:
    nonlocal people
    people += 1
    return people - 1

  pairs = [(new(), new()) for _ in range(couples)]
  married, parents = list(pairs), {}
  for _ in range(generations - 1):
    children = []
    for pair in pairs:
      for _ in range(rng.integers(2, 5)):
        child = new()
        parents[child] = pair
        children.append(child)
    order = rng.permutation(children).tolist()
    pairs = []
    while order and len(pairs) < couples:
      one = order.pop()
      other = next((each for each in order if parents[each] != parents[one]), None)
      if other is None:
        break
      order.remove(other)
      pairs.append((one, other))
    married += pairs
  return _relations(people, married, parents)


def _relations(people: int, married, parents) -> list[tuple[str, str, str]]:
  siblings = lambda one: [x for x in parents if one in parents and x != one and parents[x] == parents[one]]
  facts = set()
  for one, other in married:
    facts |= {(one, "spouse", other), (other, "spouse", one)}
  for child, pair in parents.items():
    facts |= {(parent, "parent", child) for parent in pair} | {(child, "child", parent) for parent in pair}
    facts |= {(child, "sibling", other) for other in siblings(child)}
    for parent in pair:
      facts |= {(grand, "grandparent", child) for grand in parents.get(parent, ())}
      facts |= {(aunt, "aunt_or_uncle", child) for aunt in siblings(parent)}
      facts |= {(child, "cousin", x) for x in parents for aunt in siblings(parent) if aunt in parents[x]}
  width = len(str(people - 1))
  return sorted((f"person {a:0{width}}", relation, f"person {b:0{width}}") for a, relation, b in facts)
