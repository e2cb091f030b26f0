"""The gallery of verdicts: `run.py` plays it."""
