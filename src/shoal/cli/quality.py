"""Verbs about the state of the data: quality, noise."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
