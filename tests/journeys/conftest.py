"""The command line as a test calls it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shoal.cli.main import run

if TYPE_CHECKING:
    from shoal.workflows.adjuster import Adjusted


@dataclass(frozen=True)
class Answer:
    """What a command gave: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error of a `--json` call."""
        return self.document["error"]


Shoal = Callable[..., Answer]


@pytest.fixture
def shoal(capsys: pytest.CaptureFixture[str]) -> Shoal:
    """Run one command in this process; numbers and paths may be given as they are."""

    def call(*arguments: str | int | Path) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err + printed.out
        return Answer(code, printed.out, printed.err)

    return call


@pytest.fixture
def shop(tmp_path: Path, shoal: Shoal) -> Path:
    """An empty shop with few buckets."""
    directory = tmp_path / "shop"
    assert shoal("init", directory, "--buckets", 4).code == 0
    return directory


@pytest.fixture(scope="session")
def canary_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop that tries segments made anew on half of its customers; nobody looked yet."""
    from tests.journeys.canary_shops import made

    return made(tmp_path_factory.mktemp("canary"))


@pytest.fixture(scope="session")
def canary_look(
    canary_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Adjusted]:
    """The shop after the look that begins a canary, and what that look found."""
    from tests.journeys.canary_shops import begun

    shop = tmp_path_factory.mktemp("begun") / "shop"
    shutil.copytree(canary_base, shop)
    return shop, begun(shop)
