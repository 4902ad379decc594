import json
import pathlib

import pytest

from experiments.results import __main__ as command
from experiments.results import collect, tables
from research.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def result(seed=0, accuracy=0.995, config="configs/cnn/mnist.py", **changes):
  bar = {
    "definition": "correct / all | test set",
    "published": 0.9917,
    "source": "Flax example",
    "bar": {"min": 0.9955},
  }
  metrics = {
    "test_accuracy": {"value": accuracy} | bar,
    "test_loss": {"value": 0.02, "definition": "cross-entropy, nats"},
  }
  return {
    "experiment": "cnn",
    "config": config,
    "seed": seed,
    "step": 1000,
    "metrics": metrics,
    "wall_seconds": 300.0 + 60 * seed,
    "compile_seconds": 12.0,
    "device": "2-core CPU",
    "commit": "0123456789" * 4,
    "finished": True,
  } | changes


def lines_with(text, *words):
  return [line for line in text.splitlines() if all(word in line for word in words)]


def test_seeds_are_averaged_and_compared():
  text = tables.render([result(0, 0.9950), result(1, 0.9956), result(2, 0.9962, commit="abcdef0123-dirty")])
  (row,) = lines_with(text, "`test_accuracy`", "|", "cnn/mnist", "compiling")
  cells = [cell.strip() for cell in row.strip("|").split(" | ")]
  assert cells == [
    "cnn/mnist",
    "`test_accuracy`",
    "0.9956 ± 0.0006 (3)",
    "0.9917 (Flax example)",
    "≥ 0.9955 met",
    "1000",
    "6.0 min (compiling 12 s)",
    "2-core CPU",
    "0123456789, abcdef0123-dirty",
  ]
  assert lines_with(text, "- cnn/mnist, 2-core CPU: `test_loss` 0.0200 ± 0.0000 (3)")
  assert "- `test_accuracy`: correct / all | test set.\n" in text


def test_misses_are_plain():
  assert lines_with(tables.render([result(0, 0.9950)]), "≥ 0.9955 **MISSED**", "0.9950 (1)")
  assert lines_with(tables.render([result(0, None), result(1)]), "nan ± nan (2)", "**MISSED**")
  metric = {"value": 0.012, "definition": "error", "bar": {"max": 0.011}}
  assert "≤ 0.0110 **MISSED**" in tables.render([result(metrics={"test_error": metric})])


def test_order_of_input_does_not_matter_and_kinds_stay_apart():
  runs = [
    result(1),
    result(0),
    result(0, device="NVIDIA H100"),
    result(0, overrides={"train.batch_size": 64}),
    result(0, config="configs/cnn/digits.py:fast"),
  ]
  text = tables.render(runs)
  assert text == tables.render(runs[::-1])
  assert len(lines_with(text, "`test_accuracy` |", "compiling")) == 4
  assert lines_with(text, "cnn/mnist train.batch_size=64")
  assert len({collect.file_name(run) for run in runs}) == 5
  assert collect.file_name(runs[4]) == "cnn-digits-fast-seed0-2-core-cpu.json"


def test_a_run_without_published_values_is_shown():
  text = tables.render([result(metrics={"test_loss": {"value": 123.456}})])
  assert lines_with(text, "| cnn/mnist | `test_loss` | 123.5 (1) | - | - |")


def test_benchmarks_show_ours_the_peer_and_the_ratio():
  rows = [
    {"workload": "vision/mlp_step", "peer": "torch 2.13", "metric": "step_time", "value": 9.0, "unit": "ms"},
    {"workload": "vision/mlp_step", "peer": "torch 2.13", "metric": "step_time", "value": 6.0, "unit": "ms"},
    {
      "workload": "vision/mlp_step",
      "peer": "genera 0.1",
      "metric": "step_time",
      "value": 2.0,
      "unit": "ms",
      "device": "2-core CPU",
    },
    {"workload": "vision/mlp_step", "peer": "slower", "metric": "step_time", "value": 7.0, "unit": "ms"},
    {"workload": "vision/gone", "peer": "torch 2.13", "error": "no memory"},
    {"workload": "rl/dqn", "peer": "sb3", "metric": "step_time", "value": 1.0, "unit": "ms"},
  ]
  text = tables.render([], rows)
  assert "| `vision/mlp_step` | step time, ms | 2 | 6 | 3.00 | torch 2.13 | 2-core CPU |" in text
  assert "| `rl/dqn` | step time, ms | - | 1 | - | sb3 | - |" in text
  assert "gone" not in text
  rates = [rows[0] | {"unit": "steps/s", "peer": name, "value": value} for name, value in (("a", 3.0), ("b", 2.0))]
  assert "| 3 | - | a |" in tables.render([], rates)  # of a rate the fastest is the largest
  with pytest.raises(UserError, match="same thing"):
    tables.render([], [rows[0], rows[2] | {"unit": "s"}])


def test_collect_then_render(tmp_path, capsys):
  for seed, finished in ((0, True), (1, True), (2, False)):
    folder = tmp_path / "runs" / f"seed{seed}"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result(seed, finished=finished)))
  collection, output = tmp_path / "results", tmp_path / "RESULTS.md"
  flags = [f"--results={collection}", f"--output={output}"]
  assert command.main(["--collect", str(tmp_path / "runs"), *flags]) == 0
  assert sorted(p.name for p in collection.iterdir()) == [
    "cnn-mnist-seed0-2-core-cpu.json",
    "cnn-mnist-seed1-2-core-cpu.json",
  ]
  first = output.read_text()
  assert "(2)" in first
  assert command.main(flags) == 0
  assert output.read_text() == first
  assert "not finished" in capsys.readouterr().out
  # Run folders alone go to the screen; what is unfinished is called so.
  assert command.main([str(tmp_path / "runs")]) == 0
  assert "cnn/mnist (unfinished)" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_bad_input_is_a_user_error(content, tmp_path, capsys):
  if content is not None:
    (tmp_path / "result.json").write_text(content)
  assert command.main([str(tmp_path)]) == 2
  assert str(tmp_path) in capsys.readouterr().err


def test_results_md_is_what_the_command_writes():
  assert (ROOT / "RESULTS.md").read_text() == tables.render_collection(ROOT / "results"), "run `make results`"


def test_readme_has_the_best_lines_and_the_misses():
  page, results = (ROOT / "README.md").read_text(), collect.read(sorted((ROOT / "results").glob("*.json")))
  assert page == tables.with_best_lines(page, results), "run `make results`"
  with pytest.raises(UserError, match=r"README\.md"):
    tables.with_best_lines("no place for it", results)


def test_one_line_a_config_shows_a_miss_before_what_is_met():
  two = {
    "test_error": {"value": 0.1, "definition": "e", "bar": {"max": 0.2}, "published": 0.15},
    "test_loss": {"value": 3.0, "definition": "l", "bar": {"max": 2.0}},
  }
  met = {"test_accuracy": {"value": 0.996, "definition": "a", "bar": {"min": 0.9955}}}
  fast, changed = {"config": "configs/cnn/mnist.py:fast"}, {"overrides": {"train.x": "1"}}
  runs = [result(0, metrics=two), result(0, metrics=met, **fast), result(0, metrics=met, **changed)]
  text = tables.render(runs)
  top = text[text.index("## All configs") : text.index("## cnn")]
  assert "| cnn/mnist | `test_loss` | 3.0000 (1) | - | ≤ 2.0000 | **MISSED** | 5.0 |" in top
  assert top.count("`test_accuracy`") == 2
  assert "| cnn/mnist:fast |" in top
  assert "| cnn/mnist train.x=1 |" in top
  assert "Of 3 configs with a bar 2 meet all of theirs; missed: 1 (`cnn/mnist`)." in top
  page = tables.with_best_lines("\n".join(["a", *tables.MARKERS, "z"]), runs)
  assert "| cnn | cnn/mnist train.x=1 |" in page
  assert "missed: 1" in page
  assert tables.with_best_lines(page, runs) == page


def test_notes_stand_below_the_table_once():
  text = tables.render([result(0, note="of zeros only."), result(1, note="of zeros only.")])
  assert text.count("- cnn/mnist: of zeros only.") == 1
  row = {"workload": "a/b", "metric": "m", "value": 1.0, "unit": "s", "note": "slow."}
  assert "- `a/b`: slow." in tables.render([], [row])


def test_a_seed_is_no_change_of_the_config():
  seeds = [result(seed=s, overrides={"seed": str(s), "run.keep": "3"}) for s in range(3)]
  assert collect.file_name(seeds[1]) == collect.file_name(result(seed=1))
  assert "(3)" in tables.render(seeds)
  assert collect.changes(result(overrides={"train.batch_size": "64"})) == [("train.batch_size", "64")]
