"""Where the PostgreSQL database of a shop is, and what its failures mean to a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shoal.adapters import postgres
from shoal.adapters.postgres import PASSWORD_VARIABLE, URL_VARIABLE, Namespace, namespace_of
from shoal.adapters.sql import SqlStateStore
from shoal.adapters.sql_schema import place
from shoal.cli.options import stored
from shoal.config import StoreConfig, parse
from shoal.domain.errors import OperationError, UsageError

URL = "postgresql://ann@db.example:5433/shops"
SECRET = "postgresql://ann:s3cret%40x@db.example/shops"


def found(config: StoreConfig, directory: Path, **environment: str) -> Namespace:
    made = namespace_of(config, directory, environment)
    assert made is not None
    return made


def test_a_shop_without_a_namespace_lies_in_its_directory(tmp_path: Path) -> None:
    assert namespace_of(StoreConfig(), tmp_path, {URL_VARIABLE: SECRET}) is None


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    config = StoreConfig("toys", URL)
    assert found(config, tmp_path).url == "postgresql+psycopg://ann@db.example:5433/shops"
    told = found(config, tmp_path, **{URL_VARIABLE: SECRET})
    assert told.url == "postgresql+psycopg://ann:s3cret%40x@db.example/shops"
    assert told.mark("inbox") == tmp_path / "inbox.mark"


def test_a_password_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3:cret\n")
    named = {PASSWORD_VARIABLE: str(file)}
    assert found(StoreConfig("toys", URL), tmp_path, **named).url == (
        "postgresql+psycopg://ann:s3%3Acret@db.example:5433/shops"
    )
    given = found(StoreConfig("toys"), tmp_path, **named, **{URL_VARIABLE: SECRET})
    assert "s3cret%40x" in given.url
    with pytest.raises(OperationError, match="cannot be read") as told:
        namespace_of(StoreConfig("toys", URL), tmp_path, {PASSWORD_VARIABLE: "/nowhere"})
    assert told.value.code == "no_permission"


def test_without_an_address_it_is_said_where_one_goes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing says where that is") as told:
        namespace_of(StoreConfig("toys"), tmp_path, {})
    assert URL_VARIABLE in told.value.hint


@pytest.mark.parametrize(
    "text",
    ["s3cret", "mysql://ann:s3cret@db/shops", "postgresql://ann:s3cret@db:port/shops",
     "postgresql://ann:s3cret@db", "postgresql://db/shops?password=s3cret"],
)  # fmt: skip
def test_a_bad_address_is_told_without_its_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as told:
        namespace_of(StoreConfig("toys"), tmp_path, {URL_VARIABLE: text})
    assert told.value.code == "bad_setting"
    assert "s3cret" not in f"{told.value}{told.value.as_document()}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('namespace = "toys"\nurl = "postgresql://ann:s3cret@db/shops"', "holds a password"),
        ('namespace = "toys"\nurl = "postgresql://db/shops?password=s3cret"', "holds a password"),
        ('namespace = "toys"\nurl = "s3cret"', "is no address"),
        ('namespace = "Toys"', "store.namespace has the value 'Toys'"),
        ('namespace = "pg_toys"', "store.namespace"),
        ('url = "postgresql://db/shops"', "store.namespace"),
    ],
)
def test_a_bad_setting_is_told(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as told:
        parse(f"[store]\n{text}")
    assert "s3cret" not in str(told.value)


def test_where_a_new_shop_keeps_its_state_is_told_on_the_command_line() -> None:
    assert stored(None, None) is None
    assert stored("sqlite", None) == StoreConfig()
    assert stored(None, "toys") == StoreConfig("toys")
    assert stored(URL, "toys") == StoreConfig("toys", URL)
    with pytest.raises(UsageError, match="both given"):
        stored("sqlite", "toys")
    with pytest.raises(UsageError, match="holds a password") as told:
        stored(SECRET, "toys")
    assert "s3cret" not in str(told.value)
    with pytest.raises(UsageError, match=r"store\.namespace"):
        stored(URL, None)


def test_the_password_is_shown_nowhere(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    named = {URL_VARIABLE: "postgresql://ann:s3cret@127.0.0.1:1/shops"}
    namespace = found(StoreConfig("toys"), tmp_path, **named)
    assert "s3cret" not in repr(namespace)
    engine = postgres.connect(namespace)
    assert place(engine) == "postgresql://127.0.0.1:1/shops"
    with pytest.raises(OperationError) as told:
        SqlStateStore(namespace)
    assert told.value.code == "store_unreachable"
    assert "s3cret" not in f"{told.value!r}{told.value}{told.value.__cause__}"


def test_without_the_driver_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "find_spec", lambda _: None)
    with pytest.raises(OperationError) as told:
        SqlStateStore(found(StoreConfig("toys", URL), tmp_path))
    assert told.value.code == "missing_extra"
    assert "shoal[postgres]" in told.value.hint


@pytest.mark.parametrize(
    ("state", "code"),
    [("53100", "disk_full"), ("55P03", "shop_locked"), ("40001", "shop_locked"),
     ("28P01", "no_permission"), ("42501", "no_permission"), ("57P01", "store_unreachable"),
     ("53300", "store_unreachable"), ("XX001", "shop_damaged"), ("23505", None)],
)  # fmt: skip
def test_what_the_database_says_has_a_code(state: str, code: str | None) -> None:
    class SaidError(Exception):
        sqlstate = state

    told = postgres.failure(SaidError("what it said"), "db")
    assert (told.code if told is not None else None) == code
    assert told is None or "what it said" in str(told)
    hidden = told is not None and state[:2] in ("28", "53", "57") and state != "53100"
    assert told is None or hidden == ("what it said" not in told.message)


def test_locks_of_two_shops_differ(tmp_path: Path) -> None:
    one, other = (Namespace(URL, name, tmp_path) for name in ("toys", "tools"))
    locks: list[Any] = [one.lock("store"), one.lock("inbox"), other.lock("store")]
    assert len(set(locks)) == 3
    assert all(-(2**63) <= lock < 2**63 for lock in locks)
