"""How much the service takes from one client; `[service]` of shop.toml."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class ServiceLimits:
    """Limits of the service; a rate of 0 is no limit.

    Args:
        key_per_second, key_burst: requests of one key to the API, and how many may come at once.
        refused_per_second, refused_burst: requests without a valid key, of one client address.
        collect_per_second, collect_burst: requests of one source to collection.
        audit_days: entries of the audit log are kept so long; 0: for ever. A yearly review sees the
            whole year, and what names who worked here does not stay without end.
        body_bytes: of a request to the API; collection has a limit of its own.
    """

    key_per_second: float = 200.0
    key_burst: int = 400
    refused_per_second: float = 10.0
    refused_burst: int = 50
    collect_per_second: float = 0.0
    collect_burst: int = 1000
    body_bytes: int = 1 << 20
    audit_days: int = 400


#: Of each limit: its least and its greatest value, and what is allowed, in words.
ALLOWED_LIMITS: Final = MappingProxyType(
    {
        "key_per_second": (0.0, 1e6, "0 (no limit) to 1,000,000"),
        "key_burst": (1, 1_000_000, "1 to 1,000,000 requests"),
        "refused_per_second": (0.0, 1e6, "0 (no limit) to 1,000,000"),
        "refused_burst": (1, 1_000_000, "1 to 1,000,000 requests"),
        "collect_per_second": (0.0, 1e6, "0 (no limit) to 1,000,000"),
        "collect_burst": (1, 1_000_000, "1 to 1,000,000 requests"),
        "audit_days": (0, 36_500, "0 (for ever) to 36,500 days"),
        "body_bytes": (1024, 1 << 30, "1024 to 1073741824 bytes"),
    }
)
