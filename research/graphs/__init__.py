"""Graphs as padded trees of arrays: sums over neighbours, cleaning of edges, sampling of neighbours and non-edges."""
