"""Law: every row read is stored, duplicate, conflicting, quarantined or skipped, whatever it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shops import COLUMNS, Shop, write_csv

from shoal.domain.errors import InputError

#: Few ids and times, so that rows repeat and conflict; dirt of every sort.
ROWS = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(["", "e1", "e2", "e3", "e4", "NULL"]),
        "customer_id": st.sampled_from(["", "a", "b", "c", "null", "undefined", "x" * 600]),
        "kind": st.sampled_from(["purchase", "view", "Order Completed", "", "dance", "refund"]),
        "event_time": st.sampled_from(
            ["2024-03-31T00:59:59Z", "2024-03-31T01:00:00Z", "1710000000", "", "soon", "0001-01-01"]
        ),
        "price": st.sampled_from(["1.99", "-1", "NaN", "inf", "", "a lot", "1e300", "0"]),
        "quantity": st.sampled_from(["1", "-2", "0.5", "", "1e12", "many"]),
        "item_id": st.sampled_from(["i1", "i2", "", 'quo"te', "line\nbreak", "ünï", "nul\x00byte"]),
    }
)


@settings(max_examples=25)
@given(st.lists(st.lists(ROWS, min_size=1, max_size=12), min_size=1, max_size=3))
def test_rows_read_add_up_and_the_table_holds_what_was_stored(
    files: list[list[dict[str, object]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder) / "shop")
        stored = quarantined = 0
        for number, rows in enumerate(files):
            path = write_csv(Path(folder) / f"f{number}.csv", rows, COLUMNS)
            try:
                account = shop.ingest(path).rows
            except InputError as error:
                assert error.code == "input_unusable"
                continue
            assert account.read == len(rows)
            parts = account.as_document()
            assert parts.pop("read") == sum(parts.values())
            assert sum(account.quarantine.values()) == account.quarantined
            again = shop.ingest(path).rows
            assert (again.read, again.stored) == (account.read, 0)
            stored += account.stored
            if (Path(folder) / "shop/quarantine").exists():
                quarantined = sum(reason.count for reason in shop.listing().reasons)
        assert shop.events().num_rows == stored
        units = shop.store.units()
        assert quarantined == sum(unit["rows"]["quarantined"] for unit in units)
        incremental = shop.states()
        shop.rebuild()
        assert shop.states() == incremental
        shop.close()
