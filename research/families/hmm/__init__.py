"""Hidden Markov models: exact inference on a chain, emission models, and the ways to learn both (Rabiner 1989)."""
