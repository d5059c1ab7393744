"""Tests of tuning: data in, skills out."""
