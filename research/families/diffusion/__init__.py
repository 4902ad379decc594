"""Diffusion models: a Gaussian process in time, a network that predicts what noise hides, samplers, likelihoods; and
of tokens (`absorbing`)."""
