"""Revisions of the webhooks."""
