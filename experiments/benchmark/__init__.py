"""Times training steps and classical fits: `python -m experiments.benchmark`; one file a group of workloads."""
