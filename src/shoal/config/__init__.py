"""The shop's configuration: one small dataclass a stage, read from `shop.toml`.

A flag wins over the file, the file over the defaults here. The environment holds addresses and
secrets only (`SHOAL_DATA`). Unknown keys are errors.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, get_args, get_origin, get_type_hints

from shoal.config.rendering import render
from shoal.config.sections import (
    CONFIG_VERSION,
    KEEP_DAYS,
    BehaviourConfig,
    FeatureConfig,
    IdentityConfig,
    NoiseConfig,
    PrivacyConfig,
    QualityConfig,
    SegmentConfig,
    ShopConfig,
    TableConfig,
)
from shoal.config.service_sections import (
    AdjustConfig,
    CollectionConfig,
    ServiceConfig,
    StoreConfig,
    WebhookConfig,
)
from shoal.config.setting import FILE_NAME, bad
from shoal.domain.errors import InputError, OperationError, UsageError
from shoal.events.personal import Personal

__all__ = [
    "CONFIG_VERSION",
    "FILE_NAME",
    "KEEP_DAYS",
    "RECIPES",
    "AdjustConfig",
    "BehaviourConfig",
    "CollectionConfig",
    "Config",
    "FeatureConfig",
    "IdentityConfig",
    "NoiseConfig",
    "PrivacyConfig",
    "QualityConfig",
    "SegmentConfig",
    "ServiceConfig",
    "ShopConfig",
    "StoreConfig",
    "TableConfig",
    "WebhookConfig",
    "laptop",
    "parse",
    "read",
    "recipe",
    "render",
]


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
                raise bad("features.traits", name, "traits that [privacy] personal does not name")


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


def _coerce(key: str, expected: Any, value: Any) -> Any:
    """The value in the field's type; a wrong type is an error that names the key."""
    if get_origin(expected) is tuple:
        inner = get_args(expected)[0]
        if isinstance(value, list) and all(isinstance(entry, inner) for entry in value):
            return tuple(value)
        raise bad(key, value, f"a list of {inner.__name__}")
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, expected) and not (expected is int and isinstance(value, bool)):
        return value
    raise bad(key, value, f"a value of type {expected.__name__}")


def _section(kind: type, name: str, table: Any) -> Any:
    if not isinstance(table, dict):
        raise bad(name, table, f"a table [{name}]")
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
