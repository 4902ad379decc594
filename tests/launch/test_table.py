"""One table of many runs."""

import json

from launch import table


def run(folder, seed, value, rate=None, finished=True):
  folder.mkdir(parents=True)
  (folder / "config.json").write_text("{}")
  (folder / "run.json").write_text('{"launches": [{}, {}]}')
  (folder / "metrics.jsonl").write_text('{"step": 7, "kind": "train", "loss": 1.0}\n')
  overrides = {"seed": str(seed), **({"optimizer.learning_rate": rate} if rate else {})}
  metrics = {"accuracy": {"value": value, "definition": ""}, "confusion": {"value": [[1]], "definition": ""}}
  result = {"experiment": "mlp", "config": "configs/mlp/digits.py", "overrides": overrides, "seed": seed, "step": 9}
  result |= {"metrics": metrics, "wall_seconds": 60.0, "device": "CPU", "finished": True}
  if finished:
    (folder / "result.json").write_text(json.dumps(result))


def test_seeds_are_averaged_and_what_is_missing_is_said(tmp_path, capsys):
  run(tmp_path / "a" / "seed0", 0, 0.5)
  run(tmp_path / "a" / "seed1", 1, 0.7)
  run(tmp_path / "b" / "seed0", 0, 0.25, rate="1e-2")
  run(tmp_path / "b" / "seed1", 1, 0.0, finished=False)
  folders = [str(tmp_path / name) for name in ("a", "b", "c")]
  assert table.main([*folders, f"--output={tmp_path / 'table.md'}"]) == 0
  text = (tmp_path / "table.md").read_text()
  assert "| mlp/digits | 2 | 0.6000 ± 0.1414 (2) | 60 s |" in text
  assert "| mlp/digits optimizer.learning_rate=1e-2 | 1 | 0.2500 (1) | 60 s |" in text
  assert f"- {tmp_path}/b/seed1: at step 7, 2 launches" in text
  assert f"- {tmp_path}/c: not begun" in text
  assert "confusion" not in text


def test_no_such_metric(tmp_path, capsys):
  run(tmp_path / "a", 0, 0.5)
  assert table.main([str(tmp_path), "--metrics=acc"]) == 2
  assert "accuracy" in capsys.readouterr().err


def test_a_value_that_is_no_number_is_shown(tmp_path, capsys):
  run(tmp_path / "a", 0, None)
  assert table.main([str(tmp_path)]) == 0
  assert "nan" in capsys.readouterr().out
