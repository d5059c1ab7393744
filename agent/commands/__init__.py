"""The commands, one file for each noun; their functions import what they need when they run."""
