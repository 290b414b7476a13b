"""Keys of the environment: which are taken, and that a refused one is never shown."""

from __future__ import annotations

import base64

import pytest
from tests.private import key

from shoal.domain.errors import UsageError
from shoal.domain.secret_keys import (
    FIELD_KEYS,
    KEY_BYTES,
    PSEUDONYM_KEY,
    field_keys,
    fields_at_hand,
    fresh,
    pseudonym_key,
)


def test_a_fresh_key_is_a_key_and_another_each_time() -> None:
    one, other = fresh(), fresh()
    assert one != other
    assert len(pseudonym_key(one)) == KEY_BYTES


def test_a_key_may_be_written_in_either_base64_with_or_without_padding() -> None:
    raw = bytes(range(224, 256))
    written = [base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()]
    for text in [*written, *(one.rstrip("=") for one in written), f" {written[0]} \n"]:
        assert pseudonym_key(text) == raw


def test_the_first_of_several_is_that_of_new_values() -> None:
    found = field_keys(f"k2:{key('b')}, k1:{key('a')}")
    assert list(found) == ["k2", "k1"]
    assert found["k1"] == b"a" * KEY_BYTES


@pytest.mark.parametrize("told", [None, "", "  "])
def test_a_key_that_is_missing_is_asked_for(told: str | None) -> None:
    for ask, variable in ((pseudonym_key, PSEUDONYM_KEY), (field_keys, FIELD_KEYS)):
        with pytest.raises(UsageError) as error:
            ask(told)
        assert (error.value.code, error.value.where) == ("no_secret", variable)
        assert "shoal secret" in error.value.hint
    assert fields_at_hand(told) == {}


SHORT = base64.b64encode(b"s3cret-s3cret").decode()


@pytest.mark.parametrize("told", [SHORT, "not base64 at all!", "ünïcode", SHORT * 4])
def test_a_key_that_is_none_is_refused_and_not_shown(told: str) -> None:
    with pytest.raises(UsageError) as error:
        pseudonym_key(told)
    assert error.value.code == "bad_secret"
    assert told not in str(error.value)


@pytest.mark.parametrize("form", ["{}", "k1={}", "K 1:{}", "k1:{},k1:{}", "k1:{},", ":{}"])
def test_keys_of_values_have_a_name_each(form: str) -> None:
    with pytest.raises(UsageError) as error:
        field_keys(form.format(key("a"), key("b")))
    assert error.value.code == "bad_secret"
    assert key("a") not in str(error.value)
    assert fields_at_hand(form.format(key("a"), key("b"))) == {}
