"""Law: what is read of one person alone says the same as all that is told of everybody."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.adapters.duckdb import DuckEngine
from shoal.adapters.memory import MemoryWarehouse
from shoal.adapters.memory_store import MemoryStateStore
from shoal.config import IdentityConfig
from shoal.domain.time import from_us
from shoal.features.admission import ALIAS, CUT, LINK, LINKS_SCHEMA
from shoal.workflows.admission import Admission

NAMES = ("ann", "bob", "cid", "old", "phone", "desk")
TIMES = 12
WAREHOUSE = MemoryWarehouse(DuckEngine(threads=1))

statements = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(NAMES), st.integers(1, TIMES),
        st.sampled_from((LINK, LINK, ALIAS, ALIAS, CUT)),
    ).filter(lambda told: told[0] != told[1]),
    max_size=14,
)  # fmt: skip


def links(told: list[tuple[str, str, int, str]]) -> pa.Table:
    rows = [
        {"id": name, "customer_id": customer, "from_us": us, "sequence": 0, "event_id": f"e{n}",
         "says": says, "source": "web", "kind": "login"}
        for n, (name, customer, us, says) in enumerate(told)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=LINKS_SCHEMA)


@given(statements, st.sampled_from(NAMES), st.integers(1, TIMES + 1), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_one_person_alone_is_the_person_among_all(
    told: list[tuple[str, str, int, str]], asked: str, before_us: int, shared_by: int
) -> None:
    store = MemoryStateStore()
    store.people.replace_links(None, links(told))
    settings = IdentityConfig(shared_by=shared_by)
    admission = Admission(WAREHOUSE, store, people=settings, buckets=4)
    moment = from_us(before_us)
    everybody = admission.decisions(moment).people
    alone = admission.people_about(asked, moment)
    owner = admission.owner_among(everybody, asked)
    assert admission.customer_of(asked, moment) == owner
    for column, name in (("customer_id", owner), ("id", owner), ("id", asked)):
        whole = everybody.filter(pc.equal(everybody[column], name))
        assert alone.filter(pc.equal(alone[column], name)).equals(whole)
