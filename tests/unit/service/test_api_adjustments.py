"""Looks through the API: listed newest first, and a person's word on the one that waits."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.service.served import Shelf, served


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with served(tmp_path_factory.mktemp("adjustments")) as found:
        yield found


@pytest.fixture
def looked(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Five looks of which the third waits; the words that are given to the shop."""
    looks = [{"adjust_id": f"look-000{number}", "alarms": []} for number in range(1, 6)]
    words: list[dict[str, Any]] = []

    def adjust(**told: Any) -> Any:
        words.append(told)
        return SimpleNamespace(as_document=lambda: {"adjust_id": "look-0006", **told})

    state = {"looks": looks, "waiting": "look-0003"}
    monkeypatch.setattr(shelf.shop, "adjustments", lambda: state)
    monkeypatch.setattr(shelf.shop, "adjust", adjust)
    return words


def test_a_shop_that_was_never_looked_at(shelf: Shelf) -> None:
    told = shelf.get("/v1/adjustments")
    assert (told["looks"], told["waiting"], told["next"]) == ([], None, None)
    unknown = shelf.ask("/v1/adjustments/look-0001")
    assert (unknown.status, unknown.document["code"]) == (404, "unknown_look")


def test_looks_come_newest_first_page_by_page(shelf: Shelf, looked: list[dict[str, Any]]) -> None:
    found, cursor = [], {}
    for _ in range(3):
        page = shelf.get("/v1/adjustments", limit=2, **cursor)
        assert page["waiting"] == "look-0003"
        found += [one["adjust_id"] for one in page["looks"]]
        cursor = {"cursor": page["next"]}
    assert page["next"] is None
    assert found == [f"look-000{number}" for number in (5, 4, 3, 2, 1)]
    assert shelf.get("/v1/adjustments/look-0002")["adjust_id"] == "look-0002"
    assert not looked


@pytest.mark.parametrize("word", ["approve", "decline"])
def test_a_word_is_given_once_by_whom_the_key_names(
    shelf: Shelf, looked: list[dict[str, Any]], word: str
) -> None:
    told = shelf.ask(f"/v1/adjustments/look-0003/{word}", method="POST")
    assert told.status == 200, told.document
    assert looked == [{word: "look-0003", "by": "admin", "audit": False}]
    for path, status, code in (
        ("look-0002", 409, "not_waiting"), ("look-0009", 404, "unknown_look"),
    ):  # fmt: skip
        refused = shelf.ask(f"/v1/adjustments/{path}/{word}", method="POST")
        assert (refused.status, refused.document["code"]) == (status, code)
    assert len(looked) == 1


def test_only_who_may_approve_gives_a_word(shelf: Shelf, looked: list[dict[str, Any]]) -> None:
    for role in ("viewer", "marketer"):
        assert shelf.ask("/v1/adjustments", role=role).status == 200
        refused = shelf.ask("/v1/adjustments/look-0003/approve", role=role, method="POST")
        assert (refused.status, refused.document["code"]) == (403, "forbidden")
    assert not looked


@pytest.mark.parametrize("word", ["approve", "decline"])
def test_what_is_tried_takes_a_word_too(
    shelf: Shelf, looked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    state = {
        "looks": [{"adjust_id": "look-0001", "alarms": []}], "waiting": None,
        "canary": {"adjust_id": "look-0001", "segmentation_id": "kmeans-0002"},
    }  # fmt: skip
    monkeypatch.setattr(shelf.shop, "adjustments", lambda: state)
    assert shelf.get("/v1/adjustments")["canary"]["segmentation_id"] == "kmeans-0002"
    told = shelf.ask(f"/v1/adjustments/look-0001/{word}", method="POST")
    assert told.status == 200, told.document
    assert looked == [{word: "look-0001", "by": "admin", "audit": False}]
