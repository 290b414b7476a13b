"""Verbs about data from outside the event log: covariates, items."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
