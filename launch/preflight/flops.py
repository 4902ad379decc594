"""Operations of a traced program, counted before any compiler has touched it.

A compiler's own count (XLA's `cost_analysis`) holds the body of a loop once, however often it runs, and XLA for GPUs
has none at all.  Here loops of known length count in full, and every platform's program is counted alike.
"""

import dataclasses
import math
from typing import Any

# Of [..., n, n] matrices: operations by n, from Golub & Van Loan, Matrix Computations.
_FACTORISATIONS = {"cholesky": lambda n: n**3 / 3, "lu": lambda n: 2 * n**3 / 3, "eigh": lambda n: 9 * n**3}
# What moves or names numbers and computes none.
_FREE = frozenset(
  {
    *("broadcast_in_dim", "reshape", "transpose", "squeeze", "expand_dims", "slice", "dynamic_slice", "split", "rev"),
    *("dynamic_update_slice", "gather", "concatenate", "pad", "select_n", "copy", "copy_p", "device_put", "iota"),
    *("convert_element_type", "bitcast_convert_type", "stop_gradient", "optimization_barrier", "create_token"),
    *("random_wrap", "random_unwrap", "random_bits", "random_fold_in", "random_seed", "random_split", "threefry2x32"),
    *("psum", "psum_invariant", "all_gather", "all_to_all", "ppermute", "axis_index", "platform_index"),
  }
)


@dataclasses.dataclass
class Operations:
  """Counted operations.

  Attributes:
    products: of matrix products and convolutions, by the type of their operands; a multiply and an add are two.
    other: one for each number that any other primitive computes.
    unknown_loops: while loops whose length depends on the data, counted as if they ran once.
  """

  products: dict[str, float] = dataclasses.field(default_factory=dict)
  other: float = 0.0
  unknown_loops: int = 0

  @property
  def total(self) -> float:
    return sum(self.products.values()) + self.other

  def multiply(self, dtype: str, number: float) -> None:
    """Counts operations of a product of this type."""
    self.products[dtype] = self.products.get(dtype, 0.0) + number

  def add(self, more: "Operations", times: float = 1) -> None:
    for dtype, number in more.products.items():
      self.multiply(dtype, times * number)
    self.other += times * more.other
    self.unknown_loops += more.unknown_loops


def count(jaxpr: Any, platform: str) -> Operations:
  """Operations of a jaxpr over all devices: what is inside a mapped step counts once for each.

  Args:
    jaxpr: as `jax.make_jaxpr(f)(*args)` returns it.
    platform: whose branch of `lax.platform_dependent` is counted: `cpu`, `gpu` or `tpu`.
  """
  operations = Operations()
  for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
    _count_equation(operations, equation, platform)
  return operations


def _count_equation(operations: Operations, equation: Any, platform: str) -> None:
  name, parameters = equation.primitive.name, equation.params
  output = sum(math.prod(variable.aval.shape) for variable in equation.outvars if hasattr(variable.aval, "shape"))
  if name == "dot_general":
    operations.multiply(_type(equation), _dot(equation))
  elif name == "conv_general_dilated":
    operations.multiply(_type(equation), _convolution(equation))
  elif name in _FACTORISATIONS:
    shape = equation.invars[0].aval.shape
    operations.other += math.prod(shape[:-2]) * _FACTORISATIONS[name](shape[-1])
  elif name == "triangular_solve":
    operations.multiply(_type(equation), output * equation.invars[0].aval.shape[-1])
  elif name == "cond":
    _count_branches(operations, parameters, platform)
  elif name == "scan":
    operations.add(count(parameters["jaxpr"], platform), parameters["length"])
  elif name == "while":
    operations.add(count(parameters["body_jaxpr"], platform))
    operations.unknown_loops += 1
  elif name == "shard_map":
    operations.add(count(parameters["jaxpr"], platform), parameters["mesh"].size)
  elif name.startswith("scatter"):
    operations.other += math.prod(equation.invars[2].aval.shape)
  elif name.startswith(("reduce", "arg", "cum")):
    operations.other += sum(math.prod(v.aval.shape) for v in equation.invars if hasattr(v.aval, "shape"))
  elif inner := [value for value in parameters.values() if _is_program(value)]:
    for program in inner[:1]:  # of custom derivatives the first is the function itself
      operations.add(count(program, platform))
  elif name == "sort":
    operations.other += output * max(1, math.log2(max(2, equation.invars[0].aval.shape[parameters["dimension"]])))
  elif name not in _FREE:
    operations.other += output


def _count_branches(total: Operations, parameters: Any, platform: str) -> None:
  """The platform's branch of a choice between platforms; of one that the data make, the longest."""
  branches, platforms = parameters["branches"], parameters.get("branches_platforms")
  names = {"gpu": ("gpu", "cuda", "rocm")}.get(platform, (platform,))
  if platforms:
    index = next(i for i, of in enumerate(platforms) if of is None or any(name in of for name in names))
    total.add(count(branches[index], platform))
  else:
    total.add(max((count(branch, platform) for branch in branches), key=lambda operations: operations.total))


def _is_program(value: Any) -> bool:
  return hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns")


def _type(equation: Any) -> str:
  return str(equation.invars[0].aval.dtype)


def _dot(equation: Any) -> float:
  """2 · batch · m · n · k."""
  (contracting, _), _ = equation.params["dimension_numbers"]
  shape = equation.invars[0].aval.shape
  return 2.0 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[i] for i in contracting)


def _convolution(equation: Any) -> float:
  """2 · outputs · (products that an output sums), those with padding and with dilation's zeros left out."""
  numbers, parameters = equation.params["dimension_numbers"], equation.params
  inputs, kernel = (equation.invars[i].aval.shape for i in (0, 1))
  output = equation.outvars[0].aval.shape
  total = 2.0 * output[numbers.out_spec[0]] * output[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
  for i in range(len(parameters["padding"])):
    total *= _real_taps(
      inputs[numbers.lhs_spec[2 + i]],
      kernel[numbers.rhs_spec[2 + i]],
      output[numbers.out_spec[2 + i]],
      parameters["window_strides"][i],
      parameters["padding"][i][0],
      parameters["lhs_dilation"][i],
      parameters["rhs_dilation"][i],
    )
  return total


def _real_taps(size: int, taps: int, outputs: int, stride: int, low: int, in_dilation: int, tap_dilation: int) -> int:
  """Pairs (output, tap) along one dimension that meet a real input."""
  pairs = 0
  for output in range(outputs):
    for tap in range(taps):
      place = output * stride - low + tap * tap_dilation
      pairs += place % in_dilation == 0 and 0 <= place // in_dilation < size
  return pairs
