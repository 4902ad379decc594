"""Two-dimensional convolution in the form that its shape and platform run fastest: the one place that chooses.

A convolution and its two gradients can each be computed by the compiler's own convolution or as matrix products over
shifted copies of the image.  On accelerators the compiler's is always right.  On CPU it depends on the shape: with one
input channel the compiler's forward pass is several times slower, its input gradient of a strided convolution
convolves an image that is three quarters zeros, and for a 1x1 kernel there is nothing to do but a matrix product.  The
rules are measured (2 cores, jax 0.10.2, with the settings of `training/host.py`) and stand in `forward_form`,
`weight_form` and `input_form`.

The choice between platforms is made when the program is lowered, so compiling for a TPU on a CPU host gets TPU's form.
`conv` defines its own reverse derivative; it can be differentiated again in reverse, not in forward mode (`jax.jvp`).
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from research.errors import UserError

_LAYOUT = ("NHWC", "HWIO", "NHWC")
Pads = tuple[tuple[int, int], tuple[int, int]]


def conv(
  x: Float[Array, "batch height width in"],
  kernel: Float[Array, "kh kw in out"],
  strides: int | Sequence[int] = 1,
  padding: str | int | Sequence[tuple[int, int]] = "SAME",
) -> Float[Array, "batch height_out width_out out"]:
  """Cross-correlation of every image with every filter, as `lax.conv_general_dilated` computes it.

  Args:
    x: images.
    kernel: filters.
    strides: of both axes, or one of each.
    padding: 'SAME', 'VALID', so many zeros on every side, or (before, after) for each axis.

  Raises:
    UserError: images smaller than a filter, with their padding.
  """
  strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], strides, padding)
  elif isinstance(padding, int):
    padding = ((padding, padding), (padding, padding))
  (top, bottom), (left, right) = padding
  check_size((x.shape[1] + top + bottom, x.shape[2] + left + right), kernel.shape[:2])
  return _conv(x, kernel, strides, ((int(top), int(bottom)), (int(left), int(right))))


def dilated(
  x: Float[Array, "batch height width in"], kernel: Float[Array, "kh kw in out"], dilation: int
) -> Float[Array, "batch height_out width_out out"]:
  """Cross-correlation without padding of filters with places `dilation` pixels apart: a product over shifted copies.

  Raises:
    UserError: images smaller than a filter.
  """
  reach = [dilation * (side - 1) for side in kernel.shape[:2]]
  check_size(x.shape[1:3], [r + 1 for r in reach])
  height, width = x.shape[1] - reach[0], x.shape[2] - reach[1]
  tops, lefts = (range(0, r + 1, dilation) for r in reach)
  shifted = [x[:, top : top + height, left : left + width] for top in tops for left in lefts]
  return jnp.concatenate(shifted, -1) @ kernel.reshape(-1, kernel.shape[-1])


def check_size(size: Sequence[int], window: Sequence[int]) -> None:
  """Raises UserError where an image of so many rows and columns is smaller than the window of a layer."""
  if size[0] < window[0] or size[1] < window[1]:
    remedy = (
      f"a layer sees {window[0]}x{window[1]} pixels: give larger images, or a network that halves them less often."
    )
    raise UserError("size of the images, inside the network", f"{size[0]}x{size[1]}", remedy)


def conv_transpose(
  x: Float[Array, "batch height width in"],
  kernel: Float[Array, "kh kw in out"],
  strides: int | Sequence[int] = 2,
  padding: int = 1,
) -> Float[Array, "batch height_out width_out out"]:
  """Transposed convolution: the gradient of a strided one to its images, as PyTorch's `ConvTranspose2d`.

  Each input pixel adds its multiple of the kernel to the output, `strides` apart; `padding` is cut off on every side.
  The output has `(height - 1) * stride + kh - 2 * padding` rows.  Kernel 4, stride 2 and padding 1 double the image,
  and every output pixel gets as many terms as any other, so there is no checkerboard from the arithmetic.

  Args:
    x: images.
    kernel: filters.
    strides: of both axes, or one of each.
    padding: rows and columns cut off on every side.
  """
  strides = (strides, strides) if isinstance(strides, int) else tuple(strides)
  sizes = [(n - 1) * s + k - 2 * padding for n, s, k in zip(x.shape[1:3], strides, kernel.shape[:2])]
  pads = ((padding, padding), (padding, padding))
  return _conv_transpose(x, kernel.swapaxes(2, 3), strides, pads, tuple(sizes))


def forward_form(kernel_shape: Sequence[int]) -> str:
  """How CPU computes the convolution: 'native', or 'shifts' (a product for each place of the kernel, added up)."""
  # 28x28x1, batch 128: 3x3 -> 32: 2.5 against 5.0 ms; 5x5 -> 6: 0.7 against 9.1 ms.
  return "shifts" if kernel_shape[2] == 1 else "native"


def weight_form(kernel_shape: Sequence[int]) -> str:
  """How CPU computes the gradient to the weights: 'native', or 'rows' (a matrix product a kernel row)."""
  # 56x56x64 -> 256, 1x1: 39 against 65 ms.  3x3 is native's: 26x26x32 -> 64: 25 against 43 ms.
  return "rows" if max(kernel_shape[:2]) == 1 else "native"


def input_form(kernel_shape: Sequence[int], strides: tuple[int, int]) -> str:
  """How CPU computes the gradient to the images, and a transposed convolution.

  'native'; 'shifts' (one matrix product, then added shifts); or 'phases' (for each place of an output pixel between the
  input's, a convolution by the weights that reach it), which does no more arithmetic and moves less memory.
  """
  height, width, channels, _ = kernel_shape
  # 32x32x16 -> 32 with stride 2: 3.8 against 13.6 ms.  32x32x3 -> 64: 5 against 22 ms.
  if channels <= 4 or height * width == 1:
    return "shifts"
  if max(strides) == 1:
    return "native"
  # 14x14x64 -> 128, 4x4, CPU time: 12 ms against 16 (shifts) and 12, but 28 of wall time, (native).
  return "phases" if height % strides[0] == width % strides[1] == 0 else "shifts"


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x: Array, kernel: Array, strides: tuple[int, int], pads: Pads) -> Array:
  form = {"native": _native, "shifts": _shifts_forward}[forward_form(kernel.shape)]
  return _on_cpu(form, _native, strides, pads)(x, kernel)


def _forward(x, kernel, strides, pads):
  return _conv(x, kernel, strides, pads), (x, kernel)


def _backward(strides, pads, saved, cotangent):
  """Both gradients; under `jit` one that nobody uses, such as the first layer's to its images, is never computed."""
  x, kernel = saved
  to_input = _to_input(kernel.shape, strides)
  to_kernel = _native_to_kernel if weight_form(kernel.shape) == "native" else _rows_to_kernel
  return (
    _on_cpu(to_input, _native_to_input, strides, pads)(x, kernel, cotangent),
    _on_cpu(to_kernel, _native_to_kernel, strides, pads)(x, kernel, cotangent),
  )


_conv.defvjp(_forward, _backward)


def _to_input(kernel_shape, strides: tuple[int, int]):
  """The gradient to the images, in the form that CPU runs fastest."""
  forms = {"native": _native_to_input, "shifts": _shifts_to_input, "phases": _phases_to_input}
  return forms[input_form(kernel_shape, strides)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv_transpose(x: Array, kernel: Array, strides: tuple[int, int], pads: Pads, sizes: tuple[int, int]) -> Array:
  """The gradient to images of `sizes` of the convolution by `kernel` [kh, kw, out, in], whose cotangent is `x`."""
  images = jnp.zeros((x.shape[0], *sizes, kernel.shape[2]), x.dtype)
  return _on_cpu(_to_input(kernel.shape, strides), _native_to_input, strides, pads)(images, kernel, x)


def _forward_transpose(x, kernel, strides, pads, sizes):
  return _conv_transpose(x, kernel, strides, pads, sizes), (x, kernel)


def _backward_transpose(strides, pads, sizes, saved, cotangent):
  """It is linear in both, so its gradients are the convolution, and that convolution's gradient to the weights."""
  x, kernel = saved
  return _conv(cotangent, kernel, strides, pads), _native_to_kernel(cotangent, kernel, x, strides=strides, pads=pads)


_conv_transpose.defvjp(_forward_transpose, _backward_transpose)


def _on_cpu(cpu, elsewhere, strides, pads):
  """`cpu` where the program is lowered for CPU, `elsewhere` on accelerators."""
  run = functools.partial(cpu, strides=strides, pads=pads)
  if cpu is elsewhere:
    return run
  return functools.partial(
    lax.platform_dependent, cpu=run, default=functools.partial(elsewhere, strides=strides, pads=pads)
  )


def _native(x, kernel, *, strides, pads):
  return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_LAYOUT)


def _shifts_forward(x, kernel, *, strides, pads):
  """Sum over places (i, j) of the kernel of the image shifted by (i, j), times the weights there."""
  (kh, kw), (stride_h, stride_w) = kernel.shape[:2], strides
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  rows, columns = (x.shape[1] - kh) // stride_h + 1, (x.shape[2] - kw) // stride_w + 1
  shifted = lambda i, j: x[
    :, i : i + stride_h * (rows - 1) + 1 : stride_h, j : j + stride_w * (columns - 1) + 1 : stride_w
  ]
  return sum(shifted(i, j) @ kernel[i, j] for i in range(kh) for j in range(kw))


def _native_to_input(x, kernel, cotangent, *, strides, pads):
  return jax.vjp(lambda x: _native(x, kernel, strides=strides, pads=pads), x)[1](cotangent)[0]


def _native_to_kernel(x, kernel, cotangent, *, strides, pads):
  return jax.vjp(lambda kernel: _native(x, kernel, strides=strides, pads=pads), kernel)[1](cotangent)[0]


def _rows_to_kernel(x, kernel, cotangent, *, strides, pads):
  """dK[i, j] = sum over output pixels p of x[p * stride + (i, j)] (outer) dy[p], one product for every kernel row i.

  All j of a row are laid side by side in the channels, so the copy is kw times the image and not kh * kw times.
  """
  kh, kw, channels, features = kernel.shape
  (stride_h, stride_w), (_, rows, columns, _) = strides, cotangent.shape
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  wide = jnp.concatenate([x[:, :, j : j + stride_w * (columns - 1) + 1 : stride_w] for j in range(kw)], -1)
  cotangent = cotangent.reshape(-1, features)
  products = [
    lax.dot_general(
      wide[:, i : i + stride_h * (rows - 1) + 1 : stride_h].reshape(-1, kw * channels),
      cotangent,
      (((0,), (0,)), ((), ())),
      preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
    )
    for i in range(kh)
  ]
  return jnp.stack(products).reshape(kernel.shape).astype(kernel.dtype)


def _shifts_to_input(x, kernel, cotangent, *, strides, pads):
  """Each output pixel's cotangent times the kernel, added where the kernel lay: no product with inserted zeros."""
  kh, kw, channels, features = kernel.shape
  batch, rows, columns, _ = cotangent.shape
  height, width = (x.shape[1 + axis] + sum(pads[axis]) for axis in (0, 1))
  spread = (cotangent @ kernel.reshape(-1, features).T).reshape(batch, rows, columns, kh, kw, channels)
  zero = jnp.zeros((), cotangent.dtype)

  def placed(i, j):
    after_h = height - i - ((rows - 1) * strides[0] + 1)
    after_w = width - j - ((columns - 1) * strides[1] + 1)
    config = ((0, 0, 0), (i, after_h, strides[0] - 1), (j, after_w, strides[1] - 1), (0, 0, 0))
    return lax.pad(spread[:, :, :, i, j], zero, config)

  total = sum(placed(i, j) for i in range(kh) for j in range(kw))
  (top, _), (left, _) = pads
  return total[:, top : top + x.shape[1], left : left + x.shape[2]].astype(x.dtype)


def _phases_to_input(x, kernel, cotangent, *, strides, pads):
  """For each phase of an image's pixels modulo the stride, a convolution by every stride-th of the weights.

  With output row i of the padded image, `dx[i] = sum over t of dy[(i - a) / s - t] w[s t + a]` where `a = i mod s`.
  """

  def plan(axis, phase):
    """Which weights reach the pixels of a phase, and how the cotangent is padded to give them in order."""
    stride, (before, _) = strides[axis], pads[axis]
    first, taps = (phase + before) % stride, kernel.shape[axis] // stride
    low = taps - 1 - (phase + before) // stride
    high = -(-x.shape[1 + axis] // stride) + taps - 1 - cotangent.shape[1 + axis] - low
    return slice(first, None, stride), (low, high)

  def rows(i):
    places, pad = plan(0, i)
    columns = []
    for j in range(strides[1]):
      across, pad_across = plan(1, j)
      weights = kernel[places, across][::-1, ::-1].swapaxes(2, 3)
      columns.append(_native(cotangent, weights, strides=(1, 1), pads=(pad, pad_across)))
    return jnp.stack(columns, 3)

  total = jnp.stack([rows(i) for i in range(strides[0])], 2)  # [batch, rows, phase, columns, phase, channel]
  batch, height, _, width, _, channels = total.shape
  total = total.reshape(batch, height * strides[0], width * strides[1], channels)
  return total[:, : x.shape[1], : x.shape[2]].astype(x.dtype)
