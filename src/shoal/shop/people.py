"""Verbs about persons: how they came together, what they consent to, all that is known of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import bootstrap
from shoal.domain.errors import UsageError
from shoal.shop.base import Verbs, moment_of
from shoal.shop.lists import remembered, without_forgotten

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.shop.base import Moment
    from shoal.workflows.identity_view import Identity


class PeopleVerbs(Verbs):
    """Persons: identity, consents, and all that is known of one."""

    def identity(self, raw_id: str, *, as_of: Moment | None = None) -> dict[str, Any]:
        """How a person came together: every id, how and since when it was joined.

        Raises:
            UsageError: `unknown_customer`.
        """
        self.catch_up(reading=True)
        return self._opened(self._identity.view(self._named(raw_id), moment_of(as_of)))

    def _opened(self, told: dict[str, Any]) -> dict[str, Any]:
        """A document about a person with what is sealed in it opened by the keys at hand."""
        reading = self._parts.reading
        if reading is None:
            return told
        found = dict(told)
        found["traits"] = [
            {**one, "value": reading.value(one["value"], one["trait"])} for one in told["traits"]
        ]
        if "events" in told:
            found["events"] = [
                {name: reading.text(value) if name == "properties" else value
                 for name, value in one.items()}
                for one in told["events"]
            ]  # fmt: skip
        if "quarantined" in told:
            found["quarantined"] = [
                {**one, "raw": reading.row(one["raw"])} for one in told["quarantined"]
            ]
        return found

    def unmerge(self, raw_id: str, other: str) -> dict[str, Any]:
        """Undo that `other` belongs to the person of `raw_id`; history is put back.

        Raises:
            UsageError: `usage`, the two are not joined.
        """
        from shoal.workflows.unmerge import unmerge

        self.catch_up()
        return self._opened(unmerge(self._identity, self._named(raw_id), self._named(other)))

    def consents(self, *, channel: str | None = None, as_of: Moment | None = None) -> pa.Table:
        """What customers allow on each channel, or on one, as of a moment.

        Raises:
            UsageError: `unknown_channel`, nobody consented to anything on it.
        """
        import pyarrow.compute as pc

        from shoal.features.consent import consents_at
        from shoal.features.snapshot import latest_moment

        self.catch_up(reading=True)
        parts = self._parts
        moment = moment_of(as_of) or latest_moment(parts.warehouse)
        table = parts.admission.at(moment)
        found = consents_at(parts.engine, table.events(), moment)
        if channel is None:
            return found
        known = sorted(set(found["channel"].to_pylist()))
        if channel not in known:
            raise UsageError(
                "unknown_channel",
                f"nobody said anything of the channel {channel!r}",
                hint=f"Channels: {', '.join(known) or 'none'}.",
            )
        return found.filter(pc.equal(found["channel"], channel))

    def write_consents(
        self, out: str | Path, *, channel: str | None = None, as_of: Moment | None = None
    ) -> pa.Table:
        """Write the consents as Parquet or CSV, by the file's ending; returns them.

        Raises:
            UsageError: `unknown_channel`; `unknown_format`, another ending.
        """
        from shoal.workflows.memberships import check_ending, write_table

        path = Path(out)
        check_ending(path, (".parquet", ".csv"), "consents")

        def write() -> pa.Table:
            found = self.consents(channel=channel, as_of=as_of)
            write_table(found, path)
            return found

        return self._listed(path, "consents", write, lambda _: path)

    def person(self, raw_id: str) -> dict[str, Any]:
        """All that is known of a person, `shoal.person/1`.

        Raises:
            UsageError: `unknown_customer`.
        """
        from shoal.workflows.customer import customer
        from shoal.workflows.person import person

        self.catch_up(reading=True)
        raw_id = self._named(raw_id)
        known: dict[str, Any] | None
        try:
            known = customer(**self._applied(), customer_id=raw_id)
        except UsageError:  # somebody with no behaviour of their own
            known = None
        privacy = self._parts.privacy
        found = person(
            self._identity, raw_id, known, self.directory / bootstrap.QUARANTINE_DIR,
            None if privacy is None else privacy.ids_in,
        )  # fmt: skip
        own = [one["id"] for one in found["identity"]["ids"] if one["role"] != "anonymous"]
        return {**self._opened(found), "lists": self._forgetting.lists_naming(own)}

    def write_person(self, raw_id: str, out: str | Path) -> Path:
        """Write what is known of a person as a JSON file."""
        from shoal.workflows.person import as_text

        path, erasures = Path(out), self._parts.store.erasures

        def write() -> Path:
            text = as_text(self.person(raw_id))
            with remembered(erasures, path, self._told_of(raw_id)):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return path

        return without_forgotten(erasures, write, lambda made: made)

    def _told_of(self, raw_id: str) -> str:
        """Kind of a file that tells all of a person: whose it is, without saying whom.

        Named by every id that is the person's alone, whatever was asked for: a device that others
        use is nobody's name, and what was merged may be un-merged.
        """
        from shoal.events.tombstones import fingerprint
        from shoal.workflows.forget_lists import PERSON

        view, key = self._identity.view(self._named(raw_id)), self._parts.store.erasures.key()
        own = [
            one["id"]
            for one in view["ids"]
            if one["id"] == view["customer_id"] or not one["shared_with"]
        ]
        return PERSON + ",".join(fingerprint(key, name) for name in own)

    @property
    def _identity(self) -> Identity:
        from shoal.workflows.identity_view import Identity

        parts = self._parts
        return Identity(
            parts.warehouse, parts.store, parts.admission, parts.fold_of, self.zone,
            self.config.shop.buckets,
        )  # fmt: skip
