"""Benches: `python -m bench.<name>` from the repository's root."""
