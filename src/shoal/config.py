"""The shop's configuration: one small dataclass a stage, read from `shop.toml`.

A flag wins over the file, the file over the defaults here. The environment holds addresses and
secrets only (`SHOAL_DATA`). Unknown keys are errors.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from shoal.adjust.settings import AdjustSettings
from shoal.domain.errors import InputError, OperationError, UsageError
from shoal.domain.limits import ALLOWED_LIMITS, ServiceLimits
from shoal.domain.money import CURRENCIES
from shoal.domain.quality import CHECKS
from shoal.domain.time import Zone
from shoal.domain.traits import PROTECTED
from shoal.events.noise import RULES as NOISE_RULES
from shoal.events.personal import ADDRESSES, ALL, Personal
from shoal.model.config import BACKBONES
from shoal.model.config import RECIPES as MODEL_RECIPES

FILE_NAME: Final = "shop.toml"
CONFIG_VERSION: Final = 1
#: Names of schemas that PostgreSQL takes without quotation marks and does not keep for itself.
_NAMESPACE: Final = re.compile(r"(?!pg_|information_schema$)[a-z][a-z0-9_]{0,62}")


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
            raise _bad("table.keep_days", self.keep_days, f"0 (for ever) to {KEEP_DAYS:,} days")


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
            raise _bad("segment.k", self.k, "0 (choose) or a whole number of at least 2")
        if not 2 <= self.k_min <= self.k_max:
            raise _bad(
                "segment.k_min", f"{self.k_min} with k_max {self.k_max}", "2 <= k_min <= k_max"
            )
        if self.min_events < 1:
            raise _bad("segment.min_events", self.min_events, "a whole number of at least 1")
        if not 0 <= self.switch_margin < 1:
            raise _bad("segment.switch_margin", self.switch_margin, "0 <= switch_margin < 1")


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
            raise _bad("model.recipe", self.recipe, "one of " + ", ".join(MODEL_RECIPES))
        if self.backbone and self.backbone not in BACKBONES:
            raise _bad("model.backbone", self.backbone, "one of " + ", ".join(BACKBONES))
        if not self.text:
            raise _bad("model.text", self.text, "ngrams, or a sentence encoder's name or path")
        if not 0 <= self.minutes < float("inf"):
            raise _bad("model.minutes", self.minutes, "0 (the recipe's) or more")
        if self.seed < 0:
            raise _bad("model.seed", self.seed, "a whole number from 0 on")


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
                raise _bad("noise.rules", name, "of " + ", ".join(NOISE_RULES))
        for address in self.addresses:
            try:
                ip_network(address, strict=False)
            except ValueError as error:
                raise _bad(
                    "noise.addresses", address, "an address or network such as 10.0.0.0/8"
                ) from error
        if not 1 <= self.rate_events < 3600:
            raise _bad("noise.rate_events", self.rate_events, "a whole number from 1 to 3599")
        if self.run_events < 2:
            raise _bad("noise.run_events", self.run_events, "a whole number of at least 2")
        if self.think_seconds <= 0:
            raise _bad("noise.think_seconds", self.think_seconds, "more than 0 seconds")


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
                    raise _bad(f"privacy.{name}", one, "names such as email or address.city")
        if self.ids and not self.pseudonymise:
            raise _bad("privacy.ids", list(self.ids), "with pseudonymise = true alone")

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
                raise _bad("quality.off", name, "of " + ", ".join(CHECKS))
        for entry in fields(self):
            value = getattr(self, entry.name)
            shared = entry.name.endswith(("_warning", "_error", "_share", "_alarms", "_money"))
            if isinstance(value, tuple) or entry.name == "change_error":
                continue
            if shared and not 0 < value <= 1:
                raise _bad(f"quality.{entry.name}", value, "a share above 0 and at most 1")
            if value <= 0:
                raise _bad(f"quality.{entry.name}", value, "more than 0")
        if not 1 < self.change_factor <= self.change_error:
            raise _bad(
                "quality.change_factor",
                f"{self.change_factor} with change_error {self.change_error}",
                "1 < change_factor <= change_error",
            )


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
                raise _bad(f"adjust.{name}", value, allowed)


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
                raise _bad(f"collection.{name}", getattr(self, name), allowed)

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
                raise _bad(f"service.{name}", value, allowed)


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
                raise _bad("webhooks.trusted_hosts", name, allowed)


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
            raise _bad("store.namespace", self.namespace, allowed)
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
            raise _bad("store.namespace", "", "with store.url, the name of the shop's schema")


@dataclass(frozen=True)
class Config:
    """All stages side by side."""

    shop: ShopConfig = field(default_factory=ShopConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    model: BehaviourConfig = field(default_factory=BehaviourConfig)
    identity: IdentityConfig = field(default_factory=IdentityConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    quality: QualityConfig = field(default_factory=QualityConfig)
    adjust: AdjustConfig = field(default_factory=AdjustConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    collection: CollectionConfig = field(default_factory=CollectionConfig)
    webhooks: WebhookConfig = field(default_factory=WebhookConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    table: TableConfig = field(default_factory=TableConfig)

    def __post_init__(self) -> None:
        personal = Personal.of(self.privacy.personal)
        for name in self.features.traits:
            if personal.covers_either(name):
                raise _bad("features.traits", name, "traits that [privacy] personal does not name")


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
    shop, features, segment, model = config.shop, config.features, config.segment, config.model
    identity, noise, quality = config.identity, config.noise, config.quality
    privacy = config.privacy
    adjust, collection = config.adjust, config.collection
    service = config.service
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

[table]
# Days for which a version of the event table can be read after a later one took its place; then
# what only it needs is removed. 0: for ever.
keep_days = {config.table.keep_days}

[features]
# Traits of profile events that become features, for example ["plan", "age"].
traits = [{traits}]
# Columns of outside data that become features: ["weather.rain", "calendar.*"].
covariates = [{_listed(features.covariates)}]

[segment]
# 0: choose k between k_min and k_max.
k = {segment.k}
k_min = {segment.k_min}
k_max = {segment.k_max}
# Customers with fewer events are too little known to place.
min_events = {segment.min_events}
# A customer changes to another segment only if that one weighs more by more than this.
switch_margin = {segment.switch_margin}
# Traits and features that nothing is learned from.
protected = [{_listed(segment.protected)}]
seed = {segment.seed}

[model]
# nano, laptop, base or large; backbone empty and minutes 0 are the recipe's.
recipe = "{model.recipe}"
backbone = "{model.backbone}"
# ngrams (trained with the model), or the name or path of a sentence encoder.
text = {_text(model.text)}
minutes = {model.minutes}
seed = {model.seed}

[identity]
# An anonymous id on which more customers than this signed in is shared: it belongs to nobody.
shared_by = {identity.shared_by}

[noise]
# Rules that are on; what they catch is stored and counted, and left out of features.
rules = [{_listed(noise.rules)}]
# Parts of agent strings of robots, beside the known ones; own addresses and networks.
agents = [{_listed(noise.agents)}]
addresses = [{_listed(noise.addresses)}]
# Seconds of an hour, each with browsing, beyond which no person goes.
rate_events = {noise.rate_events}
# So many browsing events in a row, each within so many seconds of the one before.
run_events = {noise.run_events}
think_seconds = {noise.think_seconds}

[privacy]
# Ids of customers and visitors are stored as keyed hashes (SHOAL_PSEUDONYM_KEY). Fixed once events
# are stored. ids: traits and properties whose values are ids too.
pseudonymise = {json.dumps(privacy.pseudonymise)}
ids = [{_listed(privacy.ids)}]
# Traits and properties that are encrypted (SHOAL_FIELD_KEYS), for example ["email", "phone"].
personal = [{_listed(privacy.personal)}]

[quality]
# Checks that are off; their codes stand in docs/concepts/quality.md.
off = [{_listed(quality.off)}]
# Shares from which `shoal quality` warns, and from which it calls an error.
missing_warning = {quality.missing_warning}
missing_error = {quality.missing_error}
unknown_warning = {quality.unknown_warning}
unknown_error = {quality.unknown_error}
quarantined_warning = {quality.quarantined_warning}
quarantined_error = {quality.quarantined_error}
conflicting_warning = {quality.conflicting_warning}
conflicting_error = {quality.conflicting_error}
orders_warning = {quality.orders_warning}
orders_error = {quality.orders_error}
future_error = {quality.future_error}
noise_warning = {quality.noise_warning}
noise_error = {quality.noise_error}
# Robust standard deviations (log scale) of an outlier; the share of money outliers may hold.
outlier_z = {quality.outlier_z}
outlier_money = {quality.outlier_money}
# How often a shop without fault may raise an alarm about gaps or about changes of rate.
false_alarms = {quality.false_alarms}
# Daily events against the same weekday before: a smaller change is none, a greater one an error.
change_factor = {quality.change_factor}
change_error = {quality.change_error}
# Hours of silence against its habit that make a source an error; days after which it has ended.
gap_error_hours = {quality.gap_error_hours}
ended_days = {quality.ended_days}
# Hours that one event in twenty may be late.
delay_hours = {quality.delay_hours}
# Devices of one customer, and events of one id (a share of all), beyond which an id is suspect.
devices = {quality.devices}
one_id_share = {quality.one_id_share}

[adjust]
# Days from one look for drift to the next, and from one challenger to the next.
cadence_days = {adjust.cadence_days}
challenger_days = {adjust.challenger_days}
# Days in which what segments learned of a customer loses half its weight.
half_life_days = {adjust.half_life_days}
# Share of customers that adjustments may move in 30 days without a person's word.
relabel_budget = {adjust.relabel_budget}
# Gain, as a share of the loss within segments, that moving everybody would have to bring.
relabel_price = {adjust.relabel_price}
# By how much longer the log has to be than what segments were learned from (a share) for making all
# anew to be due: they then only have to be better; 0: never by itself.
refit_growth = {adjust.refit_growth}
# Alarms expected in a year in which nothing changes, of all monitors together.
false_alarms = {adjust.false_alarms}
# New events (share of those trained on) and days after which the behaviour model is trained on;
# 0: never by itself.
retrain_growth = {adjust.retrain_growth}
retrain_days = {adjust.retrain_days}
# Gates: greatest share of one segment, unless it is no larger than the largest before by so much;
# least share of active customers with a segment.
largest = {adjust.largest}
larger_by = {adjust.larger_by}
assigned = {adjust.assigned}
# A person approves beyond this population stability index of sizes, and this share moved.
psi = {adjust.psi}
moved = {adjust.moved}
# Share of customers for whom segments made anew are in force first, and for how many days; then
# they are judged on these customers, and are in force for all or for nobody. 0: for all at once.
canary_share = {adjust.canary_share}
canary_days = {adjust.canary_days}

[service]
# Requests of one key to the API in a second, and how many may come at once; 0 a second: no limit.
key_per_second = {service.key_per_second}
key_burst = {service.key_burst}
# Requests without a valid key, of one address.
refused_per_second = {service.refused_per_second}
refused_burst = {service.refused_burst}
# Requests of one source to collection.
collect_per_second = {service.collect_per_second}
collect_burst = {service.collect_burst}
# Bytes of a request to the API.
body_bytes = {service.body_bytes}
# Days for which entries of the audit log are kept; 0: for ever.
audit_days = {service.audit_days}

[collection]
# MiB of bodies in flight, all together; of one bulk import once it is expanded; KiB of one line.
in_flight_mib = {collection.in_flight_mib}
import_mib = {collection.import_mib}
line_kib = {collection.line_kib}
# Calls in the inbox beyond which imports and followed files wait.
waiting_calls = {collection.waiting_calls}

[webhooks]
# Hosts of your own network that webhooks may go to, also by plain http.
trusted_hosts = [{_listed(config.webhooks.trusted_hosts)}]

[store]
# The schema of a PostgreSQL database that holds what changes with every event, and the database
# (postgresql://USER@HOST/DATABASE, or SHOAL_STORE_URL). Empty: SQLite files of this directory.
namespace = "{config.store.namespace}"
url = {_text(config.store.url)}
"""


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


def _text(value: str) -> str:
    """A TOML string; a path may hold backslashes and quotation marks."""
    return json.dumps(value, ensure_ascii=False)
