"""Factors of vectors and of ratings."""
