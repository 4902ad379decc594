"""Errors that a user can act on: which field, what value, what to do about it."""


class UserError(ValueError):
  """Bad input, found before any compute is spent.

  Attributes:
    field: what is wrong: a config field, a flag, a file.
    value: the value that it has.
    remedy: what to do about it, a sentence.
  """

  def __init__(self, field: str, value, remedy: str):
    super().__init__(f"{field} = {value!r}: {remedy}")
    self.field, self.value, self.remedy = field, value, remedy
