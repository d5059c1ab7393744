"""The notebook: what the agent keeps between runs."""
