"""What experiments share: data splits, learners from a config, measures and predictions."""
