"""What a config's `model` says of a Transformer's layers."""

import dataclasses

import ml_collections

from research.networks.attention import Style


def style(model: ml_collections.ConfigDict, dtype) -> Style:
  """The fields of `Style` that the section has."""
  names = {field.name for field in dataclasses.fields(Style)} - {"dtype"}
  return Style(**{name: value for name, value in model.items() if name in names}, dtype=dtype)
