"""The stages of `shop.toml` that say what the shop is and how its customers are read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from shoal.config.setting import bad
from shoal.domain.money import CURRENCIES
from shoal.domain.quality import CHECKS
from shoal.domain.time import Zone
from shoal.domain.traits import PROTECTED
from shoal.events.noise import RULES as NOISE_RULES
from shoal.events.personal import ADDRESSES, ALL, Personal
from shoal.model.config import BACKBONES
from shoal.model.config import RECIPES as MODEL_RECIPES

if TYPE_CHECKING:
    pass


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
            raise bad("shop.currency", self.currency, "an ISO 4217 code such as EUR")
        from shoal.domain.kinds import KINDS

        if self.value_event and self.value_event not in KINDS:
            raise bad("shop.value_event", self.value_event, "one of " + ", ".join(KINDS))
        if not 1 <= self.buckets <= 4096:
            raise bad("shop.buckets", self.buckets, "a whole number from 1 to 4096")
        if not 1 <= self.tail_events <= 1024:
            raise bad("shop.tail_events", self.tail_events, "a whole number from 1 to 1024")


#: Most days for which versions can be said to be kept.
KEEP_DAYS: Final = 36_500


@dataclass(frozen=True)
class TableConfig:
    """How long the event table keeps what only earlier versions need.

    A version can be read for `keep_days` days after it was replaced; 0: for ever.
    """

    keep_days: int = 7

    def __post_init__(self) -> None:
        if not 0 <= self.keep_days <= KEEP_DAYS:
            raise bad("table.keep_days", self.keep_days, f"0 (for ever) to {KEEP_DAYS:,} days")


@dataclass(frozen=True)
class FeatureConfig:
    """Which traits of profile events become features, and which covariates.

    A covariate is `table.column`, `table.*` for all columns of a table, or `*` for all tables.
    """

    traits: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentConfig:
    """How segments are formed. `k` 0 means: choose between `k_min` and `k_max`.

    A customer changes to another segment only if its weight exceeds the own one's by more than
    `switch_margin`. Nothing is learned from `protected` traits and features.
    """

    k: int = 0
    k_min: int = 4
    k_max: int = 12
    min_events: int = 3
    switch_margin: float = 0.1
    protected: tuple[str, ...] = PROTECTED
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 0 or self.k == 1:
            raise bad("segment.k", self.k, "0 (choose) or a whole number of at least 2")
        if not 2 <= self.k_min <= self.k_max:
            raise bad(
                "segment.k_min", f"{self.k_min} with k_max {self.k_max}", "2 <= k_min <= k_max"
            )
        if self.min_events < 1:
            raise bad("segment.min_events", self.min_events, "a whole number of at least 1")
        if not 0 <= self.switch_margin < 1:
            raise bad("segment.switch_margin", self.switch_margin, "0 <= switch_margin < 1")


@dataclass(frozen=True)
class BehaviourConfig:
    """How the behaviour model is trained: a recipe, and what differs from it.

    `text` is `ngrams`, or the name or path of a sentence encoder. `backbone` empty and `minutes` 0
    are the recipe's.
    """

    recipe: str = "laptop"
    backbone: str = ""
    text: str = "ngrams"
    minutes: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.recipe not in MODEL_RECIPES:
            raise bad("model.recipe", self.recipe, "one of " + ", ".join(MODEL_RECIPES))
        if self.backbone and self.backbone not in BACKBONES:
            raise bad("model.backbone", self.backbone, "one of " + ", ".join(BACKBONES))
        if not self.text:
            raise bad("model.text", self.text, "ngrams, or a sentence encoder's name or path")
        if not 0 <= self.minutes < float("inf"):
            raise bad("model.minutes", self.minutes, "0 (the recipe's) or more")
        if self.seed < 0:
            raise bad("model.seed", self.seed, "a whole number from 0 on")


@dataclass(frozen=True)
class IdentityConfig:
    """How anonymous visitors become customers.

    An anonymous id on which more than `shared_by` customers signed in belongs to nobody (a till, a
    library's computer): what happens on it without a sign-in is nobody's.
    """

    shared_by: int = 20

    def __post_init__(self) -> None:
        if self.shared_by < 1:
            raise bad("identity.shared_by", self.shared_by, "a whole number of at least 1")


@dataclass(frozen=True)
class NoiseConfig:
    """Which events are no customer's behaviour. `rules` are those switched on.

    `agents` are parts of agent strings beside the known ones, `addresses` single addresses or
    networks (10.0.0.0/8). A visitor who browses in more than `rate_events` seconds of an hour is
    too fast; so is one with `run_events` browsing events in a row, each within `think_seconds` of
    the one before (`shoal.features.pace` says how exactly).
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
                raise bad("noise.rules", name, "of " + ", ".join(NOISE_RULES))
        for address in self.addresses:
            try:
                ip_network(address, strict=False)
            except ValueError as error:
                raise bad(
                    "noise.addresses", address, "an address or network such as 10.0.0.0/8"
                ) from error
        if not 1 <= self.rate_events < 3600:
            raise bad("noise.rate_events", self.rate_events, "a whole number from 1 to 3599")
        if self.run_events < 2:
            raise bad("noise.run_events", self.run_events, "a whole number of at least 2")
        if self.think_seconds <= 0:
            raise bad("noise.think_seconds", self.think_seconds, "more than 0 seconds")


@dataclass(frozen=True)
class PrivacyConfig:
    """What is hidden before it is written; keys stand in the environment alone.

    With `pseudonymise` ids of customers and visitors are keyed hashes, and so are the values of
    traits and properties named in `ids`. Values of those in `personal` are encrypted.
    """

    pseudonymise: bool = False
    ids: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("ids", "personal"):
            for one in getattr(self, name):
                if not one.strip() or one != one.strip() or not one.isprintable():
                    raise bad(f"privacy.{name}", one, "names such as email or address.city")
        if self.ids and not self.pseudonymise:
            raise bad("privacy.ids", list(self.ids), "with pseudonymise = true alone")

    @property
    def on(self) -> bool:
        """Whether anything is hidden."""
        return self.pseudonymise or bool(self.personal)

    @property
    def hides(self) -> str:
        """Which ids become pseudonyms: all, addresses where these are personal, or none."""
        if self.pseudonymise:
            return ALL
        return ADDRESSES if Personal.of(self.personal).covers_either("email") else ""


@dataclass(frozen=True)
class QualityConfig:
    """From when on `shoal quality` warns, and from when on it calls an error.

    `off` are checks left out. Shares are of the events, orders or rows that a check asks; what is
    below its warning is a note. `outlier_z` counts robust standard deviations on a log scale,
    `outlier_money` is the share of a source's money that outliers may hold. `false_alarms` is how
    often a shop without fault may raise an alarm about gaps or about changes of rate; a change
    below `change_factor` is none, one beyond `change_error` that lasts is an error. A source silent
    for `gap_error_hours` against its habit is an error; one silent for `ended_days` has ended, and
    a change that has lasted so long is an error no more.
    """

    off: tuple[str, ...] = ()
    missing_warning: float = 0.02
    missing_error: float = 0.2
    unknown_warning: float = 0.6
    unknown_error: float = 0.95
    quarantined_warning: float = 0.01
    quarantined_error: float = 0.2
    conflicting_warning: float = 0.001
    conflicting_error: float = 0.05
    orders_warning: float = 0.01
    orders_error: float = 0.2
    future_error: float = 0.001
    noise_warning: float = 0.3
    noise_error: float = 0.8
    outlier_z: float = 6.0
    outlier_money: float = 0.1
    false_alarms: float = 0.01
    change_factor: float = 1.5
    change_error: float = 5.0
    gap_error_hours: float = 48.0
    ended_days: int = 60
    delay_hours: float = 24.0
    devices: int = 50
    one_id_share: float = 0.1

    def __post_init__(self) -> None:
        for name in self.off:
            if name not in CHECKS:
                raise bad("quality.off", name, "of " + ", ".join(CHECKS))
        for entry in fields(self):
            value = getattr(self, entry.name)
            shared = entry.name.endswith(("_warning", "_error", "_share", "_alarms", "_money"))
            if isinstance(value, tuple) or entry.name == "change_error":
                continue
            if shared and not 0 < value <= 1:
                raise bad(f"quality.{entry.name}", value, "a share above 0 and at most 1")
            if value <= 0:
                raise bad(f"quality.{entry.name}", value, "more than 0")
        if not 1 < self.change_factor <= self.change_error:
            raise bad(
                "quality.change_factor",
                f"{self.change_factor} with change_error {self.change_error}",
                "1 < change_factor <= change_error",
            )
