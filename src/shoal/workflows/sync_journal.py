"""The journal of nightly runs: what the one under way has done, and what earlier ones did.

The run under way is a setting of the shop, written anew after each step, so that a killed run goes
on where it was. A finished one is an artefact of the kind `syncs`:

sync.json             what each step did, the moment, what waits for a person
movement.json         `shoal.movement_report/1`, where there are segments
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shoal.domain.errors import ShoalError
from shoal.domain.time import Clock, iso, parse_moment
from shoal.ports import Registry, StateStore

KIND: Final = "syncs"
STEM: Final = "sync"
SCHEMA: Final = "shoal.sync/1"

#: Settings: the run under way, the last call that failed, the last one that found nothing new.
UNDER_WAY: Final = "sync.run"
FAILED: Final = "sync.failed"
CHECKED: Final = "sync.checked"

_DOCUMENT: Final = "sync.json"
_MOVEMENT: Final = "movement.json"


@dataclass(frozen=True)
class Run:
    """A run under way.

    Args:
        number: of the artefact that it becomes.
        began: when it was first begun.
        before: what the shop held then: `table_version`, `events`, `customers`, `files`.
        attempt: how often it was begun anew with further events.
        version: of the event table that `done` speaks of.
        done: what each step did, in the order in which they were done.
    """

    number: int
    began: str
    before: Mapping[str, int]
    attempt: int = 1
    version: int = -1
    done: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The id that it will have."""
        return f"{STEM}-{self.number:04d}"

    @property
    def stem(self) -> str:
        """What the names of its files begin with; a later attempt has its own."""
        return self.name if self.attempt == 1 else f"{self.name}-{self.attempt}"

    def and_done(self, step: str, what: Mapping[str, Any]) -> Run:
        """The same with one more step done."""
        return replace(self, done={**self.done, step: dict(what)})

    def with_more(self, version: int) -> Run:
        """The same where further events came in: every step is to be done (again)."""
        again = bool(self.done) and version != self.version
        attempt = self.attempt + 1 if again else self.attempt
        return replace(
            self, attempt=attempt, version=version, done={} if again else self.done
        )  # fmt: skip


@dataclass(frozen=True)
class Journal:
    """Runs of a shop; whoever writes holds the shop's lease."""

    store: StateStore
    registry: Registry
    clock: Clock

    def under_way(self) -> Run | None:
        """The run that a kill or a failure left; None where the last one finished."""
        told = self.store.get_settings().get(UNDER_WAY)
        if not told:
            return None
        run = Run(**json.loads(told))
        # One that is recorded was killed before this note went.
        return None if run.name in self.registry.list(KIND) else run

    def begin(self, before: Mapping[str, int]) -> Run:
        """A new run, noted."""
        last = self.registry.list(KIND)[-1:]
        number = 1 + max([0, *(int(name.rpartition("-")[2]) for name in last)])
        return self.keep(Run(number, iso(self.clock()), before))

    def keep(self, run: Run) -> Run:
        """Note how far a run is."""
        told = {name: getattr(run, name) for name in Run.__dataclass_fields__}
        self.store.put_setting(UNDER_WAY, json.dumps(told, ensure_ascii=False))
        return run

    def drop(self) -> None:
        """There is no run under way: it found nothing to do."""
        with suppress(ShoalError):
            self.store.put_setting(UNDER_WAY, "")

    def finish(
        self, run: Run, document: Mapping[str, Any], movement: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Record a run that did all its steps; its document.

        Raises:
            OperationError: `disk_full`, `no_permission`; the run is still under way.
        """
        with self.registry.create(KIND, STEM) as directory:
            whole = {
                "schema": SCHEMA, "run": directory.name, "began": run.began,
                "finished": iso(self.clock()), **document,
            }  # fmt: skip
            _write(directory / _DOCUMENT, whole)
            if movement is not None:
                _write(directory / _MOVEMENT, movement)
        self.clear()
        return whole

    def clear(self) -> None:
        """There is no run under way any more, and nothing that failed."""
        with self.store.transaction():
            self.store.put_setting(UNDER_WAY, "")
            self.store.put_setting(FAILED, "")

    def failed(self, step: str, error: Exception) -> None:
        """Note where a call failed and why; the next run that finishes clears it."""
        why = {"code": "internal", "message": f"{type(error).__name__}: {error}"}
        if isinstance(error, ShoalError):
            why = error.as_document()["error"]
        told = {"at": iso(self.clock()), "step": step, **why}
        with suppress(ShoalError):  # on a full disk the failure itself is what is to be told
            self.store.put_setting(FAILED, json.dumps(told, ensure_ascii=False))

    def checked(self, run: str) -> None:
        """Note that there was nothing new since a run."""
        told = {"at": iso(self.clock()), "run": run}
        with self.store.transaction():
            self.store.put_setting(CHECKED, json.dumps(told))
            self.clear()

    def latest(self) -> dict[str, Any] | None:
        """The document of the last finished run that can be read."""
        return next(documents(self.registry, backwards=True), None)

    def movement(self) -> dict[str, Any] | None:
        """The movement report of the last run that has one."""
        for name in reversed(self.registry.list(KIND)):
            found = _read(self.registry.directory(KIND, name) / _MOVEMENT)
            if found is not None:
                return found
        return None

    def document(self) -> dict[str, Any]:
        """The JSON document `shoal.syncs/1`: runs, oldest first, and what is noted."""
        settings = self.store.get_settings()
        run = self.under_way()
        return {
            "schema": "shoal.syncs/1",
            "runs": list(documents(self.registry)),
            "under_way": None
            if run is None
            else {"run": run.name, "began": run.began, "done": list(run.done)},
            "failed": _told(settings.get(FAILED)),
            "checked": _told(settings.get(CHECKED)),
        }


def documents(registry: Registry, *, backwards: bool = False) -> Iterator[dict[str, Any]]:
    """Documents of the finished runs that can be read, oldest first."""
    names = registry.list(KIND)
    for name in reversed(names) if backwards else names:
        found = _read(registry.directory(KIND, name) / _DOCUMENT)
        if found is not None:
            yield found


def moments(registry: Registry) -> Iterator[datetime]:
    """Moments to which finished runs moved customers on, the latest first."""
    for one in documents(registry, backwards=True):
        if one["as_of"] is not None:
            yield parse_moment(one["as_of"])


def _told(text: str | None) -> dict[str, Any] | None:
    return dict(json.loads(text)) if text else None


def _write(path: Path, document: Mapping[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
