"""Normalizing flows: densities by a change of variables, exact to compute and to sample from."""
