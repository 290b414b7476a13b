"""Every numbered example runs as its first lines say, and says something."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("[0-9]*.py"))


def test_the_first_example_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES[0]), str(tmp_path / "out")],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


# In this process, where the libraries are loaded: pytest makes errors of warnings as well.
@pytest.mark.parametrize("path", EXAMPLES[1:], ids=lambda path: path.stem)
def test_an_example_runs(
    path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(path), str(tmp_path / "out")])
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out.strip()
    # Everything it writes lies in the folder it was given.
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5
