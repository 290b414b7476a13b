from __future__ import annotations

import math
from pathlib import Path

import pytest

from shoal.config import (
    AdjustConfig,
    Config,
    FeatureConfig,
    SegmentConfig,
    ShopConfig,
    TableConfig,
    parse,
    read,
    render,
)
from shoal.domain.errors import InputError, UsageError


def test_what_is_rendered_is_read_back() -> None:
    config = Config(
        shop=ShopConfig(time_zone="Asia/Shanghai", currency="CNY", value_event="review", buckets=4),
        features=FeatureConfig(traits=("plan", "age"), covariates=("weather.*",)),
        segment=SegmentConfig(k=8, seed=3),
        table=TableConfig(keep_days=0),
    )
    assert parse(render(config)) == config


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[shop]\ntimezone = 'UTC'",
            "unknown setting shop.timezone",
            "Settings of [shop]: version",
        ),
        ("[stuff]\na = 1", "unknown section [stuff]", "[shop], [features], [segment]"),
        ("[shop]\nbuckets = 'many'", "setting shop.buckets has the value 'many'", "type int"),
        ("[shop]\nbuckets = true", "setting shop.buckets has the value True", "type int"),
        ("[shop]\nbuckets = 0", "setting shop.buckets has the value 0", "1 to 4096"),
        ("[shop]\ncurrency = 'EURO'", "setting shop.currency has the value 'EURO'", "ISO 4217"),
        ("[shop]\nvalue_event = 'buy'", "setting shop.value_event has the value 'buy'", "purchase"),
        (
            "[features]\ntraits = 'age'",
            "setting features.traits has the value 'age'",
            "list of str",
        ),
        ("[segment]\nk_min = 9\nk_max = 4", "9 with k_max 4", "2 <= k_min <= k_max"),
        ("[segment]\nk = 1", "setting segment.k has the value 1", "at least 2"),
        ("[table]\nkeep_days = -1", "setting table.keep_days has the value -1", "0 (for ever)"),
        ("shop = 3", "setting shop has the value 3", "a table [shop]"),
        ("[shop", "not valid TOML", "Mend the file"),
    ],
)
def test_a_bad_setting_is_named_with_what_is_allowed(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_directory_without_a_shop_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a shop") as caught:
        read(tmp_path)
    assert caught.value.hint == f"Create one with: shoal init {tmp_path}"


def test_a_configuration_that_is_no_text_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "shop.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        read(tmp_path)


def test_the_dials_of_adjustment_are_written_and_read_back() -> None:
    config = Config(adjust=AdjustConfig(cadence_days=14.0, half_life_days=math.inf))
    assert parse(render(config)) == config


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("cadence_days", "0.5", "1 to 366 days"),
        ("relabel_budget", "1.5", "a share from 0 to 1"),
        ("relabel_price", "-0.1", "0 to 10"),
        ("false_alarms", "nan", "0.001 to 52 a year"),
        ("assigned", "2.0", "a share from 0 to 1"),
    ],
)
def test_a_bad_dial_of_adjustment_is_named_with_what_is_allowed(
    key: str, value: str, allowed: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse(f"[adjust]\n{key} = {value}\n")
    assert caught.value.code == "bad_setting"
    assert f"adjust.{key}" in caught.value.message
    assert caught.value.hint == f"Allowed: {allowed}."
