"""The example of a nightly job does what it says, by every exit code."""

from __future__ import annotations

import os
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from shoal.domain.errors import EXIT_WAITING
from shoal.events.presets import names

HOME = Path(__file__).parents[2] / "examples" / "nightly"


@pytest.fixture
def shoal(tmp_path: Path) -> Path:
    """A program that notes its arguments and ends as it is told."""
    program = tmp_path / "shoal"
    program.write_text(
        '#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\n'
        'echo \'{"schema": "shoal.sync/1"}\'\necho told >&2\nexit $CODE\n'
    )
    program.chmod(0o755)
    return program


def night(shoal: Path, code: int, **more: str) -> subprocess.CompletedProcess[str]:
    told = {
        "SHOAL": str(shoal), "SHOAL_SHOP": str(shoal.parent / "shop"), "CODE": str(code),
        "SHOAL_SOURCE": "in", "PATH": os.environ["PATH"], **more,
    }  # fmt: skip
    return subprocess.run(
        [HOME / "nightly.sh"], env=told, capture_output=True, text=True, check=False
    )


def test_a_night_that_went_well_is_silent(shoal: Path) -> None:
    done = night(shoal, 0, SHOAL_LISTS="out", SHOAL_PRESET="shoal")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    asked = (shoal.parent / "asked").read_text().split()
    assert asked[2:] == ["in", "--json", "--export", "out", "--preset", "shoal"]
    logs = list((shoal.parent / "shop" / "logs").glob("sync-*.jsonl"))
    assert [one.read_text() for one in logs] == ['{"schema": "shoal.sync/1"}\n']
    night(shoal, 0)
    assert logs[0].read_text().count("\n") == 2
    assert (shoal.parent / "asked").read_text().split()[-1] == "--yes"


def test_what_waits_and_what_failed_is_said(shoal: Path) -> None:
    done = night(shoal, EXIT_WAITING)
    assert done.returncode == EXIT_WAITING
    assert "waits for your word" in done.stdout
    done = night(shoal, 3)
    assert (done.returncode, done.stdout) == (3, "")
    assert "failed (exit code 3)" in done.stderr
    assert "told" in done.stderr


def test_old_logs_go(shoal: Path) -> None:
    logs = shoal.parent / "shop" / "logs"
    logs.mkdir(parents=True)
    for name, age in (("sync-2020-01.jsonl", 200), ("other.jsonl", 200), ("sync-2020-02.jsonl", 1)):
        (logs / name).write_text("{}\n")
        seconds = (logs / name).stat().st_mtime - age * 86_400
        os.utime(logs / name, (seconds, seconds))
    night(shoal, 0)
    left = {one.name for one in logs.iterdir()}
    assert "sync-2020-01.jsonl" not in left
    assert {"other.jsonl", "sync-2020-02.jsonl"} <= left


def test_without_a_shop_nothing_is_called(shoal: Path) -> None:
    done = night(shoal, 0, SHOAL_SHOP="")
    assert done.returncode != 0
    assert "the directory of the shop" in done.stderr
    assert not (shoal.parent / "asked").exists()


def test_units_know_the_exit_codes_and_presets_that_there_are() -> None:
    service, timer = RawConfigParser(strict=False), RawConfigParser()
    service.read(HOME / "shoal-nightly.service")
    timer.read(HOME / "shoal-nightly.timer")
    assert service["Service"]["SuccessExitStatus"] == str(EXIT_WAITING)
    assert service["Service"]["ExecStart"].endswith("examples/nightly/nightly.sh")
    assert timer["Timer"]["OnCalendar"]
    for name in ("crontab", "shoal-nightly.service"):
        text = (HOME / name).read_text()
        preset = text.split("SHOAL_PRESET=")[1].split()[0]
        assert preset in names()


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell on this machine")
def test_the_script_is_a_script() -> None:
    subprocess.run(["sh", "-n", HOME / "nightly.sh"], check=True)
    assert os.access(HOME / "nightly.sh", os.X_OK)
