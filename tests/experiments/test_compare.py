"""Runs beside one another: the page holds everything, and a browser shows it."""

import json
import re
import shutil
import subprocess

import matplotlib.figure
import pytest
from PIL import Image

from experiments.compare import __main__ as compare


@pytest.fixture
def runs(tmp_path):
  for name, rate in (("a", 0.1), ("b", 0.2)):
    folder = tmp_path / name / "seed0"
    (folder / "figures").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"seed": 0, "optimizer": {"learning_rate": rate}}))
    metrics = {"test_loss": {"value": rate, "definition": "nats <a step>"}}
    (folder / "result.json").write_text(json.dumps({"metrics": metrics, "step": 3}))
    rows = [{"step": step, "kind": "train", "loss": rate / (1 + step)} for step in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    matplotlib.figure.Figure(figsize=(2, 2)).savefig(folder / "figures" / "confusion.png")
  return [str(tmp_path / name / "seed0") for name in "ab"]


def test_page_is_whole(runs, tmp_path, capsys):
  assert compare.main([*runs, f"--output={tmp_path / 'c.html'}"]) == 0
  page = (tmp_path / "c.html").read_text()
  assert "a/seed0" in page
  assert "nats &lt;a step&gt;" in page
  assert re.search(r"<td>optimizer.learning_rate</td><td>0.1</td><td>0.2</td>", page)
  assert "<td>seed</td><td>0</td>" not in page, "what is the same is no difference"
  assert page.count("data:image/png;base64,") == 3, "curves, and a figure of each"
  assert not re.findall(r'(?:src|href)="(?!data:)', page), "nothing is fetched"
  browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
  if browser is None:
    pytest.skip("there is no headless browser to look at the page with")
  flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--screenshot={tmp_path / 'c.png'}")
  subprocess.run([browser, *flags, str(tmp_path / "c.html")], check=True, capture_output=True, timeout=60)
  with Image.open(tmp_path / "c.png") as image:
    assert len(image.convert("RGB").getcolors(2**24)) > 20


def test_a_run_without_a_figure_keeps_its_column(runs, tmp_path):
  (tmp_path / "a" / "seed0" / "figures" / "confusion.png").unlink()
  page = compare.page(compare.load(runs))
  first, second = re.findall(r"<figcaption>([^<]*)</figcaption>", page.partition("<h3>confusion</h3>")[2])
  assert (first, second) == ("a/seed0: none", "b/seed0")


def test_what_is_no_run_is_refused(runs, tmp_path, capsys):
  for argv, part in (([], "name the folders"), ([*runs, str(tmp_path)], "no folder of a run"), (["--x"], "--output")):
    assert compare.main(argv) == 2
    assert part in capsys.readouterr().err
