"""The door: the public names of Tuneward, loaded on first use."""
