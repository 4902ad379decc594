"""Genera's library: pure functions and Flax modules; no flags, no config look-ups."""
