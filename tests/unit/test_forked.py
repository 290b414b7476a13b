"""Programs that are forked end as programs that are started."""

from __future__ import annotations

import signal
from pathlib import Path

from tests import forked
from tests.journeys.killed_ingest import POINTS
from tests.shops import Shop, purchase, write_csv


def test_a_program_is_killed_fails_or_ends_and_says_why(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "a.csv", [purchase(n, f"c{n % 4}") for n in range(9)])
    program, shop = "tests.journeys.killed_ingest", tmp_path / "shop"
    killed = forked.run(program, shop, next(iter(POINTS)), file)
    assert (killed.returncode, killed.stderr) == (-signal.SIGKILL, "")
    failed = forked.run(program, shop, "no such point", file)
    assert failed.returncode == 1
    assert failed.stderr.endswith("KeyError: 'no such point'\n")
    ended = forked.run("tests.forked")  # nobody asks it for anything
    assert (ended.returncode, ended.stderr) == (0, "")
    left = Shop(shop)
    assert left.events().num_rows == 0
    left.close()
