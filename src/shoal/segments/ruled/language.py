"""The language of rules as frozen values: clauses, what they ask about, and sets of named rules.

A rule is true or false of a customer at a moment T, by events before T, and nothing else: a
comparison with something unknown is false. So `not` of it is true, and "is not 3" is false of an
unknown value where "not (is 3)" is true; `unknown` and `known` ask for it.

Values here are taken as they come; `shoal.segments.ruled.document` checks them against what a shop
knows and says what is wrong where.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Protocol

from shoal.domain.errors import UsageError
from shoal.domain.text import Text

#: Clauses within clauses, and clauses in all, beyond which a rule is refused.
MAX_DEPTH: Final = 32
MAX_CLAUSES: Final = 2_000

#: Comparisons of numbers and of texts.
ORDERINGS: Final = ("<", "<=", ">", ">=", "between")
EITHER: Final = ("=", "!=", "in", "not_in", "known", "unknown")
TEXTUAL: Final = ("contains", "starts_with", "under")

#: What is asked of the events that count.
COUNTS: Final = ("count", "days", "orders", "items")
AMOUNTS: Final = ("sum", "min", "max")
AGES: Final = ("days_since_first", "days_since_last")
LATEST: Final = "latest"
MEASURES: Final = (*COUNTS, *AMOUNTS, LATEST, *AGES)

#: Fields of an event that hold texts; `properties.NAME` is one more.
TEXT_FIELDS: Final = (
    "item_id", "category", "brand", "order_id", "payment", "coupon", "session_id", "query",
    "channel", "device", "country", "region", "currency", "action_id", "source",
)  # fmt: skip
#: Fields that hold numbers: money in currency units, local hour 0 to 23, Monday 0.
MONEY_FIELDS: Final = ("price", "discount", "amount", "net")
NUMBER_FIELDS: Final = (*MONEY_FIELDS, "quantity", "rating", "hour", "weekday")
PROPERTIES: Final = "properties."

#: In the place of kinds: events of every kind; the kind that counts as buying.
EVERY: Final = "any"
VALUE: Final = "value"

MAIN: Final = "main"

EVERYBODY_ELSE: Final = Text("Everybody else", "其余客户")

SetWord = Literal["union", "intersect", "except"]


class Rule:
    """A clause. Rules are put together with `&`, `|`, `~` and `-` (except)."""

    depth: int
    size: int

    @property
    def clauses(self) -> tuple[Rule, ...]:
        """The clauses directly in it."""
        return ()

    def __and__(self, other: Rule) -> All:
        return All((*_flat(self, All), *_flat(other, All)))

    def __or__(self, other: Rule) -> AnyOf:
        return AnyOf((*_flat(self, AnyOf), *_flat(other, AnyOf)))

    def __invert__(self) -> Rule:
        return self.clause if isinstance(self, Not) else Not(self)

    def __sub__(self, other: Rule) -> Sets:
        return Sets("except", (self, other))

    def __bool__(self) -> bool:
        raise TypeError("a rule is no truth value: join rules with & and |, turn one with ~")

    def _measure(self) -> None:
        inner = self.clauses
        depth = 1 + max((one.depth for one in inner), default=0)
        size = 1 + sum(one.size for one in inner)
        if depth > MAX_DEPTH or size > MAX_CLAUSES:
            raise too_large(depth, size)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "size", size)


def too_large(depth: int, size: int, where: str = "") -> UsageError:
    """The refusal of a rule that is too deep or too large."""
    what = f"goes {depth} clauses deep" if depth > MAX_DEPTH else f"has {size:,} clauses"
    return UsageError(
        "bad_rule",
        f"a rule {what}",
        where=where,
        hint=f"Allowed are {MAX_DEPTH} clauses within each other and {MAX_CLAUSES:,} in all, rules "
        "that it names included. Put many values into one `in`, and alternatives side by side.",
    )


def _flat(rule: Rule, kind: type[All] | type[AnyOf]) -> tuple[Rule, ...]:
    return rule.clauses if type(rule) is kind else (rule,)


@dataclass(frozen=True)
class _Clause(Rule):
    depth: int = field(init=False, repr=False, compare=False)
    size: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._measure()


@dataclass(frozen=True)
class All(_Clause):
    """True where every clause is."""

    members: tuple[Rule, ...]

    @property
    def clauses(self) -> tuple[Rule, ...]:
        return self.members


@dataclass(frozen=True)
class AnyOf(_Clause):
    """True where at least one clause is."""

    members: tuple[Rule, ...]

    @property
    def clauses(self) -> tuple[Rule, ...]:
        return self.members


@dataclass(frozen=True)
class Not(_Clause):
    """True where the clause is not."""

    clause: Rule

    @property
    def clauses(self) -> tuple[Rule, ...]:
        return (self.clause,)


@dataclass(frozen=True)
class AtLeast(_Clause):
    """True where at least `count` of the clauses are."""

    count: int
    members: tuple[Rule, ...]

    @property
    def clauses(self) -> tuple[Rule, ...]:
        return self.members


@dataclass(frozen=True)
class Sets(_Clause):
    """Customers of all sets together, of every one, or of the first and none of the others."""

    word: SetWord
    members: tuple[Rule, ...]

    @property
    def clauses(self) -> tuple[Rule, ...]:
        return self.members


@dataclass(frozen=True)
class Named(_Clause):
    """The customers that another rule of the same file holds for, whatever comes before it there.

    `rule` is None until the file is read.
    """

    rule_id: str
    rule: Rule | None = None

    @property
    def clauses(self) -> tuple[Rule, ...]:
        return () if self.rule is None else (self.rule,)


# -- what is asked about ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Feature:
    """A feature of the catalog, or a column of a table given beside it."""

    name: str


@dataclass(frozen=True)
class Trait:
    """A declared trait, as last told. Texts that are plain decimal numbers compare as numbers."""

    name: str


@dataclass(frozen=True)
class Window:
    """Local calendar days of the shop that count; all of them without any bound.

    Args:
        last_days: the last days, today being one of them.
        skip_days: of these, the latest ones that do not count.
        first, last: ISO dates, both inclusive.
    """

    last_days: int | None = None
    skip_days: int = 0
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True)
class Test:
    """A comparison: `op` of `ORDERINGS`, `EITHER` or `TEXTUAL`, and its value."""

    op: str
    value: Any = None


@dataclass(frozen=True)
class Where:
    """A condition on a field of an event."""

    field: str
    test: Test


@dataclass(frozen=True)
class Events:
    """Something measured of a customer's events.

    Args:
        kinds: of which one is the event's, `EVERY` for any, `VALUE` for what counts as buying.
        where: all of which hold for the event.
        window: days that count.
        measure: one of `MEASURES`. Counts and sums of nothing are 0, the others unknown.
        of: the field that `sum`, `min`, `max` and `latest` look at.
    """

    kinds: tuple[str, ...] = (EVERY,)
    where: tuple[Where, ...] = ()
    window: Window = Window()
    measure: str = "count"
    of: str = ""


@dataclass(frozen=True)
class Member:
    """Belonging to a segment of another segmentation.

    Args:
        segmentation: its id, or `main` or `rfm` for the current ones.
        measure: `days` in the segment (unknown for others), or soft `weight` in it (else 0).
    """

    segment_id: str
    segmentation: str = MAIN
    measure: Literal["days", "weight"] = "days"


@dataclass(frozen=True)
class Step:
    """An event of a sequence: the next of its kind within some days after the step before."""

    kinds: tuple[str, ...] = (EVERY,)
    where: tuple[Where, ...] = ()
    within_days: float | None = None
    absent: bool = False


Subject = Feature | Trait | Events | Member


@dataclass(frozen=True)
class Compare(_Clause):
    """A comparison of what is known of a customer."""

    subject: Subject
    test: Test


@dataclass(frozen=True)
class Sequence(_Clause):
    """True where events follow one another.

    Args:
        steps: at least two. A step follows the one before in the order of events, at most
            `within_days` x 24 hours later. The last one may be `absent`: then none followed, and
            the time for it is over at T.
        window: days on which the first step counts.
        same: a text field that all steps share; events without it do not count.
    """

    steps: tuple[Step, ...]
    window: Window = Window()
    same: str = ""

    def then(self, other: Asked, *, within_days: float | None = None) -> Sequence:
        """Followed by one of the other events, at most some days later."""
        step = Step(other.events.kinds, other.events.where, within_days)
        return replace(self, steps=(*self.steps, step))

    def not_then(self, other: Asked, *, within_days: float | None = None) -> Sequence:
        """Not followed by any of the other events in these days, which are over."""
        step = Step(other.events.kinds, other.events.where, within_days, absent=True)
        return replace(self, steps=(*self.steps, step))


class Asked(Protocol):
    """Something that is about events."""

    @property
    def events(self) -> Events: ...


@dataclass(frozen=True)
class RuleSegment:
    """A named rule."""

    segment_id: str
    name: Text
    rule: Rule


@dataclass(frozen=True)
class RuleSet:
    """Named rules in order of precedence.

    Args:
        overlap: whether a customer may be in several (audiences); else the first that holds.
        rest: name of those for whom none holds.
    """

    segments: tuple[RuleSegment, ...]
    overlap: bool = False
    rest: Text = EVERYBODY_ELSE

    @property
    def rules(self) -> dict[str, Rule]:
        """The rules by id, in order."""
        return {one.segment_id: one.rule for one in self.segments}


def leaves(*rules: Rule) -> Iterator[Compare | Sequence]:
    """Every comparison and sequence in some rules, each once, in the order in which they stand."""
    seen: set[int] = set()
    found: dict[Compare | Sequence, None] = {}
    stack: list[Rule] = list(reversed(rules))
    while stack:
        one = stack.pop()
        if isinstance(one, Compare | Sequence):
            found.setdefault(one)
        elif id(one) not in seen:
            seen.add(id(one))
            stack.extend(reversed(one.clauses))
    return iter(found)
