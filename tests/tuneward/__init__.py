"""Tests of tuneward."""
