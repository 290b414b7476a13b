"""What the accounts of files say, and the shares of noise."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa

from shoal.config import QualityConfig
from shoal.domain.account import RowAccount
from shoal.domain.quality import ERROR, NOTE, WARNING
from shoal.events.noise import ROW_RULES, RULES
from shoal.features.admission import FLAGS_SCHEMA
from shoal.workflows.quality_checks_files import accounts, noise
from shoal.workflows.quality_tables import FIELDS, Days, Series
from shoal.workflows.units import COMMITTED, STAGED, Unit


def unit(name: str, source: str = "web", status: str = COMMITTED, **rows: int) -> Unit:
    quarantined = rows.get("quarantined", 0)
    account = RowAccount(
        read=sum(rows.values()), **rows, quarantine={"bad_time": quarantined} if quarantined else {}
    )
    return Unit(name, status, "f.csv", source, account)


SETTINGS = QualityConfig()


def test_rows_are_judged_by_their_share_of_a_source() -> None:
    ingested = [
        unit("a", stored=900, quarantined=100),
        unit("b", stored=990, conflicting=10),
        unit("c", "shop", stored=100, duplicate=100),
        unit("d", status=STAGED, quarantined=1_000),
    ]
    found = {
        (one.check, one.source): one
        for one in accounts(ingested, {"bad_time": "row 7"}, SETTINGS, dated=False)
    }
    assert set(found) == {("quarantined", "web"), ("conflicting", "web"), ("duplicate", "shop")}
    quarantined = found["quarantined", "web"]
    assert (quarantined.severity, quarantined.count, quarantined.of) == (WARNING, 100, 2_000)
    assert (quarantined.subject, quarantined.example) == ("bad_time", "row 7")
    assert found["conflicting", "web"].severity == WARNING
    assert found["duplicate", "shop"].severity == NOTE


def test_most_rows_quarantined_is_an_error_unless_only_later_events_are_asked_for() -> None:
    ingested = [unit("a", stored=100, quarantined=900)]
    (one,) = accounts(ingested, {}, SETTINGS, dated=False)
    assert one.severity == ERROR
    (one,) = accounts(ingested, {}, SETTINGS, dated=True)
    assert one.severity == NOTE


def test_a_replay_takes_its_rows_out_of_the_quarantine() -> None:
    replay = Unit(
        "r", COMMITTED, "quarantine", "web",
        RowAccount(read=900, stored=890, quarantined=10, quarantine={"bad_time": 10}),
        replaces={"a": None},
    )  # fmt: skip
    (one,) = accounts([unit("a", stored=100, quarantined=900), replay], {}, SETTINGS, dated=False)
    assert (one.count, one.of, one.severity) == (10, 1_000, WARNING)


def test_what_files_state_again_counts_once() -> None:
    first = unit("a", stored=7, quarantined=3)
    again = [
        replace(
            unit(name, stored=2, duplicate=5, quarantined=3),
            restated={"scopes": 1, "withdrawn": 2}, scopes=(1,),
        )
        for name in "bcd"
    ]  # fmt: skip
    restated = {"web": Counter(bad_time=9)}
    (one,) = accounts([first, *again], {}, SETTINGS, dated=False, restated=restated)
    assert (one.check, one.count, one.of) == ("quarantined", 3, 10)


def test_a_handful_of_rows_is_a_note() -> None:
    (one,) = accounts([unit("a", stored=20, quarantined=4)], {}, SETTINGS, dated=False)
    assert one.severity == NOTE


def days(n: int, **caught: int) -> Days:
    names = ("n", *FIELDS, *(f"noise_{code}" for code in ROW_RULES))
    counts = {name: np.zeros(1, dtype=np.int64) for name in names}
    counts["n"] = np.array([n])
    for code, count in caught.items():
        counts[f"noise_{code}"] = np.array([count])
    return Days((Series("web", "view", 19_000, counts),), {"web": None})  # type: ignore[dict-item]


def test_noise_is_judged_by_its_share_and_says_whether_its_rule_is_on() -> None:
    none = FLAGS_SCHEMA.empty_table()
    found = noise(days(1_000, agent=400, address=10), none, 0, ("agent",), SETTINGS)
    by_rule = {one.subject: one for one in found}
    assert (by_rule["agent"].severity, by_rule["agent"].variant) == (WARNING, "rows")
    assert (by_rule["address"].severity, by_rule["address"].variant) == (NOTE, "rows_off")


def test_flagged_visitors_are_told_of_once() -> None:
    rows = [
        {"visitor_id": visitor, "from_us": 0, "to_us": 1, "rule": rule, "told_us": 0}
        for visitor, rule in (("a", "rate"), ("a", "no_think_time"), ("b", "rate"))
    ]
    flags = pa.Table.from_pylist(rows, schema=FLAGS_SCHEMA)
    (one,) = noise(days(1_000), flags, 100, tuple(RULES), SETTINGS)
    assert (one.variant, one.count, one.of, one.figures["visitors"]) == ("pace", 100, 1_000, 2)
    assert one.subject == "no_think_time, rate"
