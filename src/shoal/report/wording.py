"""The report's sentences: what was found, what sets a segment apart, what it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shoal.report.document import Effect, ReportDocument, Segment
from shoal.report.names import clean
from shoal.report.numbers import MISSING, Numbers
from shoal.report.texts import Texts

#: Words for a standardised difference: from this size on. The first three steps are Cohen's (1988),
#: the fourth is Sawilowsky's "very large" (2009).
STEPS: Final = ((1.2, "much_"), (0.8, ""), (0.5, "little_"), (0.2, "slightly_"))

#: Below this share of customers a segment's figures are called rough, and below this many.
_SMALL_SHARE: Final = 0.02
_SMALL_COUNT: Final = 50

#: A log shorter than this cannot show the seasons, in days.
_SHORT_DAYS: Final = 365


@dataclass(frozen=True)
class Wording:
    """Sentences about one document in one language."""

    document: ReportDocument
    texts: Texts
    numbers: Numbers

    # -- names and values ---------------------------------------------------------------------

    def name(self, segment: Segment) -> str:
        """A segment's name in quotation marks, for use inside a sentence."""
        return self.texts("punct.quote", text=clean(segment.name, 80))

    def what(self) -> str:
        """What counts as worth in this shop: revenue, or else its value events."""
        if self.document.has_money:
            return self.texts("what.revenue")
        return self.value_events()

    def value_events(self) -> str:
        """The shop's value events: orders, reviews, or the name of another kind."""
        kind = self.document.value_event
        if kind == "purchase":
            return self.texts("what.orders")
        if kind == "review":
            return self.texts("what.reviews")
        return self.texts("what.values", kind=clean(kind))

    def value_events_title(self) -> str:
        """The same as a heading."""
        kind = self.document.value_event
        if kind == "purchase":
            return self.texts("key.orders")
        if kind == "review":
            return self.texts("key.values.review")
        return self.texts("key.values.other", kind=clean(kind))

    def worth(self, segment: Segment) -> float:
        """A segment's share of what counts, as a fraction of the shop's."""
        if self.document.has_money:
            return (segment.revenue or 0.0) / (self.document.revenue or 1.0)
        return segment.orders / (self.document.orders or 1)

    def crowd(self, segment: Segment) -> float:
        """A segment's share of all customers."""
        return segment.customers / (self.document.customers or 1)

    def value(self, unit: str, number: float | None) -> str:
        """A feature's value in its unit: shares as %, money with its currency, times as
        times; counts as bare numbers, since their labels say what is counted."""
        if number is None:
            return MISSING
        if unit == "share":
            return self.numbers.share(number)
        if unit == "currency":
            return self.numbers.money(number)
        if unit == "days":
            # A tenth of a day is the finest that a reader needs.
            number = round(number, 1)
            return self.texts.counted("day", 1 if number == 1 else 2, self.numbers.plain(number))
        text = self.numbers.plain(number)
        key = f"unit.{unit}"
        return self.texts(key, n=text) if self.texts.known(key) else text

    # -- findings -----------------------------------------------------------------------------

    def findings(self) -> list[str]:
        """The headline in plain sentences, most important first."""
        document, texts = self.document, self.texts
        customers = texts.counted(
            "customer", document.customers, self.numbers.count(document.customers)
        )
        if not document.segments:
            return [texts("found.none", customers=customers), *self._unusable()]
        found = [self._placed(customers), self._top(), *self._concentration()]
        if len(document.segments) == 1:
            none = document.choice is not None and document.choice.rule == "no_groups"
            found = [found[0], texts("choice.none_found" if none else "found.single")]
        largest = max(document.segments, key=lambda one: one.customers)
        if len(document.segments) > 1 and largest is not max(document.segments, key=self.worth):
            found.append(
                texts(
                    "found.largest",
                    name=self.name(largest),
                    customers=self.numbers.share(self.crowd(largest)),
                )
            )
        if document.tier and document.has_money and self.worth(document.tier) > 0:
            found.append(
                texts("found.tier_money", value=self.numbers.share(self.worth(document.tier)))
            )
        return [*found, *self._unusable()]

    def _placed(self, customers: str) -> str:
        document = self.document
        segments = self.texts.counted(
            "segment", len(document.segments), self.numbers.count(len(document.segments))
        )
        if not document.tier or not document.tier.customers:
            return self.texts("found.placed_all", customers=customers, segments=segments)
        return self.texts(
            "found.placed",
            placed=self.numbers.count(document.placed),
            customers=customers,
            share=self.numbers.share(document.placed / document.customers),
            segments=segments,
            tier=self.numbers.count(document.tier.customers),
            tier_share=self.numbers.share(self.crowd(document.tier)),
        )

    def _top(self) -> str:
        top = max(self.document.segments, key=self.worth)
        return self.texts(
            "found.top_money" if self.document.has_money else "found.top_orders",
            name=self.name(top),
            customers=self.numbers.share(self.crowd(top)),
            value=self.numbers.share(self.worth(top)),
            **({} if self.document.has_money else {"orders": self.value_events()}),
        )

    def _concentration(self) -> list[str]:
        total, crowd, count = 0.0, 0.0, 0
        ranked = sorted(self.document.segments, key=self.worth, reverse=True)
        while total < 0.5 and count < len(ranked):
            total, crowd = total + self.worth(ranked[count]), crowd + self.crowd(ranked[count])
            count += 1
        # One segment is the sentence before; all of them say nothing.
        if total < 0.5 or count == 1 or count > len(ranked) // 2:
            return []
        return [
            self.texts(
                "found.concentrated",
                count=self.numbers.count(count),
                segments=self.texts.counted(
                    "segment", len(ranked), self.numbers.count(len(ranked))
                ),
                what=self.what(),
                customers=self.numbers.share(crowd),
            )
        ]

    def _unusable(self) -> list[str]:
        rows = self.document.rows
        if not rows.quarantined:
            return []
        return [
            self.texts(
                "found.quarantined",
                bad=self.numbers.count(rows.quarantined),
                rows=self.texts.counted("row", rows.read, self.numbers.count(rows.read)),
                share=self.numbers.share(rows.quarantined / rows.read),
            )
        ]

    # -- one segment --------------------------------------------------------------------------

    def line(self, segment: Segment) -> str:
        """Size and worth of a segment in one line."""
        shown = self.numbers.count(segment.customers)
        customers = self.texts.counted("customer", segment.customers, shown)
        share = self.numbers.share(self.crowd(segment))
        if not self.document.has_money:
            return self.texts(
                "profile.line_orders",
                customers=customers,
                share=share,
                orders=self.numbers.count(segment.orders),
                what=self.value_events(),
                orders_share=self.numbers.share(self.worth(segment)),
            )
        line = self.texts(
            "profile.line_money",
            customers=customers,
            share=share,
            revenue=self.numbers.money(segment.revenue),
            revenue_share=self.numbers.share(self.worth(segment)),
        )
        if not segment.customers or segment.revenue is None:
            return line
        each = self.numbers.money(segment.revenue / segment.customers)
        return f"{line} · {self.texts('profile.line_each', revenue=each)}"

    def strength(self, effect: Effect) -> str | None:
        """A difference in words; None below Cohen's "small".

        The direction is that of `size`.
        """
        for least, word in STEPS:
            if abs(effect.size) >= least:
                return self.texts(f"effect.{word}{'higher' if effect.size > 0 else 'lower'}")
        return None

    def apart(self, segment: Segment, most: int = 4) -> list[tuple[str, str, str]]:
        """What sets a segment apart: (feature, how much in words, values), strongest first."""
        said: list[tuple[str, str, str]] = []
        for effect in sorted(segment.effects, key=lambda one: -abs(one.size)):
            strength = self.strength(effect)
            if strength is None or len(said) == most:
                break
            said.append((clean(effect.label, 120), strength, self.against(effect)))
        return said

    def against(self, effect: Effect) -> str:
        """The typical values of the segment and of the others; empty where they look the same."""
        inside = self.value(effect.unit, effect.inside)
        outside = self.value(effect.unit, effect.outside)
        if effect.inside is None or effect.outside is None or inside == outside:
            return ""
        key = "effect.values_mean" if effect.average else "effect.values"
        return self.texts(key, inside=inside, outside=outside)

    # -- caveats ------------------------------------------------------------------------------

    def caveats(self) -> list[str]:
        """What the report cannot tell, for this shop."""
        document, texts, numbers = self.document, self.texts, self.numbers
        said = [texts("caveat.snapshot"), texts("caveat.cause")]
        if any(one.effects for one in document.segments):
            said.append(texts("caveat.apart"))
        days = (document.last - document.first).days + 1
        if days < _SHORT_DAYS:
            said.append(texts("caveat.short", days=texts.counted("day", days, numbers.count(days))))
        small = [
            one
            for one in document.segments
            if one.customers < _SMALL_COUNT or self.crowd(one) < _SMALL_SHARE
        ]
        if small:
            names = [self.name(one) for one in small[:5]] + (["…"] if len(small) > 5 else [])
            said.append(texts("caveat.small", names=texts("list.comma").join(names)))
        if document.tier and document.tier.customers:
            share = numbers.share(self.crowd(document.tier))
            said.append(texts("caveat.tier", share=share))
        if document.has_money:
            said.append(texts("caveat.revenue"))
            said += self._currencies()
        else:
            said.append(texts("caveat.money"))
        if document.value_event != "purchase":
            said.append(texts("caveat.occasions", kind=clean(document.value_event)))
        if document.segments and not any(one.categories for one in document.segments):
            said.append(texts("caveat.categories"))
        if document.weekdays and not document.hours:
            said.append(texts("caveat.hours"))
        return [*said, *(clean(warning, 400) for warning in document.warnings)]

    def _currencies(self) -> list[str]:
        document, texts = self.document, self.texts
        others = texts("list.comma").join(clean(one, 20) for one in document.other_currencies)
        if document.currency:
            key = "caveat.left_out" if others else None
            return [texts(key, currency=document.currency, others=others)] if key else []
        return [texts("caveat.mixed", others=others) if others else texts("caveat.currency")]
