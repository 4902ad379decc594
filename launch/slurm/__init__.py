"""Slurm: a batch script rendered from a config, submitted, requeued when it is preempted."""
