"""The hands: what the agent can do to files, tables and documents."""
