"""Programs that run elsewhere are no modules of these tests."""

from __future__ import annotations

collect_ignore = ["drivers"]
