"""The shop's configuration: one small dataclass a stage, read from `shop.toml`.

A flag wins over the file, the file over the defaults here. The environment holds addresses and
secrets only (`SHOAL_DATA`). Unknown keys are errors.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin, get_type_hints

from shoal.domain.errors import InputError, OperationError, UsageError
from shoal.domain.money import CURRENCIES
from shoal.domain.time import Zone
from shoal.events.noise import RULES as NOISE_RULES

FILE_NAME: Final = "shop.toml"
CONFIG_VERSION: Final = 1


@dataclass(frozen=True)
class ShopConfig:
    """What the shop is. `buckets` and `time_zone` are fixed once events are stored.

    Where several sources tell of the same orders (a tracking client and the shop system), those of
    `order_sources` alone count as money; empty: every source does.
    """

    version: int = CONFIG_VERSION
    time_zone: str = "UTC"
    currency: str = ""
    value_event: str = ""
    order_sources: tuple[str, ...] = ()
    buckets: int = 16
    tail_events: int = 32

    def __post_init__(self) -> None:
        Zone(self.time_zone)
        if self.currency and self.currency not in CURRENCIES:
            raise _bad("shop.currency", self.currency, "an ISO 4217 code such as EUR")
        from shoal.domain.kinds import KINDS

        if self.value_event and self.value_event not in KINDS:
            raise _bad("shop.value_event", self.value_event, "one of " + ", ".join(KINDS))
        if not 1 <= self.buckets <= 4096:
            raise _bad("shop.buckets", self.buckets, "a whole number from 1 to 4096")
        if not 1 <= self.tail_events <= 1024:
            raise _bad("shop.tail_events", self.tail_events, "a whole number from 1 to 1024")


@dataclass(frozen=True)
class FeatureConfig:
    """Which traits of profile events become features."""

    traits: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentConfig:
    """How segments are formed. `k` 0 means: choose between `k_min` and `k_max`."""

    k: int = 0
    k_min: int = 4
    k_max: int = 12
    min_events: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 0 or self.k == 1:
            raise _bad("segment.k", self.k, "0 (choose) or a whole number of at least 2")
        if not 2 <= self.k_min <= self.k_max:
            raise _bad(
                "segment.k_min", f"{self.k_min} with k_max {self.k_max}", "2 <= k_min <= k_max"
            )
        if self.min_events < 1:
            raise _bad("segment.min_events", self.min_events, "a whole number of at least 1")


@dataclass(frozen=True)
class IdentityConfig:
    """How anonymous visitors become customers.

    An anonymous id on which more than `shared_by` customers signed in belongs to nobody (a till, a
    library's computer): what happens on it without a sign-in is nobody's.
    """

    shared_by: int = 20

    def __post_init__(self) -> None:
        if self.shared_by < 1:
            raise _bad("identity.shared_by", self.shared_by, "a whole number of at least 1")


@dataclass(frozen=True)
class NoiseConfig:
    """Which events are no customer's behaviour. `rules` are those switched on.

    `agents` are parts of agent strings beside the known ones, `addresses` single addresses or
    networks (10.0.0.0/8). A visitor with more than `rate_events` browsing events within an hour is
    too fast; so is one with `run_events` browsing events in a row, each within `think_seconds` of
    the one before.
    """

    rules: tuple[str, ...] = tuple(NOISE_RULES)
    agents: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    rate_events: int = 600
    run_events: int = 60
    think_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name in self.rules:
            if name not in NOISE_RULES:
                raise _bad("noise.rules", name, "of " + ", ".join(NOISE_RULES))
        for address in self.addresses:
            try:
                ip_network(address, strict=False)
            except ValueError as error:
                raise _bad(
                    "noise.addresses", address, "an address or network such as 10.0.0.0/8"
                ) from error
        if self.rate_events < 1:
            raise _bad("noise.rate_events", self.rate_events, "a whole number of at least 1")
        if self.run_events < 2:
            raise _bad("noise.run_events", self.run_events, "a whole number of at least 2")
        if self.think_seconds <= 0:
            raise _bad("noise.think_seconds", self.think_seconds, "more than 0 seconds")


@dataclass(frozen=True)
class Config:
    """All stages side by side."""

    shop: ShopConfig = field(default_factory=ShopConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)


def laptop() -> Config:
    """The recipe of one machine: everything embedded, the defaults of every stage."""
    return Config()


#: A recipe is a function that returns a whole configuration; flags win over it.
RECIPES: Final = MappingProxyType({"laptop": laptop})


def recipe(name: str) -> Config:
    """The configuration of a recipe.

    Raises:
        UsageError: `unknown_recipe`, naming the known ones.
    """
    if name not in RECIPES:
        raise UsageError(
            "unknown_recipe",
            f"no recipe is called {name!r}",
            hint=f"Recipes: {', '.join(RECIPES)}.",
        )
    return RECIPES[name]()


def _bad(key: str, received: object, allowed: str) -> UsageError:
    return UsageError(
        "bad_setting",
        f"setting {key} has the value {received!r}",
        where=FILE_NAME,
        hint=f"Allowed: {allowed}.",
    )


def _coerce(key: str, expected: Any, value: Any) -> Any:
    """The value in the field's type; a wrong type is an error that names the key."""
    if get_origin(expected) is tuple:
        inner = get_args(expected)[0]
        if isinstance(value, list) and all(isinstance(entry, inner) for entry in value):
            return tuple(value)
        raise _bad(key, value, f"a list of {inner.__name__}")
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, expected) and not (expected is int and isinstance(value, bool)):
        return value
    raise _bad(key, value, f"a value of type {expected.__name__}")


def _section(kind: type, name: str, table: Any) -> Any:
    if not isinstance(table, dict):
        raise _bad(name, table, f"a table [{name}]")
    hints = get_type_hints(kind)
    known = [entry.name for entry in fields(kind)]
    for key in table:
        if key not in known:
            raise UsageError(
                "unknown_setting",
                f"unknown setting {name}.{key}",
                where=FILE_NAME,
                hint=f"Settings of [{name}]: {', '.join(known)}.",
            )
    return kind(
        **{key: _coerce(f"{name}.{key}", hints[key], value) for key, value in table.items()}
    )


def parse(text: str) -> Config:
    """The configuration of a TOML text.

    Raises:
        UsageError: `bad_setting` or `unknown_setting`, naming the key, what it held and what is
            allowed.

    >>> parse('[shop]\\ntime_zone = "Europe/London"').shop.time_zone
    'Europe/London'
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            "bad_setting", f"not valid TOML: {error}", where=FILE_NAME, hint="Mend the file."
        ) from error
    hints = get_type_hints(Config)
    for name in document:
        if name not in hints:
            raise UsageError(
                "unknown_setting",
                f"unknown section [{name}]",
                where=FILE_NAME,
                hint=f"Sections: {', '.join(f'[{known}]' for known in hints)}.",
            )
    return Config(**{name: _section(hints[name], name, part) for name, part in document.items()})


def read(shop: Path) -> Config:
    """The configuration of a shop directory.

    Raises:
        UsageError: `not_a_shop`, or a bad setting.
        InputError: `input_unreadable`, the file is no UTF-8 text.
    """
    path = shop / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            "not_a_shop",
            f"{shop} is not a shop: it has no {FILE_NAME}",
            where=str(shop),
            hint=f"Create one with: shoal init {shop}",
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            "input_unreadable", f"{path} is not UTF-8 text", where=str(path), hint="Mend the file."
        ) from error
    except PermissionError as error:
        raise OperationError(
            "no_permission", f"no permission to read {path}", where=str(path)
        ) from error
    return parse(text)


def render(config: Config) -> str:
    """The `shop.toml` of a configuration, with a comment a setting."""
    shop, features, segment = config.shop, config.features, config.segment
    identity, noise = config.identity, config.noise
    traits = _listed(features.traits)
    return f"""\
# A Shoal shop. Flags win over this file. See docs/concepts/shop.md.

[shop]
version = {shop.version}
# IANA name; hours, weekdays and windows of days are those of this zone. Fixed at init.
time_zone = "{shop.time_zone}"
# ISO 4217; empty: the currency of the first events that carry one.
currency = "{shop.currency}"
# The kind of event that counts as buying; empty: what the first source declares.
value_event = "{shop.value_event}"
# Sources that tell of orders, for example ["shopify-orders"]; purchases and refunds of the others
# are then the same orders told once more and do not count. Empty: every source counts.
order_sources = [{_listed(shop.order_sources)}]
# Partitions of the event table, by hash of the customer. Fixed at init.
buckets = {shop.buckets}
# How many last events a customer's state keeps whole.
tail_events = {shop.tail_events}

[features]
# Traits of profile events that become features, for example ["plan", "age"].
traits = [{traits}]

[segment]
# 0: choose k between k_min and k_max.
k = {segment.k}
k_min = {segment.k_min}
k_max = {segment.k_max}
# Customers with fewer events are too little known to place.
min_events = {segment.min_events}
seed = {segment.seed}

[identity]
# An anonymous id on which more customers than this signed in is shared: it belongs to nobody.
shared_by = {identity.shared_by}

[noise]
# Rules that are on; what they catch is stored and counted, and left out of features.
rules = [{_listed(noise.rules)}]
# Parts of agent strings of robots, beside the known ones; own addresses and networks.
agents = [{_listed(noise.agents)}]
addresses = [{_listed(noise.addresses)}]
# Browsing events of one visitor within an hour beyond which no person clicks.
rate_events = {noise.rate_events}
# So many browsing events in a row, each within so many seconds of the one before.
run_events = {noise.run_events}
think_seconds = {noise.think_seconds}
"""


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
