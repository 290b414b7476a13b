"""Files that are followed: through rotation, emptying, compression and kills, each line once."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal.adapters.memory_inbox import MemoryInbox
from shoal.domain.errors import OperationError, UsageError
from shoal.service.following import Following, feeds_of, told_apart
from shoal.workflows import followed as module
from shoal.workflows.collecting import Collector
from shoal.workflows.followed import followed

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Followed:
    """A feed and the inbox that it fills; `again` stands for a kill and a new start."""

    def __init__(self, path: Path, **more: Any) -> None:
        self.path = path
        self.inbox = MemoryInbox()
        self.collector = Collector(self.inbox, lambda: NOW)
        self.more = {"longest": 200, **more}
        self.begin()

    def again(self) -> None:
        self.feed.close()
        self.begin()

    def begin(self) -> None:
        [self.feed] = feeds_of([("web", self.path)], self.inbox, longest=self.more["longest"])
        self.following = Following([self.feed], self.collector)

    def close(self) -> None:
        self.feed.close()
        self.collector.close()

    def came(self) -> list[str]:
        """Events that are in the inbox after another look."""
        self.following.step(self.feed)
        return self.kept()

    def kept(self) -> list[str]:
        lines = [one for _, one in self.inbox.after(0, 10_000)]
        return [json.loads(one.line)["event"] if one.fault is None else one.fault.partition(":")[0]
                for one in lines]  # fmt: skip

    @property
    def told(self) -> dict[str, Any]:
        return self.following.told()[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "web.jsonl"


@pytest.fixture
def follow() -> Iterator[Callable[[Path], Followed]]:
    made: list[Followed] = []

    def following(path: Path) -> Followed:
        made.append(Followed(path))
        return made[-1]

    yield following
    for one in made:
        one.close()


@pytest.fixture
def web(path: Path, follow: Callable[[Path], Followed]) -> Followed:
    path.parent.mkdir()
    return follow(path)


def line(event: str, **more: Any) -> str:
    return json.dumps({"type": "track", "event": event, "userId": "u", **more}) + "\n"


def write(path: Path, *events: str) -> None:
    with path.open("a") as file:
        file.write("".join(map(line, events)))


def test_a_file_that_is_not_there_is_waited_for(web: Followed, path: Path) -> None:
    assert web.came() == []
    assert web.told["state"] == "missing"
    write(path, "a")
    assert web.came() == ["a"]
    assert (web.told["state"], web.told["stored"]) == ("following", 1)


def test_a_line_counts_when_it_is_ended(web: Followed, path: Path) -> None:
    text = line("a") + "\n" + line("b")
    for at in range(0, len(text), 7):
        with path.open("a") as file:
            file.write(text[at : at + 7])
        web.came()
    assert web.kept() == ["a", "b"]
    assert web.told["behind_bytes"] == 0


def test_bad_lines_are_kept_with_their_reason_and_cost_no_other(web: Followed, path: Path) -> None:
    path.write_bytes(
        b"{broken\n" + b"x" * 500 + b"\n\xff\n[]\n" + line("a").encode() + b'{"batch":[1]}\n'
    )
    assert web.came() == ["bad_json", "call_too_large", "bad_json", "bad_json", "a", "bad_call"]
    assert [one["line"] for one in web.told["bad_lines"]] == [1, 2, 3, 4, 6]
    web.again()
    assert len(web.came()) == 6


def test_lines_of_the_same_words_are_as_many_as_there_are(web: Followed, path: Path) -> None:
    write(path, "a", "a")
    assert web.came() == ["a", "a"]
    write(path, "a")
    assert web.came() == ["a", "a", "a"]


def test_a_restart_goes_on_where_it_was(web: Followed, path: Path) -> None:
    write(path, "a", "b")
    web.came()
    web.again()
    write(path, "c")
    assert web.came() == ["a", "b", "c"]
    assert web.told["received"] == 1  # what is in is not even read again


def test_killed_before_the_place_was_kept_lines_are_the_same_calls(
    web: Followed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    write(path, "a", "b")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryInbox, "keep_bookmark", killed)
        with pytest.raises(KeyboardInterrupt):
            web.came()
    web.again()
    write(path, "c")
    assert web.came() == ["a", "b", "c"]
    assert (web.told["stored"], web.told["duplicates"]) == (1, 2)


def test_a_file_that_is_moved_away_is_read_to_its_end(
    web: Followed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, "a")
    assert web.came() == ["a"]
    write(path, "b")
    moved = path.rename(path.with_name("web.jsonl.1"))
    write(path, "c")
    assert web.came() == ["a", "b", "c"]
    write(moved, "d")  # whoever writes has not opened the new one yet
    with moved.open("a") as file:
        file.write(line("e").rstrip("\n"))
    assert web.came() == ["a", "b", "c", "d"]
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    assert web.came() == ["a", "b", "c", "d", "e"]
    assert web.told["files"] == 1
    write(path, "c")
    assert web.came() == ["a", "b", "c", "d", "e", "c"]


def test_a_file_that_was_moved_away_while_nobody_followed_is_found(
    web: Followed, path: Path
) -> None:
    write(path, "a")
    web.came()
    web.feed.close()
    write(path, "b")
    path.rename(path.with_name("web.jsonl.1"))
    write(path, "c")
    web.again()
    assert web.came() == ["a", "b", "c"]
    web.again()
    assert web.came() == ["a", "b", "c"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_file_that_is_emptied_is_begun_anew(web: Followed, path: Path, restarted: bool) -> None:
    write(path, "a", "b")
    web.came()
    if restarted:
        web.again()
    path.write_text("")
    if not restarted:
        assert web.came() == ["a", "b"]
    write(path, "a")
    assert web.came() == ["a", "b", "a"]
    # Written anew, and longer than it was.
    path.write_text(line("x") + line("y") + line("z"))
    assert web.came() == ["a", "b", "a", "x", "y", "z"]


def test_another_file_in_its_place_is_another_file(web: Followed, path: Path) -> None:
    for _ in range(3):
        write(path, "a", "b")
        web.came()
        path.unlink()
        web.came()
    assert web.kept() == ["a", "b"] * 3
    for number in range(3):  # the system gives its number to the next one at once
        write(path, f"c{number}", "d")
        web.came()
        web.feed.close()
        path.unlink()
        web.again()
    assert web.kept()[6:] == ["c0", "d", "c1", "d", "c2", "d"]


def test_compressed_files_are_read_when_they_are_whole(
    tmp_path: Path, follow: Callable[[Path], Followed], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    web = follow(folder)
    raw = gzip.compress((line("a") + line("b") + line("c").rstrip("\n")).encode(), mtime=0)
    file = folder / "day.jsonl.gz"
    file.write_bytes(b"")
    assert web.came() == []
    file.write_bytes(raw[:-6])
    web.came()
    file.write_bytes(raw)
    assert web.came() == ["a", "b", "c"]
    web.again()
    assert web.came() == ["a", "b", "c"]
    assert web.told["received"] == 0
    # Another one behind it.
    file.write_bytes(raw + gzip.compress(b"\n" + line("d").encode(), mtime=0))
    assert web.came() == ["a", "b", "c", "d"]
    broken = folder / "broken.jsonl.gz"
    broken.write_bytes(raw[:10] + b"\xff" * 30)
    assert web.came() == ["a", "b", "c", "d"]
    assert web.told["state"] == "damaged"
    broken.unlink()
    monkeypatch.setattr(module, "GRACE_S", 0.0)
    assert web.came() == ["a", "b", "c", "d"]
    assert web.told["state"] == "following"


def test_of_a_directory_the_files_of_their_names_are_followed(
    tmp_path: Path, follow: Callable[[Path], Followed]
) -> None:
    folder = tmp_path / "logs"
    web = follow(folder)
    assert web.came() == []
    assert web.told["state"] == "missing"
    folder.mkdir()
    for name in ("b.jsonl", "a.ndjson", "_c.jsonl", ".d.jsonl", "e.txt", "f.jsonl.1", "g.json"):
        write(folder / name, name)
    (folder / "h.jsonl").mkdir()
    assert web.came() == ["a.ndjson", "b.jsonl", "g.json"]
    write(folder / "a.ndjson", "more")
    (folder / "a.ndjson").rename(folder / "a.ndjson.1")
    assert web.came() == ["a.ndjson", "b.jsonl", "g.json", "more"]
    web.again()
    write(folder / "a.ndjson.1", "late")
    assert web.came()[-1] == "late"


def test_what_cannot_be_read_is_told_and_tried_again(
    web: Followed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, "a")
    opened = Path.open

    def refused(self: Path, *more: Any, **others: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refused)
    assert web.came() == []
    assert (web.told["state"], web.told["message"]) == ("unreadable", "Permission denied")
    monkeypatch.setattr(Path, "open", opened)
    assert web.came() == ["a"]
    assert web.told["state"] == "following"
    path.unlink()
    os.mkfifo(path)
    web.again()
    assert web.came() == ["a"]
    assert web.told["state"] == "unreadable"


def test_a_full_disk_and_a_log_that_is_far_behind_make_files_wait(
    web: Followed, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> list[bool]:
        raise OperationError("disk_full", "no space is left")

    write(path, "a")
    with monkeypatch.context() as patch:
        patch.setattr(MemoryInbox, "append", full)
        assert web.came() == []
    assert (web.told["state"], web.told["code"]) == ("failed", "disk_full")
    assert web.came() == ["a"]
    assert web.told["state"] == "following"
    web.following._waiting_calls = 0
    write(path, "b")
    assert web.came() == ["a"]
    web.inbox.drain(1)
    assert web.came() == ["b"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(["write", "part", "look", "kill", "rotate", "empty"]), max_size=14))
def test_whatever_happens_each_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    path = tmp_path_factory.mktemp("follow") / "web.jsonl"
    web = Followed(path)
    written: list[str] = []
    turn = 0
    for number, step in enumerate(steps):
        if step == "write":
            write(path, f"e{number}")
            written.append(f"e{number}")
        elif step == "part":
            with path.open("a") as file:
                file.write(line(f"e{number}"))
            written.append(f"e{number}")
            web.came()
        elif step == "look":
            web.came()
        elif step == "kill":
            web.again()
        elif path.exists():
            web.came()  # what was not read yet when a file is emptied is lost with it
            if step == "empty":
                path.write_text("")
                web.came()
            else:
                turn += 1
                path.rename(path.with_name(f"web.jsonl.{turn}"))
    came = web.came()
    web.close()
    assert sorted(came) == sorted(written)


@pytest.mark.parametrize(
    ("told", "source", "path"),
    [("web=/var/log/x.jsonl", "web", "/var/log/x.jsonl"), ("w=a=b", "w", "a=b"),
     ("logs/Web Shop.jsonl.gz", "web-shop", None), ("logs/", "logs", "logs"),
     ("a.b/c=d.jsonl", "c-d", None)],
)  # fmt: skip
def test_what_is_followed_has_a_name(told: str, source: str, path: str | None) -> None:
    assert followed(told) == (source, Path(path or told))


@pytest.mark.parametrize("told", ["", "/", "名.jsonl", "WEB!=x", "web="])
def test_what_has_no_name_asks_for_one(told: str) -> None:
    if told == "WEB!=x":
        assert followed(told)[0] == "web-x"
        return
    if told == "web=":
        assert followed(told)[0] == "web"
        return
    with pytest.raises(UsageError, match="no name"):
        followed(told)


def test_no_two_feeds_are_of_one_source() -> None:
    with pytest.raises(UsageError, match="two things"):
        told_apart([("web", Path("a")), ("app", Path("a")), ("web", Path("b"))])
    told_apart([("web", Path("a")), ("app", Path("a"))])
