"""What changed within a period in ten to fifteen lines, from `shoal.movement_report/1`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from shoal.adjust.adjustment import BROKEN, KEEP
from shoal.adjust.canary import DROPPED, PROMOTED
from shoal.adjust.decide import REASONS
from shoal.domain.segment import CAUSES
from shoal.domain.text import Text
from shoal.domain.time import parse_moment
from shoal.report.names import clean
from shoal.report.numbers import Numbers
from shoal.report.texts import Texts

#: Flows, alarms, versions and customers that the short text names.
_FLOWS: Final = 3
_ALARMS: Final = 3
_VERSIONS: Final = 2
_FIRST: Final = 3

Document = Mapping[str, Any]


def short(document: Document, lang: str = "en") -> str:
    """The lines, for a terminal, a message or a log.

    Raises:
        UsageError: `usage`, a language without texts.
    """
    told = MovementWords(document, Texts(lang), Numbers(lang, document["currency"] or ""))
    return "\n".join(told.lines())


@dataclass(frozen=True)
class MovementWords:
    """Words for one document in one language; the page and the short text say the same."""

    document: Document
    texts: Texts
    numbers: Numbers

    def lines(self) -> Iterator[str]:
        """Everything, the most important first."""
        yield self.head
        yield self.moved
        yield from self.stakes()
        flows = self.flows()
        if flows:
            yield self.texts("week.flows", flows=self._listed(flows))
        causes = self.causes()
        if causes:
            yield self.texts("week.causes", causes=self._listed(causes))
        yield from self.became()
        yield from self.noticed()
        yield from self.done()
        foremost = self.first()
        if foremost:
            yield self.texts("week.first", customers=self._listed(foremost))
        yield from self.notes()

    # -- sentences ---------------------------------------------------------------------------------

    @property
    def head(self) -> str:
        """Shop, period and version."""
        return self.texts(
            "week.head",
            shop=clean(self.document["shop"] or "shop", 60),
            first=self.day(self.document["since"]),
            last=self.day(self.document["as_of"]),
            days=self.days(self.document["days"]),
            version=clean(self.document["segmentation_id"], 40),
        )

    @property
    def moved(self) -> str:
        """How many moved, came and were placed."""
        found = self.document["customers"]
        known = self.customers(found["known"])
        said = [self.texts("week.none", known=known)]
        if found["moved"]:
            share = self.numbers.share(found["moved"] / found["known"])
            moved = self.numbers.count(found["moved"])
            said = [self.texts("week.moved", moved=moved, known=known, share=share)]
        said += [
            self.texts(f"week.{name}", n=self.customers(found[name]))
            for name in ("arrived", "placed")
            if found[name]
        ]
        return self.texts("punct.between").join(said)

    def stakes(self) -> list[str]:
        """Who went down and who went up, and what hangs on it."""
        said = []
        for direction in ("down", "up"):
            found = self.document["stake"][direction]
            if found["customers"]:
                n, told = self.customers(found["customers"]), self._stake(found)
                said.append(self.texts(f"week.{direction}", n=n, stake=told))
        return said

    def flows(self) -> list[str]:
        """The largest moves between segments proper."""
        return [
            self.texts(
                "week.flow",
                source=self.name(source),
                target=self.name(target),
                n=self.numbers.count(customers),
            )
            for source, target, customers in self.pairs()[:_FLOWS]
        ]

    def pairs(self) -> list[tuple[str, str, int]]:
        """Customers from segment to segment, whatever the cause, most first; the tier left out."""
        counted: dict[tuple[str, str], int] = {}
        for one in self.document["flows"]:
            pair = (one["from"], one["to"])
            counted[pair] = counted.get(pair, 0) + one["customers"]
        proper = [(*pair, n) for pair, n in counted.items() if "new" not in pair]
        return sorted(proper, key=lambda one: (-one[2], one[0], one[1]))

    def causes(self) -> list[str]:
        """Customers who changed, the model that changed, both."""
        found = self.document["causes"]
        return [
            self.texts(f"week.{name}", n=self.numbers.count(found[name]))
            for name in ("by_customer", "by_model", "by_both")
            if found[name]
        ]

    def changes(self) -> list[str]:
        """Changes by their recorded cause."""
        found = self.document["causes"]["changes"]
        return [
            self.texts(f"week.cause.{cause}", n=self.numbers.count(found[cause]))
            for cause in CAUSES
            if found.get(cause)
        ]

    def became(self) -> list[str]:
        """New versions with their causes, and what became of segments."""
        versions = self.document["versions"]
        if not versions:
            return []
        said = []
        for one in versions[-_VERSIONS:]:
            causes = [str(cause[self.texts.lang]) for cause in one["causes"]]
            listed = self._listed(causes) if causes else self.texts("week.no_cause")
            version, day = clean(one["segmentation_id"], 40), self.day(one["as_of"])
            said.append(self.texts("week.version", version=version, day=day, causes=listed))
        changes = [
            clean(str(change["sentence"][self.texts.lang]), 200)
            for one in versions
            for change in one["changes"]
        ]
        if not changes:
            return [*said, self.texts("week.same_segments")]
        return [*said, self.texts("week.became", changes=self._listed(changes))]

    def noticed(self) -> list[str]:
        """The alarms of the period, harmful ones first."""
        looks = self.document["looks"]
        if not looks:
            return [self.texts("week.not_looked")]
        alarms = self.alarms
        if not alarms:
            looked = self.texts.counted("look", len(looks), self.numbers.count(len(looks)))
            return [self.texts("week.no_alarm", n=looked)]
        said = [self.alarm(one) for one in alarms[:_ALARMS]]
        rest = len(alarms) - _ALARMS
        if rest > 0:
            more = self.texts.counted("alarm", rest, self.numbers.count(rest))
            said.append(self.texts("week.more_alarms", n=more))
        return said

    def done(self) -> list[str]:
        """What was done: every change, or once that nothing was; what waits for a person."""
        said, kept = [], ""
        for look in self.document["looks"]:
            for one in look["adjustments"]:
                reason = self.why(look, one)
                if one["action"] == KEEP:
                    kept = self.texts("week.kept", reason=reason).rstrip()
                elif came := _came_of(look, one):
                    day, what = self.day(look["moment"]), self.action(one)
                    told = self.texts(f"week.{came}", day=day, what=what, reason=reason)
                    said.append(told.rstrip())
            said += self._tried(look)
        found = said or ([kept] if kept else [])
        if self.document["waiting"]:
            look = clean(self.document["waiting"], 40)
            found.append(self.texts("week.waiting", look=look))
        return found

    def _tried(self, look: Document) -> list[str]:
        """What a look, or a person, made of what was tried on some customers."""
        tried = look.get("canary") or {}
        ended = tried.get("ended") or {}
        # What a later look made of it is told there.
        told_here = ended and ended["reason"] in ("word", "overtaken")
        outcome = ended["outcome"] if told_here else tried.get("outcome")
        if outcome not in (PROMOTED, DROPPED):
            return []
        version = clean(tried["segmentation_id"], 40)
        return [self.texts(f"week.canary.{outcome}", version=version)]

    def first(self) -> list[str]:
        """Customers to look at first."""
        return [self._first(one) for one in self.document["first"][:_FIRST]]

    def notes(self) -> list[str]:
        """What a reader should know."""
        return [
            self.texts(
                f"week.note.{one['code']}",
                **({"day": self.day(one["moment"])} if "moment" in one else {}),
            )
            for one in self.document["notes"]
        ]

    # -- parts of sentences ------------------------------------------------------------------------

    @cached_property
    def alarms(self) -> list[Document]:
        """Every alarm of the period once, as it was seen last; harmful ones and breaks first."""
        seen = {
            (one["subject"], one["what"]): one
            for look in self.document["looks"]
            for one in look["alarms"]
        }
        return sorted(seen.values(), key=lambda one: (not _grave(one), -abs(one["size"])))

    def alarm(self, one: Document) -> str:
        """An alarm in a sentence."""
        others = [clean(str(words[self.texts.lang]), 80) for words in one["feature_words"]]
        features = self.texts("week.alarm_features", features=self._listed(others))
        return self.texts(
            "week.alarm",
            what=self.alarm_words(one),
            day=self.day(one["since"]),
            size=self.size(one),
            features=features if others else "",
            harm=self.texts(f"week.{self.harm(one)}"),
        )

    def harm(self, one: Document) -> str:
        """`broken`, `harmful`, `harmless` or `unasked`."""
        if one["subject"] == BROKEN:
            return "broken"
        return {None: "unasked", True: "harmful", False: "harmless"}[one["harmful"]]

    def alarm_words(self, one: Document) -> str:
        """What an alarm is told of."""
        what, key = str(one["what"]), f"week.what.{one['what'].replace(' ', '_')}"
        if one["words"] is not None:
            what = str(one["words"][self.texts.lang])
        elif self.texts.known(key):
            what = self.texts(key)
        what = clean(what, 80)
        key = f"week.subject.{one['subject']}"
        return self.texts(key, what=what) if self.texts.known(key) else what

    def size(self, one: Document) -> str:
        """The size of an alarm with its unit."""
        unit, key = str(one["unit"]), f"week.unit.{one['unit'].replace(' ', '_')}"
        shared = unit.startswith("share")
        n = self.numbers.share(one["size"]) if shared else self.numbers.plain(one["size"])
        if self.texts.known(key):
            return self.texts(key, n=n)
        return n if shared else self.texts("week.unit.other", n=n, unit=clean(unit, 20))

    def action(self, one: Document) -> str:
        """An adjustment in words."""
        born = one["action"] == "split" and not one["segments"]
        key = "week.action.birth" if born else f"week.action.{one['action']}"
        named = self._listed([self.name(name) for name in one["segments"]])
        return self.texts(key, segments=named, share=self.numbers.share(one["moved"]))

    def reason(self, one: Document) -> str:
        """Why it was decided so, in a sentence; empty for a code of another version."""
        known = REASONS.get(str(one["reason"]))
        return "" if known is None else known.of(self.texts.lang)

    def why(self, look: Document, one: Document) -> str:
        """The reason, and who said yes where somebody was asked."""
        who = look["approved_by"] if one["approval"] else None
        yes = self.texts("week.yes", who=clean(str(who), 40)) if who else ""
        return self.texts("punct.between").join(part for part in (self.reason(one), yes) if part)

    def outcome(self, look: Document, one: Document) -> str:
        """An adjustment in a cell of a table, with what became of it where it was not done."""
        came, what = _came_of(look, one), self.action(one)
        if one["action"] == KEEP or came in ("", "done"):
            return what
        return self.texts(f"week.cell.{came}", what=what)

    def name(self, segment_id: str) -> str:
        """Id and name of a segment."""
        known = self.document["names"].get(segment_id)
        if known is None:
            return clean(segment_id, 12)
        told = clean(Text(**known).of(self.texts.lang), 60)
        return f"{clean(segment_id, 12)} {self.texts('punct.quote', text=told)}"

    def customers(self, count: int) -> str:
        return self.texts.counted("customer", count, self.numbers.count(count))

    def days(self, days: float) -> str:
        whole = round(days)
        return self.texts.counted("day", whole, self.numbers.count(whole))

    def day(self, moment: str | datetime) -> str:
        """A moment as its day, in UTC."""
        found = parse_moment(moment) if isinstance(moment, str) else moment
        return self.numbers.day(found.date())

    @property
    def horizon(self) -> str:
        """The length of the period that is foretold."""
        days = self.document["worth"]["horizon_days"]
        return self.texts("week.next_period") if days is None else self.days(days)

    def worth(self, value: float, *, signed: bool = False) -> str:
        """An amount in the unit of the measure."""
        if self.document["worth"]["measure"] == "expected_orders":
            return self.numbers.signed(value, 0) if signed else self.numbers.plain(value)
        text = self.numbers.short_money(value)
        return f"+{text}" if signed and value > 0 else text

    def _stake(self, found: Document) -> str:
        return self.texts(
            f"week.stake.{self.document['worth']['measure']}",
            days=self.horizon,
            before=self.worth(found["before"]),
            now=self.worth(found["now"]),
            difference=self.worth(found["difference"], signed=True),
        )

    def _first(self, one: Document) -> str:
        told = {
            "customer": clean(one["customer_id"], 40),
            "source": clean(one["from"], 12),
            "target": clean(one["to"], 12),
        }
        if one["brought"] is None:
            return self.texts("week.one_first", **told)
        brought = self.numbers.short_money(one["brought"])
        return self.texts("week.one_first_brought", **told, brought=brought)

    def _listed(self, parts: Sequence[str]) -> str:
        return self.texts("list.semicolon").join(parts)


def _grave(alarm: Document) -> bool:
    return alarm["subject"] == BROKEN or bool(alarm["harmful"])


def _came_of(look: Document, adjustment: Document) -> str:
    """What became of an adjustment: `done`, `tried` on some customers, `asked` for, `declined` or
    `dropped`; empty: unknown.

    Of one look a part may be done while the rest waits for a person.
    """
    tried = look.get("canary") or {}
    if tried.get("adjust_id") == look["look"] and "ended" in tried:
        promoted = tried["ended"] is not None and tried["ended"]["outcome"] == PROMOTED
        return "done" if promoted else "tried"
    if look["approved_by"] or (look["published"] and not adjustment["approval"]):
        return "done"
    if look["declined_by"]:
        return "declined"
    if look["dropped"]:
        return "dropped"
    return "asked" if adjustment["approval"] or look["waits"] else ""
