"""What is read from a compiled program's text, against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from launch.preflight import hlo

# Eight devices.  A loop of five turns all-gathers over rows of four; after it an all-reduce over all, a reduce-scatter
# over columns of two, and, as between slices of TPUs, a transfer through the hosts.
TEXT = """HloModule jit_step, is_scheduled=true, num_partitions=8

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}

%fused (p.0: f32[1000,64], p.1: s32[]) -> f32[16,64] {
  %p.0 = f32[1000,64]{1,0} parameter(0)
  %p.1 = s32[] parameter(1)
  ROOT %rows = f32[16,64]{1,0} dynamic-slice(%p.0, %p.1, %p.1), dynamic_slice_sizes={16,64}
}

%body (t: (s32[], bf16[16,64])) -> (s32[], bf16[16,64]) {
  %t = (s32[], bf16[16,64]{1,0:T(8,128)}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %x = bf16[16,64]{1,0:T(8,128)} get-tuple-element(%t), index=1
  %g = bf16[64,64]{1,0:T(8,128)} all-gather(%x), channel_id=1, replica_groups=[2,4]<=[8], dimensions={0}
  %half = bf16[16,64]{1,0:T(8,128)S(1)} slice(%g), slice={[0:16], [0:64]}
  ROOT %out = (s32[], bf16[16,64]{1,0:T(8,128)}) tuple(%i, %half)
}

%condition (t.1: (s32[], bf16[16,64])) -> pred[] {
  %t.1 = (s32[], bf16[16,64]{1,0}) parameter(0)
  ROOT %go = pred[] constant(true)
}

ENTRY %main (w: f32[1000,64], n: s32[], s: (s32[], bf16[16,64])) -> f32[16,64] {
  %w = f32[1000,64]{1,0} parameter(0)
  %n = s32[] parameter(1)
  %s = (s32[], bf16[16,64]{1,0}) parameter(2)
  %loop = (s32[], bf16[16,64]{1,0}) while(%s), condition=%condition, body=%body, TRIPS
  %r = f32[16,64]{1,0} fusion(%w, %n), kind=kLoop, calls=%fused
  %all = (f32[16,64]{1,0}, f32[16,64]{1,0}) all-reduce(%r, %r), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%sum
  %one = f32[16,64]{1,0} get-tuple-element(%all), index=0
  %scattered = f32[8,64]{1,0} reduce-scatter(%one), replica_groups=[4,2]<=[2,4]T(1,0), dimensions={0}, to_apply=%sum
  %token = token[] after-all()
  %send = (f32[8,64]{1,0}, u32[], token[]) send(%scattered, %token), SENDS
  ROOT %result = f32[16,64]{1,0} copy(%one)
}
"""
TEXT = TEXT.replace("TRIPS", 'backend_config={"known_trip_count":{"n":"5"}}')
TEXT = TEXT.replace("SENDS", 'is_host_transfer=true, frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}')


def test_collectives_of_a_known_program():
  found = hlo.collectives(hlo.parse(TEXT), slices=[0, 0, 0, 0, 1, 1, 1, 1])
  assert found == [
    hlo.Collective("all-gather", 5, 5 * 16 * 64 * 2, 4, False),
    hlo.Collective("all-reduce", 1, 8 * 64 * 4, 2, True),  # the transfer between slices
    hlo.Collective("all-reduce", 1, 2 * 16 * 64 * 4, 8, True),
    hlo.Collective("reduce-scatter", 1, 16 * 64 * 4, 2, True),  # pairs (0, 4), (1, 5), ...
  ]


def test_one_slice_has_no_network():
  assert [c.network for c in hlo.collectives(hlo.parse(TEXT))] == [False, True, False, False]


def test_traffic_of_a_known_program():
  loop = 5 * ((16 + 64) * 64 * 2)  # the gather reads and writes; its slice lies in vector memory
  rows, n = 16 * 64 * 4, 4
  fusion = (rows + n) + rows  # of a thousand rows sixteen are read
  reduced, scattered, copied = 4 * rows, rows + rows / 2, 2 * rows
  assert hlo.traffic(hlo.parse(TEXT)) == loop + fusion + reduced + scattered + copied


@pytest.mark.parametrize(
  ("kind", "size"),
  [
    ("f32[]", 4),
    ("bf16[3,5]{1,0:T(8,128)(2,1)}", 30),
    ("pred[7]", 7),
    ("s4[6]", 3),
    ("f8e4m3fn[10]", 10),
    ("(f32[2]{0}, u64[3]{0}, token[])", 32),
    ("f32[<=8,2]", 64),
    ("c64[2]", 16),
  ],
)
def test_bytes_of_types(kind, size):
  assert hlo.size_of(kind) == size


def test_vector_memory_is_not_main_memory():
  assert hlo.size_of("(f32[2]{0:T(128)S(1)}, f32[3]{0})", 0) == 12


def test_collectives_of_a_compiled_pmap():
  """A sum over devices in each of five turns, and one after them."""

  def step(w, x):
    turn = lambda carry, _: (jax.lax.psum(jnp.tanh(carry @ w), "d"), None)
    return jax.lax.pmax(jax.lax.scan(turn, x, None, length=5)[0].sum(), "d")

  step = jax.pmap(step, axis_name="d", in_axes=(None, 0), out_axes=None)
  shape = lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.float32)
  text = step.lower(shape(64, 64), shape(8, 4, 64)).compile().as_text()
  assert hlo.collectives(hlo.parse(text)) == [hlo.Collective("all-reduce", 6, 5 * 4 * 64 * 4 + 4, 8, False)]


def test_collectives_of_a_compiled_sharded_product():
  """Rows of a matrix on four devices, wanted whole: gathered, once."""
  mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:4]), ("d",))
  rows, whole = (NamedSharding(mesh, PartitionSpec(*spec)) for spec in (("d",), ()))
  x = jax.ShapeDtypeStruct((64, 32), jnp.float32, sharding=rows)
  text = jax.jit(lambda x: x + 1, out_shardings=whole).lower(x).compile().as_text()
  assert hlo.collectives(hlo.parse(text)) == [hlo.Collective("all-gather", 1, 16 * 32 * 4, 4, False)]


def test_traffic_of_a_compiled_product():
  """Two matrices read and one written; as much in every turn of a loop, and at most a copy of what it carries."""
  n, turns = 256, 8
  w = jax.ShapeDtypeStruct((n, n), jnp.float32)
  once = jax.jit(lambda a, b: a @ b).lower(w, w).compile()
  assert hlo.traffic(hlo.parse(once.as_text())) == 3 * n * n * 4 == once.cost_analysis()["bytes accessed"]
  looped = jax.jit(lambda a, b: jax.lax.scan(lambda c, _: (c @ b, None), a, None, length=turns)[0])
  found = hlo.traffic(hlo.parse(looped.lower(w, w).compile().as_text()))
  assert turns * 3 * n * n * 4 <= found <= (5 * turns + 2) * n * n * 4 + 1000
