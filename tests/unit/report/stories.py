"""Stories to render in tests: what moved, who went quiet, who came back, how looking became buying.

They add up with the document whose segments they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from shoal.report.document import Period, Segment
from shoal.report.document_story import (
    Cohort,
    Cohorts,
    Flow,
    Funnel,
    Moves,
    QuietCustomer,
    Stake,
    Standing,
    Step,
    Story,
)

SINCE = datetime(2024, 6, 20, 23, tzinfo=UTC)  # midnight in London
DAYS = 28.0


def story(
    segments: Sequence[Segment], tier: Segment | None, *, money: bool = True, who: str = "c"
) -> Story:
    """A whole story of some segments; `who` begins the ids of its customers."""
    if not segments:
        return Story(absent={"moves": "nobody", "stake": "no_orders", "cohorts": "short"})
    everyone = [*segments, *((tier,) if tier else ())]
    return Story(
        moves=moves(everyone),
        moves_before=moves(everyone, since=SINCE - timedelta(days=DAYS), whole=False),
        stake=stake(segments, money=money, who=who),
        cohorts=cohorts(),
        funnels=funnels(everyone),
        trends={one.segment_id: _trend(one, money=money) for one in segments},
    )


def moves(
    segments: Sequence[Segment], *, since: datetime = SINCE, whole: bool = True
) -> Moves:  # fmt: skip
    """A tenth of each segment went to the next one, a twentieth of it is new, one was merged."""
    ids = [one.segment_id for one in segments]
    tenth = {one.segment_id: one.customers // 10 for one in segments}
    following = dict(zip(ids, [*ids[1:], ids[0]], strict=True))
    flows, standings = [], []
    for one in segments:
        name, new = one.segment_id, one.customers // 20
        before = next(other for other in ids if following[other] == name)
        joined = tenth[before] if before != name else 0
        left = tenth[name] if following[name] != name else 0
        stayed = one.customers - new - joined
        flows += [Flow(name, name, stayed), Flow("", name, new), Flow(name, "", 1)]
        if left:
            flows.append(Flow(name, following[name], left))
        standings.append(
            Standing(
                name, stayed + left + 1, one.customers, stayed, joined, new, left, 1,
                30.0 * one.customers, 28.0 * one.customers + 5 * new,
            )
        )  # fmt: skip
    return Moves(since, DAYS, tuple(flows), tuple(standings), whole=whole, active_then=900,
                 active_now=1100)  # fmt: skip


def stake(segments: Sequence[Segment], *, money: bool = True, who: str = "c") -> Stake:
    """The first three segments have quiet customers."""
    unit = 100.0 if money else 1.0
    part = tuple((one.segment_id, 30, 31.0 * unit) for one in segments[:3])
    quiet = tuple(
        QuietCustomer(f"{who}{place}", segments[place % len(segments)].segment_id, 60 + place,
                      11.25, 9.0 * unit - place)
        for place in range(5)
    )  # fmt: skip
    worth = 31.0 * unit * len(part)
    return Stake(3, 3.0, 14, 200, 800, 30 * len(part), worth, 10 * worth, part, quiet)


def cohorts() -> Cohorts:
    """Seven months, the last not over; the sixth came back far less than those before."""
    sizes = (400, 300, 280, 300, 310, 290, 120)
    found = [
        Cohort(
            date(2024, 1 + place, 1),
            tuple(
                round(size * (1.0 if not after else (0.12 if place == 4 else 0.4) / after))
                for after in range(len(sizes) - place)
            ),
        )
        for place, size in enumerate(sizes)
    ]
    return Cohorts("month", True, tuple(found), unfinished=True, begun=False)


def funnels(segments: Sequence[Segment]) -> dict[str, Funnel]:
    """Every second segment buys seldom."""
    found = {}
    for place, one in enumerate(segments):
        days = 10 * one.customers
        bought = days // (40 if place % 2 else 5)
        steps = (
            Step("view", 8 * one.customers, one.customers), Step("cart_add", days // 4,
            one.customers // 2), Step("value", bought + 1, one.customers // 3),
        )  # fmt: skip
        found[one.segment_id] = Funnel(one.segment_id, one.customers, days, steps, bought)
    whole = Funnel(
        "",
        sum(one.customers for one in found.values()),
        sum(one.days for one in found.values()),
        tuple(
            Step(
                kind,
                sum(one.steps[place].days for one in found.values()),
                sum(one.steps[place].customers for one in found.values()),
            )
            for place, kind in enumerate(("view", "cart_add", "value"))
        ),
        sum(one.looked_and_bought for one in found.values()),
    )
    return {"": whole, **found}


def _trend(segment: Segment, *, money: bool) -> tuple[Period, ...]:
    return tuple(
        Period(
            date(2024, 1, 5) + timedelta(days=7 * week), segment.customers // (2 + week % 3),
            segment.customers // 3 + week, 1000.0 + 10 * week if money else None,
        )
        for week in range(28)
    )  # fmt: skip
