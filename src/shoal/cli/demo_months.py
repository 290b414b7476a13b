"""The demo's months of change: segments made twelve weeks ago, and looks at them since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from shoal.cli.adjust import ACTIONS
from shoal.cli.backtest import show_backtest
from shoal.cli.console import Console
from shoal.domain.errors import InputError
from shoal.domain.time import parse_moment

if TYPE_CHECKING:
    from datetime import datetime

    from shoal.shop import Shop

#: From look to look, whole weeks: none stands on another weekday.
_SPAN: Final = timedelta(days=42)
_SPANS: Final = 2
#: Features that an alarm names.
_NAMED: Final = 3


def months(console: Console, shop: Shop) -> str | None:
    """Segment as of twelve weeks ago, later in a shorter log, and look every six weeks since.

    On features: a behaviour model trained today knows too much for that.

    Returns:
        The id of the first version; None where the log is too short for an earlier one.
    """
    last = parse_moment(shop.status()["to"])
    ends = last.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    made = _first(console, shop, ends)
    if made is None:
        console.say("   The log is too short for segments of six weeks ago.")
        return None
    first, began = made
    moment = began + _SPAN
    while moment <= ends:
        # The last look is of now, just after the latest event.
        asked = None if moment == ends else moment
        found = shop.adjust(as_of=asked, retrain=False, progress=console.progress())
        _tell(console, found.as_document())
        if found.waiting is not None:
            word = shop.adjust(approve=found.waiting, by="the demo").as_document()
            console.say(
                f"               The demo says yes: {word['published']} is in force; "
                f"{word['moved']:.1%} of customers moved for it"
            )
        moment += _SPAN
    return first


def show_worth(console: Console, shop: Shop, first: str) -> None:
    """What following the customers was worth, beside the first segments left as they were."""
    try:
        found = shop.backtest(
            against=first, periods=_SPANS, period_days=_SPAN.days, progress=console.progress()
        )
    except InputError as error:
        if error.code != "too_little_data":
            raise
        console.say(f"   {error.message}.")
        return
    show_backtest(console, found)


def _first(console: Console, shop: Shop, ends: datetime) -> tuple[str, datetime] | None:
    """The id of the first version and its moment, as early as one can be made."""
    for count in range(_SPANS, 0, -1):
        moment = ends - count * _SPAN
        try:
            found = shop.segment(on="features", until=moment, progress=console.progress())
        except InputError as error:
            if error.code != "too_little_data":
                raise
            continue
        segments = shop.segments(found.ids[0])
        names = ", ".join(one["name"]["en"] for one in segments["segments"][:-1])
        console.say(f"   {moment:%Y-%m-%d}  {found.ids[0]}, {segments['k']} segments: {names}")
        return found.ids[0], moment
    return None


def _tell(console: Console, look: Mapping[str, Any]) -> None:
    """A look in a few lines: what was noticed, since when, by what, and what was done for it."""
    told = [_alarm(one) for one in look["alarms"]] or ["nothing"]
    console.say(f"   {look['as_of'][:10]}  noticed: {'; '.join(told)}")
    for one in look["adjustments"]:
        what = ACTIONS.get(one["action"], one["action"])
        which = " ".join(["segments", *one["segments"], what])
        gain = "" if one["action"] == "keep" else f" (gain {one['gain']:.2%})"
        said = "asks" if one["approval"] else "done"
        console.say(f"               {said}: {which}{gain}. {one['words']['en']}")
    for one in look["changes"]:
        console.say(f"               {one['sentence']['en']}")
    if look["published"]:
        console.say(
            f"               {look['published']} is in force; {look['moved']:.1%} of customers "
            "moved for it"
        )


def _alarm(one: Mapping[str, Any]) -> str:
    harm = {True: ", harmful", False: ", harmless so far"}.get(one["harmful"], "")
    names = ", ".join(one["features"][:_NAMED])
    by = f", above all {names}" if names else ""
    return (
        f"{one['subject']} changed since {one['since'][:10]} ({one['size']:.2g} {one['unit']}"
        f"{by}{harm})"
    )
