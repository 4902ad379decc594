"""Several seeds of one config, side by side on one device: `python -m experiments.seeds`."""
