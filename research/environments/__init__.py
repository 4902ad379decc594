"""Worlds that an agent acts in: one small protocol, pure functions of a key, a state and an action."""
