"""Tests of the voice: engine, cache, grammar, networks, chat, catalogue."""
