from __future__ import annotations

from pathlib import Path

import pytest

from shoal.config import Config, FeatureConfig, SegmentConfig, ShopConfig, parse, read, render
from shoal.domain.errors import InputError, UsageError


def test_what_is_rendered_is_read_back() -> None:
    config = Config(
        shop=ShopConfig(time_zone="Asia/Shanghai", currency="CNY", value_event="review", buckets=4),
        features=FeatureConfig(traits=("plan", "age"), covariates=("weather.*",)),
        segment=SegmentConfig(k=8, seed=3),
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
