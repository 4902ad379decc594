"""Several runs beside one another, in one HTML file: `python -m experiments.compare`."""
