"""Partitions do shares, and whatever becomes of them a share is done."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.service.test_shares import folded, rows, share

from shoal.domain.errors import OperationError
from shoal.service import partitions as module
from shoal.service.partitions import Command, Partitions
from shoal.workflows.live_fold import Folded, Folding, Share

NAMES = [f"c{n:03d}" for n in range(200)]
#: Answers every share with who is in it; what customers are called says what else it does.
SCRIPT = """
import os, signal, socket, sys, time
sys.path[:0] = os.environ["ASKED_PATH"].split(os.pathsep)
from tests.unit.service.test_shares import folded
from shoal.service.shares import Message, of_folded, share_of
control = socket.socket(fileno=int(sys.argv[1]))
Message({"ready": True}).send(control)
while True:
    try:
        asked = Message.receive(control)
        share, number = share_of(asked), asked.told["number"]
    except OSError:
        sys.exit(0)
    names = sorted(share.rows["customer_id"].to_pylist())
    if "dies" in names:
        os.kill(os.getpid(), signal.SIGKILL)
    if "sleeps" in names:
        time.sleep(60)
    if "fails" in names:
        Message({"failure": "its store is away"}).numbered(number).send(control)
    elif "talks" in names:
        control.sendall(b"what?" * 10)
    else:
        of_folded(folded(*names)).numbered(number).send(control)
"""
REFUSES = """
import os, socket, sys
sys.path[:0] = os.environ["ASKED_PATH"].split(os.pathsep)
from shoal.service.shares import Message
told = {"failure": "the shop is newer", "code": "shop_newer", "hint": "Upgrade."}
Message(told).send(socket.socket(fileno=int(sys.argv[1])))
"""


class Alone:
    """A `Folding` that notes what it was asked."""

    fold = SimpleNamespace(fingerprint="f")

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, own: Share) -> Folded:
        self.asked.append(own.customers)
        return folded(*sorted(own.rows["customer_id"].to_pylist()))


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Partitions]]:
    monkeypatch.setenv("ASKED_PATH", os.pathsep.join(sys.path))
    made: list[Partitions] = []

    def begun(script: str = SCRIPT, least: int = 10) -> Partitions:
        command: Command = lambda control: [sys.executable, "-c", script, str(control)]  # noqa: E731
        found = Partitions(command, 2, least=least)
        made.append(found)
        found.start()
        return found

    yield begun
    for one in made:
        one.stop()


def told(found: Partitions, name: str) -> list[Any]:
    return [one[name] for one in found.told()]


def done(parted: Partitions, alone: Alone, *more: str) -> list[str]:
    """Who is in what a step of these customers is given, and of one share of each partition."""
    names = [*NAMES, *more]
    found = parted.beside(cast(Folding, alone))(share(rows(*names)))
    assert found.customers.to_pylist() == sorted(names)
    assert found.features["ref-1"]["customer_id"].to_pylist() == sorted(names)
    return names


def test_customers_are_divided_among_processes(start: Callable[..., Partitions]) -> None:
    parted, alone = start(), Alone()
    done(parted, alone)
    done(parted, alone)
    assert alone.asked == []
    assert told(parted, "state") == ["up", "up"]
    assert told(parted, "shares") == [2, 2]
    assert len({*told(parted, "pid"), os.getpid()}) == 3
    pids = told(parted, "pid")
    parted.stop()
    assert told(parted, "state") == ["down", "down"]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_few_customers_are_not_divided(start: Callable[..., Partitions]) -> None:
    parted, alone = start(least=101), Alone()
    done(parted, alone)
    assert alone.asked == [200]
    assert told(parted, "shares") == [0, 0]
    found = parted.beside(cast(Folding, alone))(share(rows(), silent=()))
    assert len(found.customers) == 0


@pytest.mark.parametrize("what", ["dies", "talks", "fails", "sleeps"])
def test_a_share_that_a_partition_does_not_do_is_done_here(
    start: Callable[..., Partitions], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "sleeps":
        monkeypatch.setattr(module, "_ANSWER_S", 1.0)
    parted, alone = start(), Alone()
    done(parted, alone, what)
    assert len(alone.asked) == 1 and 50 < alone.asked[0] < 150
    lost = what != "fails"
    assert sorted(told(parted, "state")) == (["down", "up"] if lost else ["up", "up"])
    if not lost:
        return
    # and it comes back by itself, for as long as somebody asks
    until = time.monotonic() + 20
    while told(parted, "state") != ["up", "up"]:
        assert time.monotonic() < until
        time.sleep(0.05)
        done(parted, alone)
    assert sorted(told(parted, "restarts")) == [0, 1]
    before = len(alone.asked)
    done(parted, alone)
    assert len(alone.asked) == before


def test_an_answer_to_what_was_asked_before_is_nobodys(
    start: Callable[..., Partitions], monkeypatch: pytest.MonkeyPatch
) -> None:
    parted, alone = start(), Alone()
    real = module.of_share
    calls = iter((0, 1))

    def breaks_off(own: Share, fingerprint: str) -> Any:
        if next(calls):
            raise MemoryError
        return real(own, fingerprint)

    with monkeypatch.context() as patched:
        patched.setattr(module, "of_share", breaks_off)
        with pytest.raises(MemoryError):
            done(parted, alone)  # the first was asked, and nobody heard its answer
    names = [f"other-{n}" for n in range(200)]
    found = parted.beside(cast(Folding, alone))(share(rows(*names)))
    assert found.customers.to_pylist() == sorted(names)
    assert told(parted, "state") == ["down", "up"]


def test_one_that_was_stopped_from_without_is_noticed(start: Callable[..., Partitions]) -> None:
    parted, alone = start(), Alone()
    os.kill(told(parted, "pid")[1], signal.SIGKILL)
    done(parted, alone)
    assert len(alone.asked) == 1
    assert told(parted, "state") == ["up", "down"]


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("import sys; sys.exit(3)", "not_served", "nobody is at the other end"),
        (REFUSES, "shop_newer", "the shop is newer"),
    ],
)  # fmt: skip
def test_a_service_whose_partitions_cannot_begin_says_why(
    start: Callable[..., Partitions], script: str, code: str, said: str
) -> None:
    with pytest.raises(OperationError, match=said) as caught:
        start(script)
    assert caught.value.code == code
    assert "partition 1 did not start" in caught.value.message
