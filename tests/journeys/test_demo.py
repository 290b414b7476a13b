"""`make demo`, small: it ends, and says what became of the segments."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.cli.demo import MARK, main

SMALL = ("--customers", "150", "--days", "110", "--recipe", "nano", "--minutes", "0.02")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where a small demo wrote, and what it printed."""
    import contextlib
    import io

    out, printed = tmp_path_factory.mktemp("demo") / "demo", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["--out", str(out), *SMALL]) == 0
    return out, printed.getvalue()


def test_it_ends_with_weeks_of_change_and_what_following_was_worth(
    said: tuple[Path, str],
) -> None:
    _, text = said
    steps = [line for line in text.splitlines() if line[:1].isdigit() and line[1:3] == ". "]
    assert len(steps) == 7 and "Twelve weeks of change" in steps[2]
    assert text.count("noticed:") == 2 and text.count("done: segments") >= 2
    assert "Frozen is kmeans-0001" in text.split("7. What following was worth")[1]
    assert "RFM" in text.split("6. What was found")[1]


def test_there_is_something_to_look_at(said: tuple[Path, str]) -> None:
    out, _ = said
    assert (out / "shop" / "report.html").stat().st_size > 100_000
    assert (out / MARK).exists()


def test_what_it_did_not_make_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["--out", str(tmp_path), *SMALL]) == 2
    assert (tmp_path / "mine.txt").read_text() == "mine"
