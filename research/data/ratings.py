"""Who has had what, when, and how it was rated: MovieLens, or a user's own table.

As implicit feedback the last item of everyone is left out; ratings are held out at random, in folds.
"""

import dataclasses
import pathlib

import numpy as np
from jaxtyping import Float, Int

from research.data import cells, raw
from research.errors import UserError

NAME, _FILE = "movielens", "u.data"
_CALLED = {"userId": "user", "movieId": "item", "timestamp": "time"}


@dataclasses.dataclass(frozen=True)
class Interactions:
  """Users and the items that they have had, each pair once.

  Attributes:
    name: for messages.
    user, item: int32 [pair].
    time: float64 [pair], by which a user's are ordered; equal times stay in the order of the file.
    user_names, item_names: by number.
    rating: float32 [pair]; 1 where none is given.
  """

  name: str
  user: Int[np.ndarray, " pair"]
  item: Int[np.ndarray, " pair"]
  time: np.ndarray
  user_names: tuple[str, ...]
  item_names: tuple[str, ...]
  rating: Float[np.ndarray, " pair"]


def load(name: str, path: str | None = None) -> Interactions:
  """MovieLens 100K, or the user's own (`own`) where the path is not that of `u.data`.

  Raises:
    UserError: no such name or file, and as `own`.
  """
  if raw.is_own(name, path, _FILE):
    return own(path)
  if name != NAME:
    raise UserError("config.data.name", name, f"choose {NAME}, or give a table by config.data.path.")
  return _movielens(raw.locate(NAME, _FILE, path))


def own(path: str | None) -> Interactions:
  """MovieLens' `ratings.dat`, or a table (`cells.read`) with `user`, `item`, and any of `rating` and `time`.

  A table may call them `userId`, `movieId`, `rating` and `timestamp`, as MovieLens' do.

  Raises:
    UserError: nothing there, something else, columns that are missing, a rating or a time that is no number.
  """
  kinds = "a table with the columns user and item, and rating and time if there are any (.csv, .tsv, .parquet, .dat)"
  file = raw.own(path, kinds, (*cells.SUFFIXES, ".dat"), known=(_FILE,))
  given = _dat(file) if file.suffix.lower() == ".dat" else cells.read(file, header=True)
  columns = given.named(("user", "item"), _CALLED)
  numbers = {"rating": np.ones(len(given.rows)), "time": np.zeros(len(given.rows))}
  for name, values in numbers.items():
    for row, ((line, _), text) in enumerate(zip(given.rows, columns.get(name, ()))):
      if text and not cells.is_number(text):
        remedy = "give a number, such as seconds." if name == "time" else "give a number."
        raise UserError(given.place(line, name), text, remedy)
      values[row] = float(text) if text else values[row]
  for name in ("user", "item"):
    if "" in columns[name]:
      line = given.rows[columns[name].index("")][0]
      raise UserError(given.place(line, name), "", "it is empty: name one, or remove the row.")
  return numbered(str(file), columns["user"], columns["item"], numbers["time"], numbers["rating"])


def _dat(file: pathlib.Path) -> cells.Cells:
  """The cells of a `ratings.dat`: user::item::rating::time."""
  header = ("user", "item", "rating", "time")
  lines = enumerate(raw.contents(file).decode("latin-1").splitlines(), 1)
  rows = [(number, [cell.strip() for cell in line.split("::")]) for number, line in lines if line.strip()]
  for number, row in rows:
    if len(row) != len(header):
      raise UserError(f"{file}, line {number}", "::".join(row), "give user::item::rating::time.")
  return cells.Cells(str(file), header, rows)


def _movielens(file: pathlib.Path) -> Interactions:
  try:
    table = np.loadtxt(file, np.int64, delimiter="\t", ndmin=2)
  except ValueError as error:
    raise UserError("config.data.path", str(file), f"give user, item, rating and time, by tabs ({error}).") from error
  if not table.size or table.shape[1] != 4:
    raise UserError("config.data.path", str(file), "give lines of user, item, rating and time, by tabs.")
  titles = {}
  if (beside := file.with_name("u.item")).is_file():
    lines = beside.read_text(encoding="latin-1").splitlines()
    titles = {number: title for number, title, *_ in (line.split("|") for line in lines if "|" in line)}
  names = table[:, 0].astype(str).tolist(), table[:, 1].astype(str).tolist()
  interactions = numbered(NAME, *names, table[:, 3], table[:, 2])
  return dataclasses.replace(interactions, item_names=tuple(titles.get(name, name) for name in interactions.item_names))


def numbered(name: str, users, items, time, rating=None) -> Interactions:
  """Interactions of users and items by name, numbered in the order of their names; of equal pairs the first."""
  user_names, user = np.unique(np.array(users, str), return_inverse=True)
  item_names, item = np.unique(np.array(items, str), return_inverse=True)
  _, first = np.unique(user.astype(np.int64) * len(item_names) + item, return_index=True)
  kept = np.sort(first)
  return Interactions(
    name,
    user[kept].astype(np.int32),
    item[kept].astype(np.int32),
    np.asarray(time, np.float64)[kept],
    tuple(user_names.tolist()),
    tuple(item_names.tolist()),
    np.ones(len(kept), np.float32) if rating is None else np.asarray(rating, np.float32)[kept],
  )


def folds(data: Interactions, count: int, seed: int = 0) -> Int[np.ndarray, " pair"]:
  """Which of so many parts each pair is in, at random; sizes differ by one at most.

  Raises:
    UserError: fewer than two parts, or fewer pairs than parts.
  """
  if not 2 <= count <= len(data.user):
    raise UserError("config.data.folds", count, f"give 2 to {len(data.user)}, the number of ratings.")
  part = np.empty(len(data.user), np.int64)
  part[np.random.Generator(np.random.Philox(key=seed)).permutation(len(part))] = np.arange(len(part)) % count
  return part


def leave_last_out(data: Interactions) -> dict[str, Int[np.ndarray, " some"]]:
  """Indices of pairs: 'test', the last of every user; 'validation', the one before; 'train', the others.

  Users of fewer than three are in training alone; pairs whose item training has not are left out: it cannot be known.
  """
  order = np.lexsort((np.arange(len(data.user)), data.time, data.user))
  counts = np.bincount(data.user, minlength=len(data.user_names))
  rank = np.empty(len(order), np.int64)  # from the end of each user's
  ends = np.cumsum(counts)
  rank[order] = np.repeat(ends, counts) - 1 - np.arange(len(order))
  enough = counts[data.user] >= 3
  train = np.flatnonzero(~enough | (rank >= 2))
  known = np.isin(data.item, data.item[train])
  part = lambda which: np.flatnonzero(enough & (rank == which) & known)
  return {"train": train, "validation": part(1), "test": part(0)}
