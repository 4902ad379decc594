"""Several seeds of one config, trained side by side on one device; each ends in a folder of its own, like any run.

python -m experiments.seeds --seeds=0,1,2 --experiment=experiments.mlp --workdir=runs/mlp/digits --config=...

`launch.sweep` calls it.  The folder of seed s is WORKDIR/seed<s>.  Exit codes are those of a run; 4 where the family
does not allow it, with the reason, before anything is trained.
"""

import contextlib
import importlib
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import ml_collections

from experiments.command import cli, session
from research.data import remembered
from research.errors import UserError
from research.evaluation import figures
from research.training import compilation, loop, parallel, rundir, side_by_side
from research.training.preemption import Preemption

EXIT_NOT_ALLOWED = 4


def run(
  build: Callable,
  name: str,
  config_name: str,
  configs: Mapping[int, ml_collections.ConfigDict],
  workdir: str,
  overrides: Mapping[str, str],
) -> int:
  """Trains and reports; the exit code.

  Args:
    build: `build(config) -> Experiment`.
    name, config_name, overrides: for `result.json`, as `session.run`.
    configs: by seed, each with its seed.
    workdir: the folder of the runs' folders.
  """
  first = next(iter(configs.values()))
  function = lambda preemption: _run(build, name, config_name, configs, pathlib.Path(workdir), overrides, preemption)
  return session.guarded(function, workdir, first.train.precision)


def _run(build, name, config_name, configs, workdir, overrides, preemption: Preemption) -> int:
  start, clock = time.perf_counter(), compilation.CompileClock()
  seeds, first = list(configs), next(iter(configs.values()))
  session.check_claims(first)
  compilation.use_persistent_cache(first.run.compilation_cache)
  memories = [remembered.Memory() for _ in configs]
  experiments = [session.built(build, config, memory, "train") for config, memory in zip(configs.values(), memories)]
  reason = _alone(first) or side_by_side.why_not(experiments)
  if reason:
    print(f"not side by side: {reason}", file=sys.stderr)
    return EXIT_NOT_ALLOWED
  settings = session.settings_of(first, experiments[0].train_data)
  plan = parallel.plan("jit")
  with contextlib.ExitStack() as stack:
    open_run = lambda path: stack.enter_context(contextlib.closing(rundir.RunDirectory(path)))
    whole = open_run(workdir / f"seeds{'-'.join(map(str, seeds))}")
    whole.claim({**first.to_dict(), "seed": seeds}, "seeds.json")
    runs = [open_run(workdir / f"seed{seed}") for seed in seeds]
    for directory, config, memory in zip(runs, configs.values(), memories):
      directory.claim(config.to_dict())
      memory.save(directory.path)
    together = loop.executor(side_by_side.experiment(experiments, seeds), settings, plan)
    trained = loop.train(together, settings, whole, preemption)
    preemption.nothing_to_save(trained.step)
    rows = rundir.read_rows(whole.path / "metrics.jsonl")
    share = trained.wall_seconds / len(seeds)
    for i, (seed, directory) in enumerate(zip(seeds, runs)):
      _write_rows(directory, rows, seed)
      begun = {"experiment": name, "config": config_name, "overrides": {**overrides, "seed": str(seed)}}
      how = {"parallelism": plan.mode, "mode": "train", "seed": seed, "side_by_side": seeds}
      launch = {**rundir.environment(), **begun, **how}
      directory.write_json("run.json", {"launches": [{**launch, "wall_seconds": share}]})
      state = side_by_side.member(trained.state, i)
      metrics, paths = session.final(loop.executor(experiments[i], settings, plan), configs[seed], directory, state)
      conclusion = {**begun, "seed": seed, "step": trained.step, "metrics": metrics}
      session.conclude(directory, conclusion, launch, paths, share, clock.seconds / len(seeds))
    curves = figures.curves_over_seeds({"": [rundir.read_rows(run.path / "metrics.jsonl") for run in runs]})
    print(f"figure {figures.save(curves, whole.path / 'figures' / 'curves.png')}")
    session.check_claims(first, metrics)  # the same names for all seeds
  print(f"{len(seeds)} seeds side by side in {time.perf_counter() - start:.0f} s")
  return 0


def _alone(config: ml_collections.ConfigDict) -> str:
  """What a config asks of each run by itself; empty where nothing."""
  if config.run.report_best:
    return "each seed has a best checkpoint of its own"
  return "config.init_from is where one run begins" if config.get("init_from") else ""


def _write_rows(directory: rundir.RunDirectory, rows: Sequence[Mapping], seed: int) -> None:
  """One seed's rows of the common ones, as its own `metrics.jsonl`."""
  suffix = f"/{seed}"
  with contextlib.closing(rundir.MetricsWriter(directory, resume_step=0)) as writer:
    for row in rows:
      values = {name.removesuffix(suffix): value for name, value in row.items() if name.endswith(suffix)}
      if row["kind"] == "timing":
        values = {name: value for name, value in row.items() if name not in ("step", "kind")}
      writer.write(row["step"], row["kind"], values)


def main(argv: Sequence[str]) -> int:
  """The command line; the exit code."""
  own = {"seeds": "", "experiment": ""}
  rest = []
  for word in argv:
    flag, _, value = word.removeprefix("--").partition("=")
    if flag in own:
      own[flag] = value
    else:
      rest.append(word)
  try:
    flags, overrides = cli.parse(rest, "")
    if not all((flags["config"], flags["workdir"], *own.values())):
      raise UserError("flags", " ".join(argv), "give --seeds, --experiment, --workdir and --config.")
    build = importlib.import_module(own["experiment"]).experiment
    seeds = [int(seed) for seed in own["seeds"].split(",")]
    configs = {seed: cli.load_config(flags["config"], {**overrides, "seed": str(seed)}) for seed in seeds}
    name = own["experiment"].rpartition(".")[2]
    return run(build, name, flags["config"], configs, flags["workdir"], overrides)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.EXIT_USER_ERROR
