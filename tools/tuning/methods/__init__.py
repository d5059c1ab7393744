"""The ways to get a skill, one file each, behind the protocol of `base.py`."""
