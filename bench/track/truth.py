"""The planted truth as the bench asks for it: who is where at a cut, and who moved when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.harness.data import SimulatedWorld
from shoal.evaluation.lineage import Event
from shoal.evaluation.tracking import Change

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Truth:
    """The truth of one world; days count from the log's start."""

    world: SimulatedWorld

    def day(self, moment: datetime) -> float:
        return (moment - self.world.start) / _DAY

    def at(self, moment: datetime) -> dict[str, str]:
        """Segment of every customer who is there at the moment."""
        from shoal.events.worlds.truth import segment_at

        spells = self.world.truth("spells")
        assert spells is not None
        found = segment_at(spells, moment)
        return dict(
            zip(found["customer_id"].to_pylist(), found["segment"].to_pylist(), strict=True)
        )

    def changes(self) -> list[Change]:
        """Moves between segments; spells that differ in their stage alone are one stay."""
        spells = self.world.truth("spells")
        assert spells is not None
        table = spells.sort_by([("customer_id", "ascending"), ("since", "ascending")])
        found: list[Change] = []
        before: tuple[str, str] | None = None
        for row in table.select(["customer_id", "segment", "since", "until"]).to_pylist():
            here = (row["customer_id"], row["segment"])
            since, until = self.day(row["since"]), self.day(row["until"])
            if before is not None and before[0] == here[0]:
                if before != here:
                    found.append(Change(here[0], since, until, here[1], before[1]))
                elif found and found[-1].customer == here[0]:
                    found[-1] = replace(found[-1], until=until)
            before = here
        return found

    def lineage(self) -> list[Event]:
        """Planted splits, merges, births and deaths."""
        table = self.world.truth("lineage")
        rows = table.to_pylist() if table is not None else []
        return [
            Event(
                self.day(row["at"]), row["change"], frozenset(row["parents"]),
                frozenset(row["children"]),
            )
            for row in rows
        ]  # fmt: skip

    def abrupt(self) -> list[dict[str, Any]]:
        """Changes of the world that come at once: drifts by family, and lineage events."""
        table = self.world.truth("drifts")
        rows = table.to_pylist() if table is not None else []
        found = [
            {"what": f"{row['family']}: {row['what']}", "day": self.day(row["since"])}
            for row in rows
            if not row["what"].endswith("by the week")
        ]
        found += [{"what": event.change, "day": event.day} for event in self.lineage()]
        return sorted(found, key=lambda one: (one["day"], one["what"]))


def known(
    truth: dict[str, str], customers: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]:
    """(n,) which customers the truth knows, and (known,) their segments."""
    there = np.array([customer in truth for customer in customers], dtype=bool)
    return there, np.array([truth[customer] for customer in customers[there]], dtype=object)
