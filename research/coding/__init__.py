"""Lossless compression by the probabilities of a model."""
