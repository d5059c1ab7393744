"""The voice: local and remote language models behind one chat interface."""
