"""A user's own data, a small file or folder of every kind that docs/data.md names."""

import json
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from research.data import bif, classic_networks
from research.evaluation import music
from tests.mock_data.raw import brown, own_detection, own_segmentation, own_style, transitions

RATE = 4000  # samples a second of recordings
_SYLLABLES = ["ba", "do", "fi", "gu", "he", "ka", "lo", "mi", "nu", "pe", "ra", "so", "ti", "vu", "ze"]
WORDS = [first + second for first in _SYLLABLES for second in _SYLLABLES]
MOLECULES = ("CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCC", "C1CCCCC1", "CO", "c1ccccc1O", "CCCl", "CN(C)C", "CCS", "C=C")


def write(folder: Path) -> None:
  """Everything, by `WRITERS`."""
  for name in WRITERS:
    write_one(folder, name)


def write_one(folder: Path, name: str) -> Path:
  """What is called so; its path."""
  WRITERS[name](folder / name)
  return folder / name


def _rows(header: str, row: Callable[[int], tuple], count: int = 24, by: str = ",") -> str:
  lines = [header.split(), *(row(i) for i in range(count))]
  return "".join(by.join(map(str, line)) + "\n" for line in lines)


def _table(header: str, row: Callable[[int], tuple], count: int = 24):
  def writer(path: Path) -> None:
    path.write_text(_rows(header, row, count, "\t" if path.suffix == ".tsv" else ","))

  return writer


def _flower(i: int) -> tuple:
  return (i, "red" if i % 2 else "blue", "ab"[i % 2])


def _parquet(path: Path) -> None:
  import pyarrow
  import pyarrow.parquet

  columns = zip(*(_flower(i) for i in range(24)))
  pyarrow.parquet.write_table(pyarrow.table(dict(zip(("width", "colour", "species"), map(list, columns)))), path)


def _pixels(count: int = 20, side: int = 8) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)


def _images(folders: str) -> Callable[[Path], None]:
  def writer(path: Path) -> None:
    for i, image in enumerate(_pixels()):
      place = path / folders[i % len(folders)] if folders else path
      place.mkdir(parents=True, exist_ok=True)
      Image.fromarray(image).resize((8 + (0 if folders else i % 3), 8)).save(place / f"{i}.png")

  return writer


def _captions(path: Path) -> None:
  (path / "images").mkdir(parents=True)
  for i, image in enumerate(_pixels()):
    Image.fromarray(image).save(path / "images" / f"{i}.png")
  (path / "captions.csv").write_text(
    _rows("image caption", lambda i: (f"images/{i}.png", f"a {('grey', 'dark')[i % 2]} field"), 20)
  )


def _sentence(i: int) -> str:
  return " ".join(np.random.default_rng(i).choice(WORDS, 12))


def _texts(path: Path) -> None:
  path.mkdir()
  for i in range(20):
    (path / f"{i}.txt").write_text("".join(f"{_sentence(100 * i + j)}.\n" for j in range(6)))


def _lines(seed: int, count: int = 150) -> Callable[[Path], None]:
  return lambda path: path.write_text("".join(f"{_sentence(seed + i)}\n" for i in range(count)))  # and None


def _reviews(path: Path) -> None:
  rows = [{"review": f"{'good' if i % 2 else 'bad'} {_sentence(i)}", "stars": 1 + 4 * (i % 2)} for i in range(24)]
  path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _sounds(path: Path) -> None:
  rng = np.random.default_rng(0)
  for i in range(20):
    file = path / ("yes", "no")[i % 2] / f"{i}.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as out:
      out.setnchannels(1)
      out.setsampwidth(2)
      out.setframerate(RATE)
      out.writeframes(rng.integers(-9000, 9000, rng.integers(500, 900)).astype("<i2").tobytes())


def _music(path: Path) -> None:
  path.mkdir()
  rng = np.random.default_rng(0)
  for i in range(12):
    roll = np.zeros((8 + i, 88), np.uint8)
    for time in roll:
      time[rng.choice(np.arange(30, 60), 3, False)] = 1
    (path / f"{i:02}.mid").write_bytes(music.midi(roll))


def _pieces(path: Path) -> None:
  piece = lambda i: [[60 + i % 5, 64, 67 + j % 3] for j in range(6 + i)]
  path.write_text(json.dumps({split: [piece(i) for i in range(6)] for split in ("train", "valid", "test")}))


def _edge(nodes: int) -> Callable[[int], tuple[str, str]]:
  """Of a node to those next to it, then to those next but one, and so on."""
  return lambda i: (f"n{i % nodes}", f"n{(i % nodes + 1 + i // nodes) % nodes}")


def _graph(path: Path) -> None:
  path.mkdir()
  rng = np.random.default_rng(0)
  group = lambda i: "ab"[i % 2]
  nodes = lambda i: (f"n{i}", group(i), round(rng.normal() + i % 2, 3), round(rng.normal(), 3))
  (path / "nodes.csv").write_text(_rows("id label x y", nodes, 30))
  (path / "edges.csv").write_text(_rows("source target", _edge(30), 60))


def _folder_of(writer: Callable[[Path], None]) -> Callable[[Path], None]:
  def of_folder(path: Path) -> None:
    path.mkdir()
    writer(path)

  return of_folder


def _transitions(path: Path) -> None:
  transitions.write(path.parent)
  (path.parent / "cart_pole.npz").rename(path)


def _films(folder: Path) -> None:
  folder.mkdir()
  for name in range(10):
    pictures = [Image.fromarray(np.roll(np.eye(20, 24, k=name, dtype=np.uint8) * 200, t, 1)) for t in range(8)]
    pictures[0].save(folder / f"{name}.gif", save_all=True, append_images=pictures[1:])


WRITERS: dict[str, Callable[[Path], object]] = {
  "my_images": _images("ab"),
  "pictures": _images(""),
  "my_scenes": _folder_of(own_segmentation.write),
  "my_styles": _folder_of(own_style.write),
  "my_pairs": _folder_of(lambda path: own_style.write(path, paired=True)),
  "my_films": _films,
  "my_boxes": _folder_of(own_detection.write),
  "my_captions": _captions,
  "my.npz": lambda path: np.savez(path, inputs=_pixels(), label=np.array(["cat", "dog"] * 10)),
  "my.npy": lambda path: np.save(path, _pixels()),
  "flowers.csv": _table("width colour species", _flower),
  "flowers.tsv": _table("width colour species", _flower),
  "flowers.parquet": _parquet,
  "gaps.csv": _table("width colour species", lambda i: ("" if i == 4 else i, "NA" if i == 7 else "red", "ab"[i % 2])),
  "measures.csv": _table("a b c", lambda i: (i, i * i % 7, round(0.5 * i + i % 3, 2))),
  "my.bif": lambda path: path.write_text(bif.write(classic_networks.load("asia"))),
  "my_texts": _texts,
  "lines.txt": _lines(0),
  "here.txt": _lines(1, 40),
  "there.txt": _lines(2, 40),
  "pairs.tsv": lambda path: path.write_text("".join(f"{_sentence(i)}\t{_sentence(i + 1)}\n" for i in range(40))),
  "reviews.csv": _table("text label", lambda i: (f"{'good' if i % 2 else 'bad'} {_sentence(i)}", ("no", "yes")[i % 2])),
  "reviews.jsonl": _reviews,
  "hours.csv": _table("date load", lambda i: (f"2020-01-{i:04}", round(float(np.sin(i)), 4)), 1500),
  "my_words": _sounds,
  "my_music": _music,
  "pieces.json": _pieces,
  "my_tags": _folder_of(brown.write),
  "ratings.csv": _table("user item rating time", lambda i: (i % 12, 7 * i % 11, 1 + i % 5, i), 100),
  "my_graph": _graph,
  "edges.csv": _table("source target", _edge(20), 60),
  "molecules.csv": _table("smiles weight", lambda i: (MOLECULES[i], 10 * i + 1), len(MOLECULES)),
  "facts.tsv": lambda path: path.write_text("".join("\tknows\t".join(_edge(12)(i)) + "\n" for i in range(60))),
  "transitions.npz": _transitions,
}
