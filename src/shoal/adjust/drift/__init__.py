"""Drift: what changed by more than chance, what only broke, and whether segments are worse."""
