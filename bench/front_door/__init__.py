"""Measurements of the front door: sources, restatement, people, quality, forgetting, sizing."""
