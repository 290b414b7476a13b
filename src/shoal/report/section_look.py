"""The section that says first what moved and what to look at, each with its numbers.

Statements are ranked by the share of customers, revenue or active days that they concern; errors in
the data come first, because other figures rest on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shoal.domain.segment import TIER_NEW
from shoal.report.document_story import Cohort, Moves, Standing
from shoal.report.section_cohorts import period_name
from shoal.report.section_funnel import conversion, step_name
from shoal.report.story_wording import Teller

#: What is said is at most this much, the weightiest first.
_MOST: Final = 7
#: A change of worth beside the shop's is told from this share of what it would have been with the
#: shop's change, and from this share of the shop's worth on.
_OWN_CHANGE: Final = 0.1
_SHOP_CHANGE: Final = 0.01
#: A flow between two segments is told from this share of the source on, and as many customers.
_FLOW: Final = 0.05
_FLOW_CUSTOMERS: Final = 10
#: A segment seldom goes on where its conversion is below this share of everyone's.
_SELDOM: Final = 0.7
#: Cohorts before the last one that it is compared with, and standard errors that tell a difference.
_COHORTS_BEFORE: Final = 6
_BEYOND_CHANCE: Final = 2.0
#: Rows that could not be used are told from this share on.
_UNUSABLE: Final = 0.02


@dataclass(frozen=True)
class Look:
    """One thing to look at: what, and where on the page it is shown."""

    sentence: str
    anchor: str
    section: str


@dataclass(frozen=True)
class LookView:
    """What the template shows; `since` is the heading of what moved."""

    since: str
    moved: Sequence[str]
    looks: Sequence[Look]


def look(teller: Teller) -> LookView | None:
    """The section; None for a document without segments."""
    document, texts = teller.wording.document, teller.wording.texts
    if not document.segments:
        return None
    found = document.story.moves
    ranked = sorted(
        (one for source in _SOURCES for one in source(teller)), key=lambda pair: -pair[0]
    )
    return LookView(
        texts("look.moved", day=teller.day(found.since)) if found else "",
        _moved(teller, found, document.story.moves_before) if found else (),
        [one for _, one in ranked[:_MOST]],
    )


# --- What moved -----------------------------------------------------------------------------------


def _moved(teller: Teller, found: Moves, before: Moves | None) -> list[str]:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    span = teller.span(found)
    said = [
        texts("moved.known", customers=teller.customers(found.known_now), day=span["day"],
              new=numbers.count(found.new)),
    ]  # fmt: skip
    if found.whole:
        then = sum(one.worth_then for one in found.standings)
        now = sum(one.worth_now for one in found.standings)
        said.append(
            texts("moved.active", now=numbers.count(found.active_now),
                  then=numbers.count(found.active_then), days=span["days"],
                  change=teller.change(found.active_now, found.active_then))
        )  # fmt: skip
        said.append(
            texts("moved.worth", now=teller.worth(now), then=teller.worth(then),
                  days=span["days"], change=teller.change(now, then))
        )  # fmt: skip
    if found.kept:
        sentence = texts("moved.changed", **_changed(teller, found))
        if before and before.kept:
            earlier = texts("moved.changed_before", days=span["days"], **_changed(teller, before))
            sentence = texts("punct.between").join((sentence, earlier))
        said.append(sentence)
    if found.placed:
        said.append(texts("moved.placed", placed=teller.customers(found.placed)))
    said += _exchanged(teller, found)
    if found.gone:
        said.append(texts("moved.gone", gone=teller.customers(found.gone)))
    return said


def _changed(teller: Teller, found: Moves) -> dict[str, str]:
    numbers = teller.wording.numbers
    return {
        "kept": teller.customers(found.kept),
        "changed": numbers.count(found.changed),
        "share": numbers.share(found.changed / found.kept),
    }


def _exchanged(teller: Teller, found: Moves) -> list[str]:
    """The segments that gained and lost most by exchange with the others."""
    joined = {one.segment_id: 0 for one in found.standings if one.segment_id != TIER_NEW}
    left = dict(joined)
    for one in found.changes:
        joined[one.target] += one.customers
        left[one.source] += one.customers
    if len(joined) < 3:
        return []
    ranked = sorted(joined, key=lambda name: (left[name] - joined[name], name))
    said = []
    for key, name, net in (
        ("moved.gain", ranked[0], joined[ranked[0]] - left[ranked[0]]),
        ("moved.loss", ranked[-1], left[ranked[-1]] - joined[ranked[-1]]),
    ):
        if net > 0:
            numbers = teller.wording.numbers
            said.append(
                teller.wording.texts(
                    key, name=teller.quoted(name), joined=numbers.count(joined[name]),
                    left=numbers.count(left[name]),
                )
            )  # fmt: skip
    return said


# --- What to look at ------------------------------------------------------------------------------

Weighed = tuple[float, Look]


def _see(teller: Teller, sentence: str, anchor: str, title: str) -> Look:
    return Look(sentence, anchor, teller.wording.texts(title))


def _at(teller: Teller, sentence: str, segment_id: str) -> Look:
    """A look at one segment's part."""
    known = teller.segments.get(segment_id)
    return Look(sentence, known[1] if known else "segments", teller.name(segment_id))


def _quality(teller: Teller) -> Iterator[Weighed]:
    document, texts, numbers = teller.wording.document, teller.wording.texts, teller.wording.numbers
    errors = [
        one for one in (document.quality.findings if document.quality else ())
        if one.severity == "error"
    ]  # fmt: skip
    if errors:
        count = texts.counted("error", len(errors), numbers.count(len(errors)))
        yield 3.0, _see(teller, texts("look.quality", errors=count), "quality", "quality.title")
    rows = document.rows
    if rows.read and rows.quarantined / rows.read >= _UNUSABLE:
        sentence = texts(
            "look.quarantined",
            bad=numbers.count(rows.quarantined),
            rows=texts.counted("row", rows.read, numbers.count(rows.read)),
            share=numbers.share(rows.quarantined / rows.read),
        )
        yield 2.0, _see(teller, sentence, "data", "data.title")


def _quiet(teller: Teller) -> Iterator[Weighed]:
    found, texts = teller.wording.document.story.stake, teller.wording.texts
    if found is None or not found.customers or found.worth_all <= 0:
        return
    share = found.worth / found.worth_all
    sentence = texts(
        "look.quiet",
        customers=teller.customers(found.customers),
        worth=teller.worth(found.worth),
        days=teller.days(found.window_days),
        share=teller.wording.numbers.share(share),
        what=teller.wording.what(),
    )
    name, _, worth = found.by_segment[0]
    if len(found.by_segment) > 1:
        most = texts("look.quiet_most", worth=teller.worth(worth), name=teller.quoted(name))
        sentence = texts("punct.between").join((sentence, most))
    yield share, _see(teller, sentence, "stake", "stake.title")


def _worth(teller: Teller) -> Iterator[Weighed]:
    """The segments whose worth fell and rose most beside that of the whole shop.

    What the season does to everybody says nothing of a segment.
    """
    found = teller.wording.document.story.moves
    if found is None or not found.whole:
        return
    then = sum(one.worth_then for one in found.standings)
    now = sum(one.worth_now for one in found.standings)
    if then <= 0 or now <= 0:
        return

    def beside(one: Standing) -> float:
        return one.worth_now - one.worth_then * now / then

    known = [one for one in found.standings if one.segment_id in teller.segments]
    if not known:
        return
    for one in (min(known, key=beside), max(known, key=beside)):
        weight = abs(beside(one)) / now
        expected = max(one.worth_then * now / then, 0.0)
        if weight < _SHOP_CHANGE or abs(beside(one)) < _OWN_CHANGE * expected:
            continue
        sentence = teller.wording.texts(
            "look.worth",
            name=teller.quoted(one.segment_id),
            now=teller.worth(one.worth_now),
            then=teller.worth(one.worth_then),
            change=teller.change(one.worth_now, one.worth_then),
            whole=teller.change(now, then),
            **teller.span(found),
        )
        yield weight, _at(teller, sentence, one.segment_id)


def _flow(teller: Teller) -> Iterator[Weighed]:
    found = teller.wording.document.story.moves
    first = next(iter(found.changes), None) if found else None
    standing = found.standing(first.source) if found and first else None
    if found is None or first is None or standing is None or first.customers < _FLOW_CUSTOMERS:
        return
    share = first.customers / standing.then
    if share < _FLOW:
        return
    sentence = teller.wording.texts(
        "look.flow",
        customers=teller.customers(first.customers),
        source=teller.quoted(first.source),
        target=teller.quoted(first.target),
        share=teller.wording.numbers.share(share),
    )
    yield first.customers / found.kept, _see(teller, sentence, "moves", "moves.title")


def _funnel(teller: Teller) -> Iterator[Weighed]:
    """The segment on whose days with a view most purchases are missing, against everyone's."""
    found = teller.wording.document.story.funnels
    everyone = conversion(found[""]) if "" in found else None
    viewed = found[""].step("view") if "" in found else None
    if not everyone or viewed is None:
        return
    lost: list[tuple[float, str]] = []
    for segment in teller.wording.document.segments:
        one = found.get(segment.segment_id)
        step = one.step("view") if one else None
        share = conversion(one) if one else None
        if step is not None and share is not None and share < _SELDOM * everyone:
            lost.append((step.days * (everyone - share), segment.segment_id))
    if not lost:
        return
    missing, name = max(lost)
    sentence = teller.wording.texts(
        "look.funnel",
        name=teller.quoted(name),
        step=step_name(teller, "value"),
        share=teller.wording.numbers.share(conversion(found[name])),
        all=teller.wording.numbers.share(everyone),
    )
    yield missing / viewed.days, _see(teller, sentence, "funnel", "funnel.title")


def _return(teller: Teller) -> Iterator[Weighed]:
    """Whether the last cohort that had a whole next period came back as those before it did."""
    found = teller.wording.document.story.cohorts
    if found is None:
        return
    needed = 3 if found.unfinished else 2
    # The oldest cohort holds customers of long standing, who come back more than new ones do.
    ready = [
        one for one in found.cohorts[0 if found.left_out else 1 :] if len(one.active) >= needed
    ]
    if len(ready) < 3:
        return
    last, before = ready[-1], ready[-1 - _COHORTS_BEFORE : -1]
    z, share, mean = _difference(last, before)
    if abs(z) < _BEYOND_CHANCE:
        return
    texts, numbers = teller.wording.texts, teller.wording.numbers
    sentence = texts(
        "look.return",
        customers=teller.customers(last.size),
        period=period_name(last.start, found.unit),
        share=numbers.share(share),
        unit=texts(f"cohorts.unit.{found.unit}"),
        n=numbers.count(len(before)),
        mean=numbers.share(mean),
    )
    everyone = sum(one.size for one in found.cohorts)
    yield last.size / everyone, _see(teller, sentence, "cohorts", "cohorts.title")


def _difference(last: Cohort, before: Sequence[Cohort]) -> tuple[float, float, float]:
    """How many standard errors the last cohort's return differs by; its share, and that before.

    The test of two proportions with their pooled variance.
    """
    came, of = sum(one.active[1] for one in before), sum(one.size for one in before)
    share, mean = last.active[1] / last.size, came / of
    pooled = (came + last.active[1]) / (of + last.size)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / last.size))
    return (share - mean) / error if error else 0.0, share, mean


_SOURCES: Final[Sequence[Callable[[Teller], Iterator[Weighed]]]] = (
    _quality, _quiet, _worth, _flow, _funnel, _return,
)  # fmt: skip
