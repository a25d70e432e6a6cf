"""Measuring: protocols, metrics and calibration."""
