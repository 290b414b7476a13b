"""`make demo-live` in small: a real client, a kill in the middle, and live state = rebuild."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from shoal.cli.demo_live import main

#: Where `make clients` and `make test` install official clients.
CLIENTS = Path(os.environ.get("SHOAL_CLIENTS", Path(__file__).parents[2] / ".clients"))


def test_a_live_shop_is_followed_killed_and_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = CLIENTS / "python" / "bin" / "python"
    if not client.exists():
        pytest.skip(f"no client is installed in {CLIENTS}; make .clients/.python installs it")
    code = main([
        "--out", str(tmp_path / "demo"), "--customers", "150", "--days", "70",
        "--live-days", "14", "--seconds", "15", "--client", str(client),
    ])  # fmt: skip
    told = capsys.readouterr().out
    assert code == 0, told
    assert "kill -9" in told
    assert ", by event: " in told, told
    sent = re.search(r"([\d,]+) calls sent: 0 are missing in the log, 0 are in it", told)
    assert sent is not None, told
    assert int(sent[1].replace(",", "")) > 100
    assert "The states of all customers are those of a rebuild from the log." in told
