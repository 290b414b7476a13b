"""The page of the bench."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import merging
from bench.harness.results import machine_line, table

NOTES = Path(__file__).with_name("notes.md")
Row = Mapping[str, Any]
_ABOUT = {
    "full": "a disk of its own in memory is filled under the service, and emptied again",
    "lying": "the sync that comes 1, 2, ... from now fails, then all do for a while",
    "disordered": "30 % duplicates, shuffled, a tenth after all others, in batches of 50",
    "jumping": "the server's clock: two hours ahead, two hours back, right again",
    "away": "the receiver of a webhook is away for an hour of the service's clock, under load",
    "overloaded": "three times what it answers at most, 512 connections",
    "parted": "of two processes among which customers are divided one is killed at a drawn moment, "
    "again and again, and once the service; 3,000 calls a second",
}


def markdown(document: Mapping[str, Any]) -> str:
    """The page."""
    rows = document["rows"]
    blocks = [
        "# The service under faults",
        (
            f"`{document['command']}`; load {document['machine']['load']} at the beginning. "
            f"{machine_line(document['machine'])}"
        ),
        (
            f"A shop of {document['settings']['customers']:,} simulated customers. *Lost*: "
            "acknowledged with 200 and neither in the event table nor in the quarantine. *Twice*: "
            "there more than once. *States*: `shoal verify --deep` over all customers, which folds "
            "every event anew and compares. A row is right when nothing is lost or twice, states "
            "are equal, and what the next column asks for was so."
        ),
        *([added] if (added := merging.note(document, {})) else []),
        *_kills([row for row in rows if row["peer"] == "kills"]),
        *_others([row for row in rows if row["peer"] != "kills"]),
        *_failed(rows),
    ]
    if NOTES.exists():
        blocks.append(NOTES.read_text(encoding="utf-8").strip())
    return "\n\n".join(blocks) + "\n"


def _kills(rows: Sequence[Row]) -> list[str]:
    done = [row for row in rows if "failed" not in row]
    if not done:
        return []
    kills = [one for row in done for one in row["kills"]]
    how = Counter(one["how"] for one in kills)
    points = Counter(f"{one['how']}: {_place(one['point'])}" for one in kills if one["point"])
    total = {
        name: sum(row[name] for row in done)
        for name in ("acknowledged", "log", "quarantine", "lost", "twice")
    }
    wrong = [row["label"] for row in done if not row["right"]]
    return [
        "## Killed with -9",
        (
            f"{len(kills)} kills in {len(done)} services, each of which is started again and "
            "killed again while clients go on sending (150 calls a second, a tenth sent twice, "
            "1 % of nobody; what was cut off is sent again): "
            + ", ".join(f"{n} {name}" for name, n in how.most_common())
            + f". {_lives(kills)}"
        ),
        table(
            ["acknowledged", "in the log", "in the quarantine", "lost", "twice", "states equal",
             "services right"],
            [[*(f"{total[name]:,}" for name in total),
              f"{sum(bool(row['verified']) for row in done)} of {len(done)}",
              f"{len(done) - len(wrong)} of {len(done)}"]],
        ),
        table(["where", "kills"], [[name, str(n)] for name, n in points.most_common()]),
        *([f"Not right: {', '.join(wrong)}."] if wrong else []),
    ]  # fmt: skip


def _lives(kills: Sequence[Row]) -> str:
    """How the services came to be, and how long they lived."""
    afresh = sum(one.get("afresh", True) for one in kills)
    lives = sorted(one["seconds"] for one in kills if one["seconds"])
    told = (
        f"{afresh} were processes started afresh, {len(kills) - afresh} forked from one that had "
        "loaded the modules and opened nothing."
    )
    if not lives:
        return told
    tenth, half, most = (lives[int(share * (len(lives) - 1))] for share in (0.1, 0.5, 1.0))
    return (
        f"{told} {len(kills) - len(lives)} died before their first answer; of the others a tenth "
        f"died within {tenth:.1f} s of it, half within {half:.1f} s, the last after {most:.1f} s."
    )


def _others(rows: Sequence[Row]) -> list[str]:
    lines = []
    for row in rows:
        if "failed" in row:
            continue
        if "not_measured" in row:
            lines.append([row["peer"], _ABOUT[row["peer"]], row["not_measured"], *"––––", "–"])
            continue
        lines.append(
            [row["peer"], _ABOUT[row["peer"]], _SEEN[row["peer"]](row),
             f"{row['acknowledged']:,}", str(row["lost"]), str(row["twice"]),
             "yes" if row["verified"] else "no", "right" if row["right"] else "**wrong**"]
        )  # fmt: skip
    return [
        "## Disks, disorder, clocks, overload",
        table(
            ["", "what is done", "what was seen", "acknowledged", "lost", "twice", "states equal",
             ""], lines,
        ),
    ]  # fmt: skip


def _full(row: Row) -> str:
    return (
        f"answers while full {_counts(row['while_full'])}; /health {row['health_while_full']}, "
        f"{row['memberships_read_while_full']:,} memberships read; taken again "
        f"{_seconds(row['taken_again_after_s'])} after there was space, without a restart; ready "
        f"{_seconds(row['ready_after_s'])}"
    )


def _lying(row: Row) -> str:
    files = Counter(_place(one["file"]) or "none came" for one in row["positions"])
    return (
        f"{len(row['positions'])} positions ("
        + ", ".join(f"{n} {name}" for name, n in files.most_common())
        + f"); of {row['of_the_inbox']} of the inbox "
        f"{len(row['acknowledged_all_the_same'])} were acknowledged all the same; while all fail "
        f"{_counts(row['while_all_fail'])}; taken again {_seconds(row['taken_again_after_s'])}"
    )


def _disordered(row: Row) -> str:
    same = "the same" if row["features_as_in_order"] else "**different**"
    return f"{row['sent']:,} calls sent; all features {same} as brought in in order"


def _jumping(row: Row) -> str:
    return f"answers {_counts(row['statuses'])}; ready {_seconds(row['ready_after_s'])} afterwards"


def _overloaded(row: Row) -> str:
    return (
        f"asked {row['asked_s']:,.0f} a second of {row['answered_at_most_s']:,.0f}; answers "
        f"{_counts(row['statuses'])}, p99 {row['took_ms'].get('p99', 0) / 1000:.1f} s; five quick "
        f"answers in a row after {_seconds(row['recovered_after_s'])}; events of all after "
        f"{_seconds(row['caught_up_after_s'])}"
    )


def _away(row: Row) -> str:
    order = "in order" if row["in_order"] else "**out of order**"
    return (
        f"told of {row['told']:,} of {row['changes']:,} changes {order}, of "
        f"{row['told_before']:,} before it went; {row['tries_answered_503']} tries answered 503, "
        f"{row['given_up']} messages given up, {row['messages_again']} sent again; all told "
        f"{row['clock_s_until_told'] // 60:.0f} minutes after it was back"
    )


def _parted(row: Row) -> str:
    return (
        f"{row['killed']} partitions killed, {row['restarts']} started again meanwhile; "
        f"{row['shares']:,} shares of steps done by them; answers {_counts(row['statuses'])}"
    )


_SEEN = {"away": _away, "full": _full, "lying": _lying, "disordered": _disordered,
         "jumping": _jumping, "overloaded": _overloaded, "parted": _parted}  # fmt: skip


def _failed(rows: Sequence[Row]) -> list[str]:
    failed = [f"- {row['peer']} {row['label']}: {row['failed']}" for row in rows if "failed" in row]
    return ["Failed:\n" + "\n".join(failed)] if failed else []


def _place(told: str) -> str:
    """A point, or the file of a sync without what is drawn in its name.

    >>> _place("after events/bucket=3/file-1c-00003.parquet")
    'after a file of the event table'
    >>> _place("before quarantine/live-000000000003.parquet.part")
    'before a file of the quarantine'
    """
    when, _, file = told.rpartition(" ")
    if file.startswith("quarantine/"):
        kind = "a file of the quarantine"
    elif not file.startswith("events/"):
        return told
    elif "_delta_log" in file:
        kind = "the event table's log"
    elif file.endswith(".parquet"):
        kind = "a file of the event table"
    else:
        kind = "a folder of the event table"
    return f"{when} {kind}".strip()


def _counts(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} x {status}" for status, number in statuses.items())


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
