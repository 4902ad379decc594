"""Text as tokens: characters, words, and subwords."""
