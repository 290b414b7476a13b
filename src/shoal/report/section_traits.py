"""The section on protected traits: how segments fall by what they were not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shoal.report.document_reasons import Protected, Trait
from shoal.report.draw import heat
from shoal.report.names import clean, clipped
from shoal.report.numbers import MISSING
from shoal.report.story_wording import Teller
from shoal.report.views import Plot, Table

#: Share points from everybody's share at which the colour is darkest.
_REACH: Final = 0.2
#: Segments that the figure shows, those that bring most; the table has all.
_DRAWN: Final = 20


@dataclass(frozen=True)
class TraitView:
    """One trait."""

    title: str
    sentences: Sequence[str]
    plot: Plot


@dataclass(frozen=True)
class TraitsView:
    """What the template shows."""

    lead: str
    nobody: str
    traits: Sequence[TraitView] = ()


def traits(teller: Teller, found: Protected | None) -> TraitsView | None:
    """The section; None for a document that does not say."""
    if found is None:
        return None
    texts = teller.wording.texts
    marked = texts("list.comma").join(_trait_name(teller, name) for name in found.marked)
    features = texts("list.semicolon").join(clean(name, 60) for name in found.left_out)
    if found.ruled:
        lead = texts("traits.ruled", marked=marked)
    elif found.used:
        used = texts("list.semicolon").join(clean(name, 60) for name in found.used)
        lead = texts("traits.used", marked=marked, features=used)
    elif features:
        lead = texts("traits.note", marked=marked, features=features)
    else:
        lead = texts("traits.note_none", marked=marked)
    told = [_trait(teller, found, one, place) for place, one in enumerate(found.traits)]
    return TraitsView(lead, "" if told else texts("traits.nobody"), told)


def _trait_name(teller: Teller, name: str) -> str:
    texts = teller.wording.texts
    plain = name.removeprefix("trait_")
    key = f"traits.trait.{plain}"
    return texts(key) if texts.known(key) else clean(plain, 40)


def _trait(teller: Teller, found: Protected, one: Trait, place: int) -> TraitView:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    name = _trait_name(teller, one.name)
    gap = _gap(teller, found, one)
    sentences = [gap]
    if one.association is not None:
        sentences.append(texts("traits.association", v=f"{one.association:.2f}"))
    if one.unknown:
        known, unknown = teller.customers(one.known), numbers.count(one.unknown)
        sentences.append(texts("traits.known", known=known, unknown=unknown))
    return TraitView(name, sentences, _plot(teller, one, name, gap, f"trait-{place}"))


def _gap(teller: Teller, found: Protected, one: Trait) -> str:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    if one.gap is None:
        return texts("traits.no_gap", fewest=numbers.count(found.fewest))
    points = 100 * (one.gap.share - one.gap.share_of_all)
    return texts(
        "traits.gap",
        value=_value(teller, one.gap.value),
        share=numbers.share(one.gap.share),
        name=teller.quoted(one.gap.segment_id),
        all=numbers.share(one.gap.share_of_all),
        gap=numbers.signed(points, 1),
    )


def _value(teller: Teller, value: str) -> str:
    texts = teller.wording.texts
    if value == "other":
        return texts("traits.value.other")
    return texts("punct.quote", text=clean(value, 40))


def _plot(teller: Teller, one: Trait, name: str, gap: str, key: str) -> Plot:
    texts, numbers = teller.wording.texts, teller.wording.numbers
    known = {each.segment_id: each for each in one.segments}
    order = [each for each in teller.order if each in known]
    drawn = [each for each in order if known[each].known][:_DRAWN]
    labels = [
        texts("traits.other") if value == "other" else clean(value, 40) for value in one.values
    ]
    shown = [[f"{100 * share:.0f}" for share in known[each].shares] for each in drawn]
    # One segment of everybody has no gap anywhere: colours would say nothing, numbers do.
    gaps: list[list[float | None]] = [
        [share - whole for share, whole in zip(known[each].shares, one.shares, strict=True)]
        for each in drawn
    ]
    everyone: list[float | None] = [0.0] * len(labels)
    rows = [
        [
            clipped(teller.name(each)), numbers.count(known[each].known),
            *(_share(teller, share, known[each].known) for share in known[each].shares),
        ]
        for each in order
    ]  # fmt: skip
    rows.append(
        [
            texts("traits.all"),
            numbers.count(one.known),
            *(numbers.share(each) for each in one.shares),
        ]
    )
    notes = [texts("traits.figure_note", trait=name, reach=numbers.plain(100 * _REACH))]
    if sum(1 for each in order if known[each].known) > len(drawn):
        notes.append(texts("segments.foremost", n=len(drawn)))
    links = [teller.segments[each][1] if each in teller.segments else None for each in order]
    return Plot(
        key=key,
        title=f"{texts('traits.figure')} (%)",
        drawing=heat(
            [*(clean(teller.name(each), 60) for each in drawn), texts("traits.all")],
            labels,
            [*gaps, everyone],
            [*shown, [f"{100 * share:.0f}" for share in one.shares]],
            texts("traits.alt", trait=name, gap=gap),
            both_ways=True,
            reach=_REACH,
        ),
        table=Table([texts("col.segment"), texts("traits.known_col"), *labels], rows,
                    links=[*links, None]),
        note=texts("punct.between").join(notes),
        wide=True,
    )  # fmt: skip


def _share(teller: Teller, share: float, known: int) -> str:
    return teller.wording.numbers.share(share) if known else MISSING
