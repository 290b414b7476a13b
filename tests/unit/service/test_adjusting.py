"""A look in a process of its own: asked for, let at the shop, ended, and told of."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoal.domain.errors import OperationError
from shoal.service.adjusting import IDLE, WORKING, Adjusting
from shoal.service.holding import Holding

DOCUMENT = (
    '{"adjust_id": "look-0001", "as_of": "2025-01-01T00:00:00Z", "looked": true, "alarms": [1], '
    '"adjustments": [{"action": "nudge"}], "blocked": [], "published": "kmeans-0002", '
    '"waiting": null}'
)
LOOKS = f"print('ready', flush=True); input(); print({DOCUMENT!r})"
NOT_DUE = f"print({DOCUMENT.replace('true', 'false')!r})"
FAILS = "import sys; print('the shop is damaged', file=sys.stderr); sys.exit(4)"


class Shop:
    """Says when this process held the shop."""

    def __init__(self) -> None:
        self.held = True
        self.aside_times = 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        self.held, self.aside_times = False, self.aside_times + 1
        yield
        self.held = True


def adjusting(code: str, shop: Shop, every_s: float = 3600.0) -> Adjusting:
    return Adjusting([sys.executable, "-c", code], shop.aside, every_s=every_s)


def stepped(one: Adjusting, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not until():
        assert time.monotonic() < deadline
        one.step(threading.Event())
        time.sleep(0.02)


def test_a_look_gets_the_shop_and_is_told_of():
    shop = Shop()
    one = adjusting(LOOKS, shop)
    one.step(threading.Event())
    assert one.told()["state"] == WORKING
    stepped(one, lambda: one.told()["state"] == IDLE)
    told = one.told()
    assert told["looks"] == 1
    assert told["last"]["actions"] == ["nudge"]
    assert told["last"]["published"] == "kmeans-0002"
    assert told["failure"] is None
    assert (shop.held, shop.aside_times) == (True, 1)
    one.step(threading.Event())
    assert one.told()["state"] == IDLE, "the next one is not due for an hour"


def test_one_that_is_not_due_never_asks_for_the_shop():
    shop = Shop()
    one = adjusting(NOT_DUE, shop)
    stepped(one, lambda: one.told()["ended_at"] is not None)
    assert (one.told()["looks"], one.told()["last"], shop.aside_times) == (0, None, 0)


def test_one_that_fails_is_told_of_and_made_again(tmp_path: Path):
    shop = Shop()
    # The one that is made again is still there when it is asked after.
    again = f"from pathlib import Path; import time; was = Path({str(tmp_path / 'was')!r})\n"
    again += "if was.exists(): time.sleep(600)\nwas.touch()\n"
    one = adjusting(again + FAILS, shop, every_s=0.0)
    stepped(one, lambda: one.told()["failure"] is not None)
    assert one.told()["failure"] == {"exit": 4, "message": "the shop is damaged"}
    one.step(threading.Event())
    assert one.told()["state"] == WORKING
    one.stop()
    assert one.told()["state"] == IDLE


def test_who_ends_the_service_waits_for_no_look():
    shop = Shop()
    one = adjusting("print('ready', flush=True); input(); import time; time.sleep(600)", shop)
    stopped = threading.Event()
    threading.Timer(1.0, stopped.set).start()
    began = time.monotonic()
    while one.told()["failure"] is None:
        one.step(stopped)
    assert time.monotonic() - began < 30
    assert shop.aside_times == 1
    assert shop.held


def test_the_shop_is_taken_back_from_whoever_took_it_meanwhile(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shoal.service.holding._AGAIN_S", 0.0)
    refusals = iter([None, "shop_locked", "shop_locked", None])
    held: list[bool] = []

    @contextmanager
    def lease() -> Iterator[None]:
        code = next(refusals)
        if code is not None:
            raise OperationError(code, "process 7 has been writing", "here", "Wait.")
        held.append(True)
        try:
            yield
        finally:
            held.append(False)

    with Holding(lease) as holding:
        with holding.aside():
            assert held == [True, False]
        assert held == [True, False, True]
    assert held == [True, False, True, False]


def test_a_shop_that_is_damaged_meanwhile_is_told_of():
    refusals = iter([None, "shop_damaged"])

    @contextmanager
    def lease() -> Iterator[None]:
        code = next(refusals)
        if code is not None:
            raise OperationError(code, "rows are gone", "here", "Restore it.")
        yield

    with (
        Holding(lease) as holding,
        pytest.raises(OperationError, match="rows are gone"),
        holding.aside(),
    ):
        pass
