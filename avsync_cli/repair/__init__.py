"""Putting sound where it belongs: the plan, the copy, and the check of the result."""
