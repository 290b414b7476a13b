"""Both languages say the same things."""

from __future__ import annotations

import re
import string

import pytest

from shoal.domain.errors import UsageError
from shoal.events.reasons import REASONS
from shoal.report.texts import CATALOGUE, TAGS, Texts


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_language_has_the_same_keys() -> None:
    assert {lang: set(texts) ^ set(CATALOGUE["en"]) for lang, texts in CATALOGUE.items()} == {
        "en": set(),
        "zh": set(),
    }
    assert set(TAGS) == set(CATALOGUE)


@pytest.mark.parametrize("key", CATALOGUE["en"])
def test_placeholders_and_commands_agree(key: str) -> None:
    english, chinese = CATALOGUE["en"][key], CATALOGUE["zh"][key]
    assert placeholders(english) == placeholders(chinese)
    assert "" not in placeholders(english)
    assert re.findall(r"`[^`]*`", english) == re.findall(r"`[^`]*`", chinese)


def test_chinese_is_chinese() -> None:
    """No text was left in English: all but bare patterns hold a Chinese character."""
    bare = {"{text}", "", "Shoal"}
    for key, text in CATALOGUE["zh"].items():
        words = re.sub(r"\{\w+\}|\W", "", text)
        assert not words or words in bare or re.search(r"[\u4e00-\u9fff]", text), (key, text)


def test_every_quarantine_reason_is_explained() -> None:
    for code, meaning in REASONS.items():
        assert Texts("en")(f"reason.{code}") == meaning
        assert Texts("zh").known(f"reason.{code}")


def test_an_unknown_language_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        Texts("fr")
    assert "language 'fr'" in str(caught.value)
    assert "Choose one of: en, zh." in str(caught.value)
    assert caught.value.exit_code == 2
