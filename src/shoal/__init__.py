"""Shoal: customer segments that move with the customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.domain.version import __version__

if TYPE_CHECKING:
    from shoal.shop import Shop, init, migrate, open, restore, verify
    from shoal.shop.likeness import simulate_like
    from shoal.workflows.simulate import simulate

__all__ = [
    "Shop", "__version__", "init", "migrate", "open", "restore", "simulate", "simulate_like",
    "verify",
]  # fmt: skip


def __getattr__(name: str) -> object:
    # Imported on first use, so that `import shoal` and the command line stay quick.
    if name in {"Shop", "init", "migrate", "open", "restore", "verify"}:
        from shoal import shop

        return getattr(shop, name)
    if name == "simulate":
        from shoal.workflows.simulate import simulate

        return simulate
    if name == "simulate_like":
        from shoal.shop.likeness import simulate_like

        return simulate_like
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")
