"""Compiles the real update of an experiment for hardware that is not there: see `__main__`."""
