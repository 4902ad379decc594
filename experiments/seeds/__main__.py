"""The command; see `experiments.command.seeds`."""

import sys

from experiments.command.seeds import main

if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
