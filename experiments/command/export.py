"""`--mode=export`: a run's weights, its program and its card in a folder that needs nothing of this library.

`export/model.safetensors` holds the weights, by name; `config.json` the config; `README.md` is a model card made from
`result.json`; `predict.stablehlo` is the family's function, compiled for CPU, GPU and TPU by `jax.export`, its weights
the first argument, a graph that it is of in it; `names.json` says what its numbers stand for (classes, a tokenizer):

  program = jax.export.deserialize(pathlib.Path("predict.stablehlo").read_bytes())
  outputs = program.call(safetensors.numpy.load_file("model.safetensors"), {"inputs": inputs})
"""

import importlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from experiments.command import card
from research.errors import UserError
from research.training.experiment import Experiment, Program

FOLDER = "export"
PLATFORMS = ("cpu", "cuda", "tpu")
_OF_TRAINING = {
  "step",
  "key",
  "skipped",
  "opt_state",
  "critic_opt_state",
}  # fields of states that nothing is predicted by


def export(folder: pathlib.Path, experiment: Experiment, state: Any) -> list[pathlib.Path]:
  """Writes the run in `folder` to `folder/export`; the files written.

  Args:
    folder: of the run, with `config.json` and `result.json`.
    experiment: of the run; one without a `program` leaves weights and card alone.
    state: whole, on one device.

  Raises:
    UserError: safetensors is not installed, or the run has no result yet.
  """
  try:
    importlib.import_module("flatbuffers")  # which jax.export serialises by
    from safetensors.numpy import save_file
  except ImportError as error:
    raise UserError("--mode", "export", f"it takes {error.name}: pip install 'genera[export]'.") from error
  if not (folder / "result.json").exists():
    raise UserError("--mode", "export", "the run has no result.json, which the card is made from: let it finish first.")
  result, target = json.loads((folder / "result.json").read_text()), folder / FOLDER
  target.mkdir(exist_ok=True)
  weights, files = leaves(state), {}
  program = experiment.program
  if program is not None:
    weights, exported, names = compiled(program, state, weights)
    files["predict.stablehlo"] = exported.serialize()
    files["README.md"] = card.text(result, weights, inputs_of(program, names), outputs_of(exported)).encode()
    if program.names:
      files["names.json"] = json.dumps(program.names).encode()
  else:
    files["README.md"] = card.text(result, weights, {}, "").encode()
  files["config.json"] = (folder / "config.json").read_bytes()
  for name, contents in files.items():
    (target / name).write_bytes(contents)
  # safetensors 0.8.0 writes the bytes of an array in Fortran order as if they were in C's.
  save_file({name: np.ascontiguousarray(array) for name, array in weights.items()}, target / "model.safetensors")
  return sorted(target.iterdir())


def leaves(state: Any) -> dict[str, np.ndarray]:
  """The arrays of a state by their paths, `params/Dense_0/kernel`, those of training alone left out."""
  named = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
  kept = {name: leaf for name, leaf in named.items() if name.partition("/")[0] not in _OF_TRAINING}
  return {name: np.asarray(leaf) for name, leaf in kept.items() if not _is_key(leaf)}


def compiled(
  program: Program, state: Any, weights: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], jax_export.Exported, list[str]]:
  """The weights that a program reads, it itself as a function of `(weights, inputs)`, and the inputs that it reads."""
  paths, structure = jax.tree_util.tree_flatten_with_path(state)

  def function(weights, inputs):
    given = jax.tree_util.tree_unflatten(structure, [weights.get(_name(path), leaf) for path, leaf in paths])

    def one(inputs, index):
      """A row by itself: families count rows, and only jax knows how to count to a symbol."""
      read = {name: inputs.get(name, jnp.zeros(shape, dtype))[None] for name, (shape, dtype) in like.items()}
      return jax.tree.map(lambda x: x[0], program.call(given, read, index[None]))

    return jax.vmap(one)(inputs, jnp.arange(next(iter(inputs.values())).shape[0]))

  like = {name: (array.shape[1:], array.dtype) for name, array in program.inputs.items()}
  of_weights = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in weights.items()}
  of_inputs = lambda rows: {name: jax.ShapeDtypeStruct((rows, *shape), dtype) for name, (shape, dtype) in like.items()}
  # What is not read is left out only where shapes are numbers.
  known = jax_export.export(jax.jit(function))(of_weights, of_inputs(2)).module_kept_var_idx
  names = [*sorted(of_weights), *sorted(like)]
  weights = {names[i]: weights[names[i]] for i in known if i < len(of_weights)}
  inputs = [names[i] for i in known if i >= len(of_weights)]
  (rows,) = jax_export.symbolic_shape("rows")
  arguments = {name: of_weights[name] for name in weights}, {name: of_inputs(rows)[name] for name in inputs}
  return weights, jax_export.export(jax.jit(function), platforms=PLATFORMS)(*arguments), inputs


def inputs_of(program: Program, names: list[str]) -> dict[str, str]:
  """Type and shape of each input, in words."""
  axes = lambda name: ", ".join(map(str, ("rows", *program.inputs[name].shape[1:])))
  return {name: f"{program.inputs[name].dtype} [{axes(name)}]" for name in names}


def outputs_of(exported: jax_export.Exported) -> str:
  """Type and shape of each output, in words."""
  tree = jax.tree_util.tree_unflatten(exported.out_tree, [str(aval) for aval in exported.out_avals])
  return json.dumps(tree) if isinstance(tree, dict) else str(tree)


def _name(path: Any) -> str:
  names = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
  return "/".join(names)


def _is_key(leaf: Any) -> bool:
  return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
