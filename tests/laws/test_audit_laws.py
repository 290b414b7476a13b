"""Whatever single thing is done to an audit log behind its back, walking its chain tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.adapters.memory_audit import MemoryAudit
from shoal.domain.audit import Act, Recorded, Who, entry_digest
from shoal.domain.errors import OperationError
from shoal.workflows.audit import verify

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TEXTS = st.text(max_size=12)
ACTS = st.lists(
    st.builds(
        Act, at=st.integers(0, 10**6).map(lambda s: NOW + timedelta(seconds=s)),
        who=st.builds(Who, via=st.just("api"), owner=TEXTS), action=TEXTS, outcome=TEXTS,
        about=st.dictionaries(TEXTS, TEXTS, max_size=2),
        facts=st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=2),
    ),
    min_size=2, max_size=12,
)  # fmt: skip


class Marked(MemoryAudit):
    """A log whose mark stays what it was."""

    def __init__(self, acts: list[Act]) -> None:
        super().__init__()
        self.append(acts)
        self.marked = super().mark()

    def mark(self) -> tuple[int, str] | None:
        return self.marked

    def after(self, number: int, limit: int) -> list[Recorded]:
        return [one for one in self.entries if one.number > number][:limit]


@given(ACTS)
def test_a_log_that_nobody_touched_holds(acts: list[Act]) -> None:
    assert verify(Marked(acts))["entries"] == len(acts)


@given(ACTS, st.data(), st.sampled_from(["change", "forge", "remove", "cut", "swap", "double"]))
def test_one_that_was_touched_is_told_no_later_than_where_it_was(
    acts: list[Act], data: st.DataObject, how: str
) -> None:
    log = Marked(acts)
    place = data.draw(st.integers(0, len(acts) - 1))
    at = log.entries[place]
    if how in ("change", "forge"):
        spot = data.draw(st.integers(0, len(at.text) - 1))
        new = data.draw(st.characters(min_codepoint=32, max_codepoint=126))
        if at.text[spot] == new:
            return
        text = at.text[:spot] + new + at.text[spot + 1 :]
        digest = entry_digest(text) if how == "forge" else at.digest
        log.entries[place] = Recorded(at.number, text, digest)
    elif how == "remove":
        del log.entries[place]
    elif how == "cut":
        del log.entries[place:]
    elif how == "swap":
        other = data.draw(st.integers(0, len(acts) - 1))
        if other == place:
            return
        there = log.entries[other]
        log.entries[place] = Recorded(at.number, there.text, there.digest)
        log.entries[other] = Recorded(there.number, at.text, at.digest)
        place = min(place, other)
    else:
        log.entries.insert(place, at)
    with pytest.raises(OperationError) as told:
        verify(log)
    assert told.value.code == "audit_broken"
    assert int(told.value.where.removeprefix("entry ")) <= place + 2
