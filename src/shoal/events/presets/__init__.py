"""Declarations of known sources, one TOML file each (the format is in `shoal.events.mapping`)."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from shoal.domain.errors import UsageError
from shoal.events.mapping import SourceMapping
from shoal.events.mapping_file import parse


def names() -> list[str]:
    """Names of all presets, sorted.

    >>> "online-retail" in names()
    True
    """
    entries = files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries
                  if entry.name.endswith(".toml"))  # fmt: skip


@lru_cache(maxsize=32)
def load(name: str) -> SourceMapping:
    """The mapping of a preset.

    Raises:
        UsageError: `unknown_preset`.

    >>> load("cdnow").value_event
    'purchase'
    """
    if name not in names():
        raise UsageError(
            "unknown_preset",
            f"there is no preset {name!r}",
            hint=f"Presets: {', '.join(names())}. Or write a mapping file and give --mapping.",
        )
    text = files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return parse(text, file=f"preset {name}", default_name=name)
