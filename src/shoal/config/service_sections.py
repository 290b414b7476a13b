"""The stages of `shop.toml` for what runs: adjustment, the service, and where states are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from shoal.adjust.settings import AdjustSettings
from shoal.config.setting import FILE_NAME, bad
from shoal.domain.errors import UsageError
from shoal.domain.limits import ALLOWED_LIMITS, ServiceLimits

#: Names of schemas that PostgreSQL takes without quotation marks and does not keep for itself.
_NAMESPACE: Final = re.compile(r"(?!pg_|information_schema$)[a-z][a-z0-9_]{0,62}")


#: Of each setting of `[adjust]`: its least and its greatest value, and what is allowed, in words.
_ADJUST: Final = MappingProxyType(
    {
        "cadence_days": (1.0, 366.0, "1 to 366 days"),
        "challenger_days": (1.0, 3660.0, "1 to 3660 days"),
        "half_life_days": (1.0, inf, "at least 1 day, or inf: nothing is forgotten"),
        "relabel_budget": (0.0, 1.0, "a share from 0 to 1"),
        "relabel_price": (0.0, 10.0, "0 to 10"),
        "refit_growth": (0.0, 1e6, "0 (never) or more"),
        "false_alarms": (0.001, 52.0, "0.001 to 52 a year"),
        "retrain_growth": (0.0, 1e6, "0 (never) or more"),
        "retrain_days": (0.0, 36600.0, "0 (never) or more days"),
        "largest": (0.01, 1.0, "a share from 0.01 to 1"),
        "larger_by": (0.0, 1.0, "a share from 0 to 1"),
        "psi": (0.0, 1e6, "0 or more"),
        "moved": (0.0, 1.0, "a share from 0 to 1"),
        "assigned": (0.0, 1.0, "a share from 0 to 1"),
        "canary_share": (0.0, 0.5, "a share from 0 to 0.5"),
        "canary_days": (1.0, 366.0, "1 to 366 days"),
    }
)


@dataclass(frozen=True)
class AdjustConfig(AdjustSettings):
    """How segments adjust; see `shoal.adjust.settings.AdjustSettings` for each dial."""

    def __post_init__(self) -> None:
        for name, (least, greatest, allowed) in _ADJUST.items():
            value = getattr(self, name)
            if not least <= value <= greatest:
                raise bad(f"adjust.{name}", value, allowed)


@dataclass(frozen=True)
class CollectionConfig:
    """What the service takes from outside, and how much of it at once.

    `in_flight_mib`: of bodies that are not answered yet, all together. `import_mib`: of one bulk
    import once it is expanded. `line_kib`: of one of its lines, or of a file that is followed.
    Imports and followed files wait while more than `waiting_calls` are in the inbox.
    """

    in_flight_mib: int = 64
    import_mib: int = 1024
    line_kib: int = 1024
    waiting_calls: int = 1_000_000

    def __post_init__(self) -> None:
        for name, least in (("in_flight_mib", 8), ("import_mib", 1), ("line_kib", 1),
                            ("waiting_calls", 1)):  # fmt: skip
            if getattr(self, name) < least:
                allowed = f"a whole number of at least {least}"
                raise bad(f"collection.{name}", getattr(self, name), allowed)

    @property
    def in_flight_bytes(self) -> int:
        return self.in_flight_mib << 20

    @property
    def import_bytes(self) -> int:
        return self.import_mib << 20

    @property
    def line_bytes(self) -> int:
        return self.line_kib << 10


@dataclass(frozen=True)
class ServiceConfig(ServiceLimits):
    """What `shoal serve` takes from one client; see `shoal.domain.limits.ServiceLimits`."""

    def __post_init__(self) -> None:
        for name, (least, greatest, allowed) in ALLOWED_LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= greatest:
                raise bad(f"service.{name}", value, allowed)


@dataclass(frozen=True)
class WebhookConfig:
    """Where webhooks may go beside the public internet.

    `trusted_hosts`, names or addresses as they stand in a webhook's address, may be reached by
    plain http and may be inside the own network.
    """

    trusted_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.trusted_hosts:
            if not name or name != name.lower() or set(name) & set("/@[] "):
                allowed = "hosts in small letters, without a port, such as hooks.my-shop.internal"
                raise bad("webhooks.trusted_hosts", name, allowed)


@dataclass(frozen=True)
class StoreConfig:
    """Where customers' states, memberships, keys and the inbox are kept.

    With a `namespace` it is that schema of the PostgreSQL database at `url`, or at the address that
    the environment gives; the password stands in the environment alone. Without: SQLite.
    """

    namespace: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if self.namespace and not _NAMESPACE.fullmatch(self.namespace):
            allowed = "a small letter, then up to 62 of a-z, 0-9 and _; not beginning with pg_"
            raise bad("store.namespace", self.namespace, allowed)
        if not self.url:
            return
        try:
            parts = urlsplit(self.url)
            scheme, secret = parts.scheme, parts.password is not None or "password" in parts.query
        except ValueError:
            scheme, secret = "", False
        if scheme != "postgresql" or secret:  # what was received may be a secret: it is not shown
            raise UsageError(
                "bad_setting",
                "setting store.url holds a password" if secret
                else "setting store.url is no address of a PostgreSQL database",
                where=FILE_NAME,
                hint="Allowed: postgresql://USER@HOST:PORT/DATABASE; the password goes into "
                "SHOAL_STORE_URL, or into the file that SHOAL_STORE_PASSWORD_FILE names.",
            )  # fmt: skip
        if not self.namespace:
            raise bad("store.namespace", "", "with store.url, the name of the shop's schema")
