"""A service that starts after a kill says what it found and finished, and tells of damage."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from tests.journeys.conftest import Shoal
from tests.journeys.test_serve import serving, views
from tests.kept_shops import call, made
from tests.shops import purchase, write_csv

import shoal as package
from shoal.domain.errors import OperationError
from shoal.workflows import ingest


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def kept(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "shop"))


class Killed(BaseException):
    """The process is gone."""


def test_what_a_kill_left_is_told_and_finished(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    file = write_csv(tmp_path / "more.csv", [purchase(300, "late")])
    with package.open(kept) as shop:
        with monkeypatch.context() as patch:
            patch.setattr(ingest.units, "finish", die)  # committed, and nobody said so
            with pytest.raises(Killed):
                shop.ingest(file, preset="shoal")
        with caplog.at_level(logging.INFO, "shoal"):
            found = shop.recover()
            assert shop.recover()["units_finished"] == 0
        assert shop.status()["events"] == 49
    assert found["schema"] == "shoal.recovery/1"
    counts = ("calls_waiting", "units_finished", "units_discarded", "versions_to_follow")
    assert [found[name] for name in counts] == [3, 1, 0, 1]
    assert not found["killed"]
    told = [one for one in caplog.records if "recovery" in one.__dict__]
    assert [one.__dict__["recovery"]["units_finished"] for one in told] == [1, 0]
    assert "3 calls wait in the inbox; 1 files are in after all" in (told[0].getMessage())


def test_damage_is_told_at_the_start(
    shoal: Shoal, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(kept / "artefacts/model/nano-0001")
    with package.open(kept) as shop:
        (fault,) = shop.recover()["damage"]
    assert "model.main names nano-0001" in fault["message"]
    assert [one.levelname for one in caplog.records if "recovery" in one.__dict__] == ["ERROR"]
    file = next(kept.glob("events/bucket=*/*.parquet"))
    file.write_bytes(file.read_bytes()[:-1])
    with package.open(kept) as shop, pytest.raises(OperationError) as raised:
        shop.recover()
    assert raised.value.code == "shop_damaged"
    refused = shoal("serve", kept, "--port", 0, "--json")
    assert (refused.code, refused.error["code"]) == (1, "shop_damaged")
    assert "shoal verify" in refused.error["hint"]


def test_a_service_that_was_killed_says_so_when_it_is_ready(kept: Path) -> None:
    with package.open(kept) as shop:
        key = shop.make_key("web")["key"]
    with serving(kept, key) as service:
        assert service.send(views(0, 5))[0] == 200
        service.stop(signal.SIGKILL)
    with package.open(kept) as shop, closing(shop.inbox()) as inbox:
        inbox.append([call(77)])
        left = inbox.waiting()
        # A copy of the files as they lie: closing them would hide the kill.
        again = Path(shutil.copytree(kept, kept.parent / "again"))
    with serving(again, key) as service:
        with urllib.request.urlopen(f"{service.address}/ready", timeout=30) as answer:
            recovered = json.loads(answer.read())["recovered"]
        assert recovered["killed"]
        assert recovered["calls_waiting"] == left
        service.process.send_signal(signal.SIGTERM)
        _, said = service.process.communicate(timeout=60)
    (line,) = [json.loads(one) for one in said.splitlines() if '"recovery"' in one]
    assert line["level"] == "warning"
    assert line["recovery"] == recovered
    assert package.verify(again, deep=True, customers=None)["findings"] == []
