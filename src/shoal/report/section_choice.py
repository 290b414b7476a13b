"""The section on how many segments there are, and on what they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.report import figures
from shoal.report.document_reasons import Choice, HeadFigure
from shoal.report.names import clean
from shoal.report.numbers import MISSING
from shoal.report.views import Plot, Table
from shoal.report.wording import Wording

#: Rules by which a number of segments is chosen (`shoal.segments.choose`).
NEXT_PERIOD = "next_period"
NO_GROUPS = "no_groups"
#: Aims of segments (`shoal.workflows.segment_outlook`).
_STYLE, _FORETELL = "style", "foretell"


@dataclass(frozen=True)
class ChoiceView:
    """What the template shows; `none` says that customers form no groups."""

    none: bool
    reason: str
    sentences: Sequence[str]
    plots: Sequence[Plot] = ()
    strengths: Table | None = None
    head: Table | None = None


def choice(wording: Wording, found: Choice | None) -> ChoiceView | None:
    """The section; None for segments whose number nobody chose, such as those of rules."""
    if found is None:
        return None
    texts = wording.texts
    told = texts("choice.told") if found.rule == "told" else ""
    plots = [_score(wording, found), _trust(wording, found), _outlook(wording, found)]
    sentences = [*_how(wording, found), *_aim(wording, found)]
    return ChoiceView(
        found.rule == NO_GROUPS,
        clean(found.reason, 600) if found.reason else told,
        sentences,
        [one for one in plots if one is not None],
        _strengths(wording, found),
        _head(wording, found.head) if found.head else None,
    )


def _how(wording: Wording, found: Choice) -> list[str]:
    if found.rule != NEXT_PERIOD or not found.horizon_days:
        return []
    said = [wording.texts("choice.how", days=_days(wording, found.horizon_days))]
    if any(one.eligible for one in found.candidates):
        said.append(wording.texts("choice.how_chosen"))
    return [wording.texts("punct.between").join(said)]


def _aim(wording: Wording, found: Choice) -> list[str]:
    """What segments are made on, where the segmentation says so."""
    texts = wording.texts
    if not found.aim or found.rule == NO_GROUPS:
        return []
    if found.aim == _STYLE:
        return [texts("choice.aim_style")]
    if found.alone:
        return [texts("choice.aim_outlook")]
    if found.styles is None:
        return [texts("choice.aim_no_head")]
    if found.styles >= found.chosen:
        return [texts("choice.aim_none")]
    styles = texts.counted("style", found.styles, wording.numbers.count(found.styles))
    key = "choice.aim_best" if found.aim == _FORETELL else "choice.aim_staged"
    return [texts(key, styles=styles)]


def _days(wording: Wording, days: int) -> str:
    return wording.texts.counted("day", days, wording.numbers.count(days))


def _score(wording: Wording, found: Choice) -> Plot | None:
    """Score of each number with its standard error; stability where nothing is foretold."""
    texts = wording.texts
    foretold = found.rule == NEXT_PERIOD
    tried = [
        one
        for one in found.candidates
        if (one.score if foretold else one.stability) is not None
    ]  # fmt: skip
    if len(tried) < 2:
        return None
    key = "next_period" if found.relative else "next_period_share"
    days = _days(wording, found.horizon_days or 0)
    what = texts(f"choice.{key}", days=days) if foretold else texts("choice.stability")
    notes = [texts("choice.error")] if foretold else []
    if not all(one.eligible for one in tried):
        notes.append(texts("choice.left_out"))
    alt = texts("choice.alt", low=tried[0].k, high=tried[-1].k, what=what, k=found.chosen)
    return Plot(
        key="choice",
        title=what,
        drawing=figures.choice(found, alt, texts, wording.numbers),
        table=_table(wording, found),
        note=texts("punct.between").join(notes),
    )


def _table(wording: Wording, found: Choice) -> Table:
    texts, numbers = wording.texts, wording.numbers
    rows = [
        [
            str(one.k), _decimal(one.score), _decimal(one.spread), _decimal(one.stability),
            _decimal(one.strength), numbers.share(one.smallest),
            clean(texts("col.chosen") if one.k == found.chosen else one.note, 200)
            if one.k == found.chosen or one.note else "",
        ]
        for one in found.candidates
    ]  # fmt: skip
    columns = [
        texts("col.k"), texts("col.score"), texts("col.spread"), texts("col.stability"),
        texts("choice.strength"), texts("col.smallest"), texts("col.note"),
    ]  # fmt: skip
    return Table(columns, rows, text_columns=frozenset({6}))


def _trust(wording: Wording, found: Choice) -> Plot | None:
    """Stability and prediction strength of each number."""
    texts = wording.texts
    known = [
        one for one in found.candidates if one.stability is not None and one.strength is not None
    ]
    if len(known) < 2:
        return None
    taken = next((one for one in known if one.k == found.chosen), None)
    if taken is None:
        return None
    alt = texts(
        "choice.trust_alt",
        low=known[0].k,
        high=known[-1].k,
        k=taken.k,
        stability=_decimal(taken.stability),
        strength=_decimal(taken.strength),
    )
    return Plot(
        key="trust",
        title=texts("choice.trust"),
        drawing=figures.trust(known, alt, texts),
        table=Table(
            [texts("col.k"), texts("col.stability"), texts("choice.strength")],
            [[str(one.k), _decimal(one.stability), _decimal(one.strength)] for one in known],
        ),
        note=texts("choice.trust_note"),
    )


def _outlook(wording: Wording, found: Choice) -> Plot | None:
    """Score of each number of styles that was tried."""
    texts = wording.texts
    if len(found.tried) < 2 or found.styles is None:
        return None
    best = max(found.tried, key=lambda one: one.score)
    # Where there are no groups, nothing was cut at all.
    taken = None if found.rule == NO_GROUPS else found.styles
    alt = texts("choice.outlook_alt", best=str(best.styles))
    rows = [
        [
            str(one.styles), _decimal(one.score), _decimal(one.spread),
            texts("col.chosen") if one.styles == taken else "",
        ]
        for one in found.tried
    ]  # fmt: skip
    columns = [texts("choice.styles"), texts("col.score"), texts("col.spread"), texts("col.note")]
    return Plot(
        key="outlook",
        title=texts("choice.outlook"),
        drawing=figures.tried(found.tried, taken, alt, texts, wording.numbers),
        table=Table(columns, rows, text_columns=frozenset({3})),
        note=texts("choice.error"),
    )


def _strengths(wording: Wording, found: Choice) -> Table | None:
    """Prediction strengths that deny groups."""
    if found.rule != NO_GROUPS or not found.strengths:
        return None
    rows = [[str(k), _decimal(one)] for k, one in sorted(found.strengths.items())]
    return Table([wording.texts("col.k"), wording.texts("choice.strength")], rows)


def _head(wording: Wording, found: Sequence[HeadFigure]) -> Table:
    """What the next-period head foretold of the last period, and what came."""
    texts = wording.texts
    rows = []
    for one in found:
        key = f"choice.outcome.{one.outcome}"
        name = texts(key) if texts.known(key) else clean(one.outcome, 60)
        share = one.outcome in ("next_active", "next_ordered")
        money = one.outcome == "next_spend"
        rows.append(
            [
                name,
                *(_amount(wording, value, share, money) for value in (one.came, one.foretold)),
                _goodness(wording, one),
            ]
        )
    columns = [
        texts("choice.outcome"), texts("choice.came"), texts("choice.foretold"),
        texts("choice.worth"),
    ]  # fmt: skip
    return Table(columns, rows)


def _amount(wording: Wording, value: float, share: bool, money: bool) -> str:
    if share:
        return wording.numbers.share(value)
    return wording.numbers.money(value) if money else wording.numbers.plain(value)


def _goodness(wording: Wording, one: HeadFigure) -> str:
    if one.area is not None:
        return wording.texts("choice.area", value=f"{one.area:.2f}")
    return MISSING if one.rank is None else wording.texts("choice.rank", value=f"{one.rank:.2f}")


def _decimal(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"
