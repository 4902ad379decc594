"""Generation, one way for all that predicts a next thing: a carry, a step, and what chooses from the logits."""
