"""Disks that are full, and disks whose syncs fail."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shoal
from bench.faults.account import account, right
from bench.faults.client import Client
from bench.faults.kills import last
from bench.faults.syncs import FAIL_ON, FAIL_ONCE, NOTHING, Syncs
from bench.load.calls import Calls
from bench.load.site import fresh, running, shoal_command, until
from bench.load.unit import waiting

_MIB = 1 << 20
_SPARE_MIB = 48
_EVERY = ("--every", "0.3")


def full(shop: str) -> dict[str, Any]:
    """Fill the disk under a service, and give the space back."""
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        used = sum(file.stat().st_size for file in Path(shop).rglob("*") if file.is_file())
        try:
            with _small_disk(work / "disk", used // _MIB + _SPARE_MIB):
                return _filled(Path(shop), work)
        except PermissionError as error:
            return {"not_measured": f"no small disk could be mounted: {error}"}


def _filled(folder: Path, work: Path) -> dict[str, Any]:
    shop, key = fresh(folder, work / "disk")
    ballast = work / "disk" / "ballast"
    with running(shoal_command(shop, 0, *_EVERY), log=work / "errors") as server:
        client = Client(server, Calls(_customers(folder), key, prefix="full"))
        before = Counter(client.send()[0] for _ in range(50))
        _fill(ballast)
        answers = [client.send() for _ in range(300)]
        refused = [told for status, told, _ in answers if status == 503]
        _fill(ballast)
        health = client.ask("GET", "/health")[0]
        with shoal.open(shop) as opened:
            read = opened.memberships(recorded=True).num_rows
        ballast.unlink()
        again = client.until_taken()
        ready = client.ready()
        caught_up = until(lambda: waiting(shop) == 0, 120.0, 0.2)
    found = account(shop, "full", client.acknowledged)
    good = (
        refused and all(int(told.get("retry-after", 0)) > 0 for told in refused)
        and not any(status >= 500 and status != 503 for status, _, _ in answers)
        and health == 200 and read and again is not None and caught_up is not None
    )  # fmt: skip
    return {
        "before": _told(before), "while_full": _told(Counter(one[0] for one in answers)),
        "health_while_full": health, "memberships_read_while_full": read,
        "taken_again_after_s": again, "ready_after_s": ready, "caught_up_after_s": caught_up,
        **found, "right": bool(good) and right(found), "errors": last(work / "errors"),
    }  # fmt: skip


def lying(shop: str, positions: int) -> dict[str, Any]:
    """Let the sync fail that comes 1, 2, ... from now, and then all of them for a while.

    Raises:
        NoCompilerError: there is none.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-faults-") as name:
        work = Path(name)
        copy, key = fresh(Path(shop), work)
        syncs = Syncs(copy, work)
        command = shoal_command(copy, 0, *_EVERY)
        with running(command, env=syncs.env, log=work / "errors") as server:
            client = Client(server, Calls(_customers(Path(shop)), key, prefix="lie"))
            client.until_taken()
            client.ready()
            failed = [
                _one_failure(client, syncs, place, others=others)
                for others in (False, True)
                for place in range(1, positions + 1)
            ]
            syncs.order(FAIL_ON)
            stopped = Counter(client.send()[0] for _ in range(30))
            syncs.order(NOTHING)
            again, ready = client.until_taken(), client.ready()
            caught_up = until(lambda: waiting(copy) == 0, 120.0, 0.2)
        found = account(copy, "lie", client.acknowledged)
        told = [one for one in failed if one["file"].startswith("inbox")]
        silent = [one for one in told if not one["refused"]]
        good = not silent and not stopped[200] and again is not None and caught_up is not None
        return {
            "positions": failed, "of_the_inbox": len(told), "acknowledged_all_the_same": silent,
            "while_all_fail": _told(stopped), "taken_again_after_s": again, "ready_after_s": ready,
            "caught_up_after_s": caught_up, **found, "right": good and right(found),
            "errors": last(work / "errors"),
        }  # fmt: skip


def _one_failure(client: Client, syncs: Syncs, place: int, *, others: bool) -> dict[str, Any]:
    """Send until the sync has failed; at which file, and how many calls were refused.

    Args:
        others: than those of the inbox.
    """
    done = syncs.done
    syncs.order(FAIL_ONCE, place, others=others)
    refused: Counter[int] = Counter()

    def failed() -> bool:
        status = client.send()[0]
        refused[status] += status != 200
        return syncs.done > done

    found = until(failed, 30.0, 0.1 if others else 0.0)
    syncs.order(NOTHING)
    return {"place": place, "file": syncs.last if found is not None else "",
            "refused": refused.total()}  # fmt: skip


@contextmanager
def _small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """A disk of its own in memory.

    Raises:
        PermissionError: this user may not mount one.
    """
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PermissionError(str(error)) from error
    if done.returncode:
        raise PermissionError(done.stderr.strip())
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _fill(ballast: Path) -> None:
    """Write until there is no space."""
    left = shutil.disk_usage(ballast.parent).free
    piece = bytes(1 << 16)
    with ballast.open("ab", buffering=0) as file:
        try:
            for _ in range(left // len(piece) + 2):
                file.write(piece)
            while file.write(bytes(512)):
                pass
        except OSError:
            return


def _customers(folder: Path) -> list[str]:
    return (folder / "customers.txt").read_text().split()


def _told(counts: Counter[int]) -> dict[str, int]:
    return {str(status): number for status, number in sorted(counts.items())}
