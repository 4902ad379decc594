"""Discrete graphical models: Bayesian networks and Markov random fields, exact and approximate.

`elimination` is exact, where the graph is thin; `belief_propagation`, `mean_field` and `gibbs` are not, and go
anywhere.  All take evidence in one form, `factors.evidence`.
"""
