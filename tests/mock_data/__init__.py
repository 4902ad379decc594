"""Small data sets, written to disk as the real ones are: `prepared` by TFDS, and `raw`, one file a set."""

from tests.mock_data.prepared import encode, write_all, write_prepared
from tests.mock_data.raw import write as write_raw

__all__ = ["encode", "write_all", "write_prepared", "write_raw"]
