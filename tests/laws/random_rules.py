"""Random rules over the random logs of `tests.laws.logs`, most of which hold for somebody."""

from __future__ import annotations

import random
from typing import Any, Final

from tests.laws.logs import _KINDS

TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "item_id": ("i1", "i2", "i9"),
    "category": ("home", "home/lamp", "toys", "/odd", "hom"),
    "brand": ("acme", "béta", "x'; DROP TABLE events; --"),
    "order_id": ("o1", "o2"),
    "coupon": ("X",),
    "session_id": ("s1",),
    "query": ("lamp", "red"),
    "channel": ("web", "app"),
    "country": ("GB", "DE"),
    "region": ("London", "%"),
    "currency": ("GBP", "EUR"),
    "source": ("test", '"'),
    "properties.plan": ("gold", "free"),
    "properties.age": ("41",),
}
NUMBERS: Final[dict[str, tuple[float, ...]]] = {
    "price": (0.001, 5, 19.99, 7.5),
    "discount": (0, 0.5),
    "amount": (0.002, 10, 39.98),
    "net": (-5, 0, 19.49),
    "quantity": (0, 1, 2.5, 30),
    "rating": (0, 1, 4.5),
    "hour": (0, 5, 12, 23),
    "weekday": (0, 4, 6),
}
FEATURES: Final = {"orders": (0, 1, 2.5), "spend": (-1.5, 0.1, 30), "country": ("GB", "DE")}
SEGMENTS: Final = ("s01", "s02")


class Chance:
    """Draws JSON clauses."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def clause(self, depth: int = 2) -> dict[str, Any]:
        """A clause of any kind, with others within it while `depth` lasts."""
        joined = ("all", "any", "not", "at_least", "union", "intersect", "except")
        leaf = ("events", "events", "events", "sequence", "feature", "trait", "segment")
        kind = self.random.choice((*joined, *leaf) if depth else leaf)
        if kind in joined:
            return self._joined(kind, depth)
        return getattr(self, f"_{kind}")()

    def _joined(self, kind: str, depth: int) -> dict[str, Any]:
        if kind == "not":
            return {"not": self.clause(depth - 1)}
        members = [self.clause(depth - 1) for _ in range(self.random.randint(2, 3))]
        if kind == "at_least":
            return {"at_least": self.random.randint(1, len(members)), "of": members}
        return {kind: members}

    def _events(self) -> dict[str, Any]:
        measure = self.random.choice(
            ("count", "count", "days", "orders", "items", "sum", "min", "max", "latest",
             "days_since_first", "days_since_last")
        )  # fmt: skip
        found: dict[str, Any] = {"events": self._kinds(), "measure": measure} | self._more()
        numbers: tuple[float, ...] = (0, 1, 2, 3.5)
        if measure in ("sum", "min", "max", "latest"):
            found["of"] = self.random.choice(tuple(NUMBERS))
            numbers = NUMBERS[found["of"]]
            if measure == "latest" and self.random.random() < 0.6:
                found["of"] = self.random.choice(tuple(TEXTS))
                return found | self._texts(TEXTS[found["of"]])
        elif measure.startswith("days_since"):
            numbers = (0.5, 3, 30, 200.25)
        return found | self._numbers(numbers)

    def _sequence(self) -> dict[str, Any]:
        count = self.random.randint(2, 3)
        steps = []
        for place in range(count):
            step: dict[str, Any] = {"events": self._kinds()} | self._where()
            if place and self.random.random() < 0.7:
                step["within_days"] = self.random.choice((0.5, 3, 40, 200))
            steps.append(step)
        if self.random.random() < 0.5:
            steps[-1]["absent"] = True
        same = {"same": self.random.choice(("item_id", "brand"))}
        return {"sequence": steps} | self._window() | (same if self.random.random() < 0.3 else {})

    def _feature(self) -> dict[str, Any]:
        name = self.random.choice(tuple(FEATURES))
        allowed = FEATURES[name]
        test = self._texts(allowed) if name == "country" else self._numbers(allowed)
        return {"feature": name} | test

    def _trait(self) -> dict[str, Any]:
        if self.random.random() < 0.5:
            return {"trait": "age"} | self._numbers((30, 41, 41.5))
        return {"trait": "age"} | self._texts(("41", "forty"))

    def _segment(self) -> dict[str, Any]:
        found: dict[str, Any] = {"segment": self.random.choice(SEGMENTS)}
        if self.random.random() < 0.4:
            return found
        if self.random.random() < 0.5:
            return found | {"measure": "weight"} | self._numbers((0, 0.3, 0.75))
        return found | {"measure": "days"} | self._numbers((0, 2.5, 400))

    def _kinds(self) -> Any:
        if self.random.random() < 0.4:
            return self.random.choice(("any", "value"))
        kinds = [kind for kind in _KINDS if kind != "item"]
        if self.random.random() < 0.5:
            return self.random.choice(kinds)
        return [*self.random.sample(kinds, 5), "value"]

    def _more(self) -> dict[str, Any]:
        return self._where() | self._window()

    def _where(self) -> dict[str, Any]:
        found = []
        for _ in range(self.random.choice((0, 0, 0, 1, 1, 2))):
            if self.random.random() < 0.5:
                name = self.random.choice(tuple(TEXTS))
                found.append({"field": name} | self._texts(TEXTS[name]))
            else:
                name = self.random.choice(tuple(NUMBERS))
                found.append({"field": name} | self._numbers(NUMBERS[name]))
        return {"where": found} if found else {}

    def _window(self) -> dict[str, Any]:
        days = self.random.choice((7, 28, 150, 300))
        window = self.random.choice(
            ({}, {}, {}, {"last_days": days}, {"last_days": days + 1, "skip_days": days},
             {"from": "2024-03-31"}, {"to": "2024-11-04"},
             {"from": "2024-06-15", "to": "2024-10-27"})
        )  # fmt: skip
        return {"in": window} if window else {}

    def _numbers(self, allowed: tuple[Any, ...]) -> dict[str, Any]:
        op = self.random.choice(
            ("=", "!=", "<", "<=", ">", ">=", "between", "in", "not_in", "known", "unknown")
        )
        if op in ("known", "unknown"):
            return {"op": op}
        if op == "between":
            return {"op": op, "value": sorted(self.random.choices(allowed, k=2))}
        if op in ("in", "not_in"):
            return {"op": op, "value": self.random.choices(allowed, k=2)}
        return {"op": op, "value": self.random.choice(allowed)}

    def _texts(self, allowed: tuple[str, ...]) -> dict[str, Any]:
        op = self.random.choice(
            ("=", "!=", "in", "not_in", "contains", "starts_with", "under", "known", "unknown")
        )
        if op in ("known", "unknown"):
            return {"op": op}
        if op in ("in", "not_in"):
            return {"op": op, "value": self.random.choices(allowed, k=2)}
        return {"op": op, "value": self.random.choice(allowed)}
