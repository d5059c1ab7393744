"""The mind: goals, the loop, checks, permissions, and the commands that people type."""
