"""The command, on fake CPU devices; and for TPUs and GPUs where their compilers are installed."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.command import cli
from launch.preflight import __main__ as preflight
from launch.preflight import chips, flight, hlo, program, survey
from launch.preflight import topology as topology_lib
from research import target
from research.training import loop, parallel, rundir
from tests.experiments import tiny

HOST = topology_lib.parse("host:8")
has = lambda package: topology_lib._installed(package)
needs_libtpu = pytest.mark.skipif(not has("libtpu"), reason="libtpu is not installed: pip install -e .[tpu-preflight]")
needs_cuda = pytest.mark.skipif(
  not has("jax_plugins.xla_cuda13"), reason="the CUDA plug-in is not installed: pip install -e .[gpu-preflight]"
)


@pytest.fixture
def config(tmp_path):
  (tmp_path / "tiny.py").write_text(tiny.CONFIG)
  return cli.load_config(str(tmp_path / "tiny.py"))


def run(capsys, *words):
  code = preflight.main(words)
  captured = capsys.readouterr()
  return code, captured.out, captured.err


@pytest.mark.parametrize("name", ["mlp/digits", "naive_bayes/digits", "gmm/iris", "vae/digits"])
def test_smoke_configs_preflight_for_the_host(name, capsys, tmp_path):
  file = tmp_path / "found.json"
  words = (f"--config=configs/{name}.py:smoke", "--topology=host:8", f"--workdir={tmp_path}/run", f"--json={file}")
  code, out, err = run(capsys, *words, "--largest-batch=no")
  assert (code, err) == (0, "")
  for word in ("fits", "arguments", "FLOP a byte", "all-reduce", "first batch read", "can be written"):
    assert word in out
  found = json.loads(file.read_text())
  assert found["fits"]
  assert found["parallelism"] == "pmap"
  assert not (tmp_path / "run").exists(), "it leaves nothing behind"


def test_sharded_state_is_gathered_and_takes_less(capsys, tmp_path):
  found = {}
  for mode in ("pmap", "fsdp"):
    file = tmp_path / mode
    words = ("--config=configs/mlp/digits.py:smoke", "--topology=host:8", f"--json={file}", "--largest-batch=no")
    code, *_ = run(capsys, *words, f"--config.run.parallelism={mode}")
    assert code == 0
    found[mode] = json.loads(file.read_text())
  assert found["fsdp"]["arguments"] < 0.5 * found["pmap"]["arguments"]
  assert "all-gather" in {c["kind"] for c in found["fsdp"]["collectives"]}
  assert {c["kind"] for c in found["pmap"]["collectives"]} == {"all-reduce"}


def test_too_large_is_said_and_has_an_exit_code(capsys, monkeypatch, tmp_path):
  monkeypatch.setattr(chips, "host", lambda devices: chips.Chip("tiny device", "cpu", 2.0**17))
  words = ("--config=configs/mlp/digits.py:smoke", "--topology=host:8", "--largest-batch=no")
  code, out, _ = run(capsys, *words)
  assert code == preflight.EXIT_DOES_NOT_FIT
  assert "DOES NOT FIT" in out


@pytest.mark.parametrize(
  ("text", "code", "word"),
  [
    (
      "RESOURCE_EXHAUSTED: Ran out of memory on HBM, 8.00T exceeds 15.75G.",
      preflight.EXIT_DOES_NOT_FIT,
      "8.00T exceeds",
    ),
    ("INVALID_ARGUMENT: what is this?", preflight.EXIT_REFUSED, "what is this?"),
  ],
)
def test_the_compiler_s_own_words_are_printed(text, code, word, capsys, monkeypatch):
  def refuse(*_, **__):
    raise jax.errors.JaxRuntimeError(text)

  monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)
  found = run(capsys, "--config=configs/naive_bayes/digits.py:smoke", "--topology=host:8")
  assert found[0] == code
  assert word in found[1]


@pytest.mark.parametrize(
  ("words", "remedy"),
  [
    ([], "name a config file"),
    (["--config=configs/mlp/digits.py"], "name the hardware"),
    (["--config=configs/mlp/digits.py", "--topology=v5e"], "as in v5e:2x4"),
    (["--config=configs/mlp/digits.py", "--topology=host:8", "--topologie=x"], "no such flag"),
    (["--config=configs/mlp/digits.py", "--topology=host:8", "--slices=two"], "give a number"),
    (["--config=configs/mlp/digits.py", "--topology=host:8", "--experiment=mpl"], "nearest is mlp"),
    (["--config=configs/mlp/digits.py", "--topology=host:8", "--largest-batch=maybe"], "yes compiles"),
    (["--config=configs/mlp/digits.py", "--topology=host:8", "--config.train.batch_size=12"], "8 devices must divide"),
    (["--config=configs/mlp/mnist.py", "--topology=host:8", "--config.data.data_dir=/none"], "no such folder"),
    (["--config=configs/mlp/digits.py", "--topology=host:8", "--workdir=/dev/null/run"], "cannot be written"),
  ],
)
def test_bad_input_is_one_paragraph(words, remedy, capsys):
  code, out, err = run(capsys, *words)
  assert (code, out) == (2, "")
  assert err.startswith("error: ")
  assert remedy in err
  assert err.count("\n") == 1


def test_a_workdir_elsewhere_is_not_checked(capsys):
  words = ("--config=configs/naive_bayes/digits.py:smoke", "--topology=host:8", "--workdir=gs://bucket/run")
  code, out, _ = run(capsys, *words, "--largest-batch=no")
  assert code == 0
  assert "not checked" in out


@pytest.mark.parametrize("mode", ["pmap", "fsdp"])
def test_the_preflighted_update_is_the_one_that_the_loop_runs(mode, config, monkeypatch, tmp_path):
  """The very object; and, compiled from shapes or called with arrays, it is the same program."""
  with config.unlocked():
    config.run.parallelism = mode
  built = program.build(tiny.experiment, config, topology_lib.devices(HOST))
  made, called = [], []
  compile_update = parallel.Plan.compile_update

  def noting(plan, function, state):
    made.append(compile_update(plan, function, state))
    return made[-1]

  monkeypatch.setattr(parallel.Plan, "compile_update", noting)
  update, arguments = built.executor.abstract_update()
  program.compile_update(built, HOST)
  shapes = update.lower(*arguments).as_text()
  original = type(built.executor)._compiled_update

  def watching(executor, state):
    called.append(original(executor, state))
    return called[-1]

  monkeypatch.setattr(type(built.executor), "_compiled_update", watching)
  run_directory = rundir.RunDirectory(tmp_path / "run")
  state = loop.train(built.executor, built.settings, run_directory).state
  run_directory.close()
  assert len(made) == 1
  assert len(called) == built.settings.total_steps
  assert all(function is update for function in called)
  ((_, _, feed, count),) = built.executor.feeds(built.experiment.train_data, [(0, 1)], 1)
  resident = built.executor.resident(built.experiment.train_data)
  assert update.lower(state, resident, count, feed).as_text() == shapes


def test_the_largest_batch_comes_of_two_compilations(config):
  request = preflight.Request("tiny", "tiny.py", {}, "", HOST)
  found = flight.preflight(tiny.experiment, config, request)
  assert found.batches is not None
  small, large = found.batches.needs
  assert (small, large) == (16, flight.LEAST_SHARE * 8)
  memory, (need, more) = found.chip.memory, found.batches.needs.values()
  expected = small + (memory - need) * (large - small) / (more - need)
  assert found.batches.largest == pytest.approx(expected, rel=1e-3)
  assert found.batches.largest % 8 == 0
  assert f"{found.batches.largest:,}" in found.text()


def test_code_that_asks_for_the_platform_is_told_what_is_compiled_for(config):
  assert target.platform() == "cpu"
  with program.for_platform("tpu", config):
    assert target.platform() == "tpu"
  assert target.platform() == "cpu"


def test_a_survey_keeps_what_it_has_and_makes_a_table(tmp_path, monkeypatch, capsys):
  commands = []

  def answer(command, **_):
    commands.append(command)
    file = next(word.removeprefix("--json=") for word in command if word.startswith("--json="))
    if "configs/a/b.py" in "".join(command):
      row = {"parallelism": "pmap", "batch": "batch 8", "fits": True, "needed": 2**21, "traffic": 2**20}
      row |= {"operations": {"products": {"float32": 1e6}, "other": 1e6}, "collectives": [{"bytes": 2048.0}]}
      row |= {"roofline": {"compute": 1e-6, "seconds": 1e-6, "bound_by": "compute"}, "slices": ""}
      with open(file, "w") as out:
        json.dump(row, out)
      return subprocess.CompletedProcess(command, 0, "", "")
    return subprocess.CompletedProcess(command, 2, "", "error: no data")

  monkeypatch.setattr(subprocess, "run", answer)
  output = tmp_path / "found.jsonl"
  monkeypatch.setattr(sys, "argv", ["survey", "configs/a/b.py", "configs/a/c.py", f"--output={output}"])
  assert survey.main() == 1
  printed = capsys.readouterr().out
  assert "| `a/b` | host:8 | pmap, 8 | 2 | 2 | 1 | 2 | 1 | compute |" in printed
  assert "| `a/c` | host:8 | exit 2: error: no data |" in printed
  assert survey.main() == 1
  assert len(commands) == 2, "what was done is not done again"


def command(*words):
  """A preflight in a process of its own, which no fake device has touched."""
  environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "NPROC", "JAX_PLATFORMS")}
  words = [sys.executable, "-m", "launch.preflight", *words, "--largest-batch=no"]
  return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


@needs_libtpu
@pytest.mark.slow
@pytest.mark.parametrize("words", [["--topology=v5e:2x4"], ["--topology=v5e:2x4", "--slices=2"]])
def test_a_tpu_that_is_not_there(words):
  done = command("--config=configs/vae/digits.py:smoke", "--config.train.batch_size=16", *words)
  assert (done.returncode, done.stderr) == (0, "")
  assert "TPU v5e" in done.stdout
  assert "bound by" in done.stdout
  assert ("between slices" in done.stdout) == ("--slices=2" in words)


@needs_libtpu
@pytest.mark.slow
def test_a_tpu_too_small_in_the_compiler_s_words():
  features = "--config.model.features=(100000,100000)"
  done = command("--config=configs/mlp/digits.py:smoke", features, "--topology=v5e:2x4")
  assert (done.returncode, done.stderr) == (preflight.EXIT_DOES_NOT_FIT, "")
  assert "RESOURCE_EXHAUSTED" in done.stdout


@needs_cuda
@pytest.mark.slow
def test_gpus_that_are_not_there():
  done = command("--config=configs/vae/digits.py:smoke", "--topology=h100:8")
  assert (done.returncode, done.stderr) == (0, "")
  assert "NVIDIA H100" in done.stdout
  assert "all-reduce" in done.stdout


def test_extras_are_named_as_the_errors_name_them():
  import tomllib

  extras = tomllib.loads((cli.ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
  assert {"tpu-preflight", "gpu-preflight"} <= set(extras)
  lock = (cli.ROOT / "requirements.lock").read_text()
  assert "libtpu" not in lock
  assert "jax-cuda" not in lock


def test_numbers_are_shown_in_units():
  assert [flight.amount(n) for n in (12, 2048, 3 * 2**20, 1.5 * 2**30)] == ["12 B", "2.00 KiB", "3.00 MiB", "1.50 GiB"]
  assert [flight.duration(s) for s in (2, 3e-3, 4e-6)] == ["2 s", "3 ms", "4 us"]
  assert [flight.count(n) for n in (5, 2e3, 3e9, 4e12)] == ["5 FLOP", "2 kFLOP", "3 GFLOP", "4 TFLOP"]
  assert np.isclose(hlo.size_of("f32[2,2]"), 16)
