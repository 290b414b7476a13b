"""The section on the behaviour model: which events the embeddings of some customers rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from shoal.domain.kinds import KINDS
from shoal.report.document_model import ModelSeen, RestsOn, RestsOnEvent
from shoal.report.draw import Happened, Series, bars, timeline
from shoal.report.names import clean, clipped
from shoal.report.numbers import grouped
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: Events that are named together as the weightiest.
_FOREMOST: Final = 3


@dataclass(frozen=True)
class Example:
    """One customer: a heading, a line of words, the strip of events."""

    title: str
    line: str
    plot: Plot


@dataclass(frozen=True)
class ModelView:
    """What the template shows; `remarks` are sentences under the lead."""

    lead: str
    remarks: Sequence[str] = ()
    fields: Plot | None = None
    examples: Sequence[Example] = ()


def model(teller: Teller, seen: ModelSeen | None) -> ModelView | None:
    """The section; None for a shop without a model, or none of whose customers can be shown."""
    if seen is None:
        return None
    texts = teller.wording.texts
    if not seen.readable:
        return ModelView(texts("model.unreadable", model=clean(seen.model_id)))
    shown = [(name, one) for name, one in seen.examples.items() if one.events]
    if not shown:
        return None
    lead = texts("model.lead", model=clean(seen.model_id), day=teller.day(seen.trained_until))
    return ModelView(
        lead,
        _remarks(teller, seen),
        _fields(teller, seen),
        [_example(teller, place, *one) for place, one in enumerate(shown)],
    )


def _remarks(teller: Teller, seen: ModelSeen) -> list[str]:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    said = []
    if seen.apart is not None:
        said.append(
            texts("model.apart", n=numbers.count(len(seen.examples)), distance=_far(seen.apart))
        )
    if len(teller.wording.document.segments) > len(seen.examples):
        said.append(texts("model.more", n=numbers.count(len(seen.examples))))
    if seen.foreknown:
        moment = teller.wording.document.provenance.as_of
        said.append(texts("model.foreknown", day=teller.day(moment)))
    return said


def _fields(teller: Teller, seen: ModelSeen) -> Plot | None:
    texts = teller.wording.texts
    found = [(_field(teller, name), value) for name, value in seen.fields.items()]
    if not found:
        return None
    shown = [_far(value) for _, value in found]
    title = texts("model.fields")
    return Plot(
        key="model-fields",
        title=title,
        drawing=bars(
            [name for name, _ in found],
            [Series(title, [value for _, value in found], shown)],
            texts("model.fields_alt", name=found[0][0], value=shown[0]),
        ),
        table=Table(
            [texts("model.field"), texts("model.occlusion")],
            [[name, text] for (name, _), text in zip(found, shown, strict=True)],
        ),
        note=texts("model.fields_note"),
    )


def _example(teller: Teller, place: int, segment_id: str, one: RestsOn) -> Example:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    n = len(one.events)
    key = "model.all_events" if n == one.total else "model.last_events"
    said = [texts(key, n=numbers.count(n), total=numbers.count(one.total))]
    if n > _FOREMOST and one.held_by(_FOREMOST):
        share = numbers.share(one.held_by(_FOREMOST))
        said.append(texts("model.held", k=numbers.count(_FOREMOST), share=share))
    title = texts(
        "model.example", customer=clean(one.customer_id, 40), name=teller.quoted(segment_id)
    )
    return Example(title, texts("punct.between").join(said), _strip(teller, place, one))


def _strip(teller: Teller, place: int, one: RestsOn) -> Plot:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    kinds = [kind for kind in KINDS if any(event.kind == kind for event in one.events)]
    days = [numbers.day(_local(teller, event.moment).date()) for event in one.events]
    marks = [
        Happened(kinds.index(event.kind), event.occlusion, day, _said(teller, event, day))
        for event, day in zip(one.events, days, strict=True)
    ]
    (first,) = one.foremost(1)
    alt = texts(
        "model.strip_alt",
        n=numbers.count(len(marks)),
        first=days[0],
        last=days[-1],
        event=_about(teller, first),
        day=numbers.day(_local(teller, first.moment).date()),
        value=_far(first.occlusion),
    )
    return Plot(
        key=f"model-{place + 1}",
        title=texts("model.strip"),
        drawing=timeline(
            [_kind(teller, kind) for kind in kinds], marks, alt, end=texts("model.now")
        ),
        table=_table(teller, one),
        wide=True,
    )


def _table(teller: Teller, one: RestsOn) -> Table:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    columns = ["model.when", "model.what", "model.which", "model.occlusion", "model.gradient"]
    rows = [
        [
            numbers.moment(_local(teller, event.moment)),
            _kind(teller, event.kind),
            clipped(_which(event), 80) if _which(event) else "",
            _far(event.occlusion),
            _far(event.gradient),
        ]
        for event in one.events
    ]
    return Table([texts(name) for name in columns], rows, text_columns=frozenset({0, 1, 2}))


def _said(teller: Teller, event: RestsOnEvent, day: str) -> str:
    return f"{day}: {_about(teller, event)}: {_far(event.occlusion)}"


def _about(teller: Teller, event: RestsOnEvent) -> str:
    """The event in a few words: what was done, and with what."""
    kind, which = _kind(teller, event.kind), _which(event)
    if not which:
        return kind
    return teller.wording.texts("model.about", kind=kind, what=clean(which, 60))


def _which(event: RestsOnEvent) -> str:
    """The item's title (or a search's words), else its id, else the category."""
    return event.title or event.item_id or event.category


def _kind(teller: Teller, kind: str) -> str:
    return teller.wording.texts(f"kind.{kind}")


def _field(teller: Teller, name: str) -> str:
    texts = teller.wording.texts
    key = f"model.field.{name}"
    return texts(key) if texts.known(key) else name


def _local(teller: Teller, moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo(teller.wording.document.provenance.time_zone))


def _far(distance: float) -> str:
    """A distance, to two digits: finer is not seen, and not the same on another machine."""
    return "<0.01" if 0 < distance < 0.005 else grouped(distance, 2)
