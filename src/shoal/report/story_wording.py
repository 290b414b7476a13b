"""Words that the sections of the story share: what was brought, by how much it changed, names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from shoal.domain.segment import TIER_NEW
from shoal.report.document import Segment
from shoal.report.document_story import Moves
from shoal.report.names import clean
from shoal.report.numbers import MISSING
from shoal.report.wording import Wording


@dataclass(frozen=True)
class Teller:
    """Sentences and names of one document's story."""

    wording: Wording

    @cached_property
    def segments(self) -> dict[str, tuple[Segment, str]]:
        """Each segment by id, with the anchor of its part of the page."""
        document = self.wording.document
        found = {
            one.segment_id: (one, f"segment-{place + 1}")
            for place, one in enumerate(document.segments)
        }
        if document.tier:
            found[TIER_NEW] = (document.tier, "tier")
        return found

    @property
    def order(self) -> list[str]:
        """Ids of the segments as the page orders them, then of those in which nobody is now."""
        moves = self.wording.document.story.moves
        then = [one.segment_id for one in moves.standings if one.then] if moves else []
        return list(dict.fromkeys([*self.segments, *then]))

    def name(self, segment_id: str) -> str:
        """The name of a segment; its id where it has none."""
        known = self.segments.get(segment_id)
        if known:
            return known[0].name
        if segment_id == TIER_NEW:
            return self.wording.texts("tier.name")
        moves = self.wording.document.story.moves
        return moves.names.get(segment_id, segment_id) if moves else segment_id

    def quoted(self, segment_id: str) -> str:
        """The name in quotation marks, for use inside a sentence."""
        return self.wording.texts("punct.quote", text=clean(self.name(segment_id), 80))

    def worth(self, value: float) -> str:
        """What was brought, with its unit: money, or a number of value events."""
        wording = self.wording
        if wording.document.has_money:
            return wording.numbers.short_money(value)
        return wording.texts(
            "worth.orders", n=wording.numbers.count(value), what=wording.value_events()
        )

    def worth_cell(self, value: float) -> str:
        """The same for a cell under a heading that says what it is."""
        numbers = self.wording.numbers
        if self.wording.document.has_money:
            return numbers.money(value)
        return numbers.count(value)

    def worth_noun(self) -> str:
        """What was brought, as a heading over amounts that say their currency."""
        wording = self.wording
        if wording.document.has_money:
            return wording.texts("col.revenue")
        return wording.value_events_title()

    def worth_title(self) -> str:
        """What was brought, as a heading over bare numbers."""
        document = self.wording.document
        unit = f" ({document.currency})" if document.has_money and document.currency else ""
        return self.worth_noun() + unit

    def change(self, now: float, then: float) -> str:
        """By which share of itself something changed, with its sign.

        A change from nothing, or from less than nothing, has no share.
        """
        if then <= 0:
            return MISSING
        share = (now - then) / then
        text = self.wording.numbers.share(share)
        return f"+{text}" if share > 0 else text

    def customers(self, count: int) -> str:
        return self.wording.texts.counted("customer", count, self.wording.numbers.count(count))

    def days(self, days: float) -> str:
        """A length of time in whole days; in tenths below three."""
        whole = round(days) if days >= 3 else round(days, 1)
        return self.wording.texts.counted(
            "day", 1 if whole == 1 else 2, self.wording.numbers.plain(whole)
        )

    def day(self, moment: datetime) -> str:
        """The moment as a day of the shop's zone, with its time where it is not midnight."""
        local = moment.astimezone(ZoneInfo(self.wording.document.provenance.time_zone))
        numbers = self.wording.numbers
        midnight = local.hour == local.minute == local.second == 0
        return numbers.day(local.date()) if midnight else numbers.moment(local)

    def span(self, moves: Moves) -> dict[str, str]:
        """The comparison date and the length of the span since, for a sentence."""
        return {"day": self.day(moves.since), "days": self.days(moves.days)}

    def absent(self, part: str) -> str:
        """Why a part is not there, where the page says so."""
        key = f"absent.{part}.{self.wording.document.story.absent.get(part, '')}"
        return self.wording.texts(key) if self.wording.texts.known(key) else ""
