"""Every experiment and config: what it reproduces and what it costs; `python -m experiments [name...]`."""

import sys

from experiments.command import listing

if __name__ == "__main__":
  sys.exit(listing.main())
