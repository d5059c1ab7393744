"""The words: every text that a model reads, one template a file."""
