"""Kubernetes: a JobSet rendered from a config, for TPU and GPU node pools of GKE."""
