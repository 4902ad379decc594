"""gymnax' CartPole under random actions, beside `experiments.benchmark rl/cartpole_random_*`, a JSON line each.

  python -m tests.peers.gymnax_steps

The same rows, steps and number of tries; both are one compiled scan whose result is read at its end.
"""

import json
import os
import time
from importlib import metadata

import gymnax
import jax

from research.training import host


def steps_per_second(rows: int, steps: int) -> float:
  """Environment steps a second of so many environments side by side, best of 3."""
  env, params = gymnax.make("CartPole-v1")
  reset, step = (
    jax.vmap(function, in_axes) for function, in_axes in ((env.reset, (0, None)), (env.step, (0, 0, 0, None)))
  )

  @jax.jit
  def run(state, key):
    def move(state, key):
      act, go = jax.random.split(key)
      actions = jax.random.randint(act, (rows,), 0, 2)
      observation, state, reward, *_ = step(jax.random.split(go, rows), state, actions, params)
      return state, (observation, reward)

    state, (observations, rewards) = jax.lax.scan(move, state, jax.random.split(key, steps))
    return state, rewards.sum(), observations[-1]

  _, state = reset(jax.random.split(jax.random.key(0), rows), params)
  state, *_ = jax.block_until_ready(run(state, jax.random.key(1)))
  times = []
  for i in range(3):
    start = time.perf_counter()
    state, *_ = jax.block_until_ready(run(state, jax.random.key(i)))
    times.append(time.perf_counter() - start)
  return rows * steps / min(times)


def main() -> None:
  """The three sizes of ours."""
  host.tune_cpu()
  for rows in (1, 16, 4096):
    steps = max(20_000 // rows, 50)
    detail = {"rows": rows, "steps": steps, "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    row = {"workload": f"rl/cartpole_random_{rows}", "peer": f"gymnax {metadata.version('gymnax')}"}
    row |= {"metric": "steps_per_second", "value": steps_per_second(rows, steps), "unit": "steps/s", "detail": detail}
    print(json.dumps(row))


if __name__ == "__main__":
  main()
