"""Families with their functions compiled: run operation by operation, each operation is a program to compile."""

import jax


def compiled(family, *names: str):
  """The family (a named tuple of functions), those of these names compiled."""
  return family._replace(**{name: jax.jit(getattr(family, name)) for name in names})
