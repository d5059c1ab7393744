"""Tests of the ways to get a skill."""
