"""Revisions of the state store."""
