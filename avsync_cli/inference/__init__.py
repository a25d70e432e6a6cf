"""Deciding: evidence from the model, windows, scans and verdicts."""
