"""Learning by temporal difference: agents whose environments, replay and target network are in the state."""
