"""Cloud TPU slices: created, given the code, run on, recreated when they are preempted, deleted; by gcloud."""
