"""The forms in which a list leaves: a table, Klaviyo's list import, Segment's calls.

Sources of the foreign forms, as of 2026: Klaviyo Help Center, "How to create and add subscribers to
a new list" (article 115005078967) and "How to upload and segment with consent" (360043841811);
Segment documentation, "Using Engage Data" (audience generated events) and "Spec: Identify / Track".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from shoal.domain.time import iso
from shoal.segments.base import CUSTOMER
from shoal.workflows.audience import Audience
from shoal.workflows.memberships import defused

ENTERED: Final = "entered"
EXITED: Final = "exited"

#: Klaviyo's own properties by what we call them; any other column is a custom property there.
_KLAVIYO: Final = {
    "email": "Email",
    "phone": "Phone Number",
    "first_name": "First Name",
    "last_name": "Last Name",
    "organization": "Organization",
    "city": "City",
    "country": "Country",
}
#: Channels of Klaviyo of which a list may say when they were granted.
_CONSENT_TIMES: Final = {
    "email": "Email Marketing Consent Timestamp",
    "sms": "SMS Marketing Consent Timestamp",
}
#: The largest file that Klaviyo's list import takes.
KLAVIYO_BYTES: Final = 50 * 2**20

_LINES_AT_ONCE: Final = 20_000


@dataclass(frozen=True)
class Changes:
    """Who is on a list now that was not, and who no longer is; ids, sorted.

    `full` says that the list was never there before: everybody has entered.
    """

    entered: pa.Array
    exited: pa.Array
    full: bool = False


def as_table(members: Audience, changes: Changes | None) -> pa.Table:
    """The members of a list as a table: memberships, the segment's name and the change.

    Of customers who left, only who they are is told.
    """
    own = members.table
    if changes is not None:
        own = own.filter(pc.is_in(own[CUSTOMER], value_set=changes.entered))
    own = own.append_column("segment", _same(members.name, own.num_rows))
    if changes is None:
        return own
    gone = len(changes.exited)
    told = {
        CUSTOMER: changes.exited,
        "segmentation_id": _same(members.segmentation_id, gone),
        "segment_id": _same(members.segment_id, gone),
        "segment": _same(members.name, gone),
    }
    left = pa.table(
        [told.get(field.name, pa.nulls(gone, field.type)) for field in own.schema],
        schema=own.schema,
    )
    change = pa.concat_arrays([_same(ENTERED, own.num_rows), _same(EXITED, gone)])
    return pa.concat_tables([own, left]).append_column("change", change)


def klaviyo_address(channel: str) -> str:
    """What a customer must have to be on a list of Klaviyo's for a channel: `email` or `phone`."""
    return "phone" if channel == "sms" else "email"


def write_klaviyo(
    path: Path, contacts: pa.Table, members: Audience, channel: str, granted: pa.Array
) -> None:
    """A CSV for Klaviyo's list import: the address first, then its properties, then our own.

    The column `customer_id` becomes a custom property there and lets an erasure find the row here.
    Addresses were checked when they were read; every other text is defused.

    Args:
        contacts: `shoal.features.contacts.CONTACTS_SCHEMA`, of the list's customers.
        granted: when each of them granted the channel; null where nobody asked.
    """
    first = klaviyo_address(channel)
    names = [first, *(name for name in _KLAVIYO if name != first)]
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for name in names:
        texts = contacts[name]
        checked = name in ("email", "phone")
        columns[_KLAVIYO[name]] = texts if checked else defused(texts)
    if channel in _CONSENT_TIMES:
        seconds = granted.cast(pa.timestamp("s", tz="UTC"), safe=False)
        columns[_CONSENT_TIMES[channel]] = pc.strftime(seconds, format="%Y-%m-%dT%H:%M:%SZ")
    columns[CUSTOMER] = defused(contacts[CUSTOMER])
    rows = contacts.num_rows
    columns["Shoal Segment"] = defused(pa.chunked_array([_same(members.name, rows)]))
    columns["Shoal Segment ID"] = _same(members.segment_id, rows)
    with path.open("wb") as file:
        pa_csv.write_csv(pa.table(columns), file)


def audience_key(segment_id: str) -> str:
    """The key of a segment's audience, which never changes, for the id does not.

    >>> audience_key("s03")
    'shoal_s03'
    """
    plain = "".join(letter if letter.isalnum() else "_" for letter in segment_id.lower())
    return f"shoal_{plain}"


def write_segment_calls(path: Path, members: Audience, changes: Changes) -> None:
    """Segment calls as JSON Lines: for each customer an `identify` and a `track`.

    `Audience Entered` and `Audience Exited` carry `audience_key` and the key itself, true or false;
    the identify sets the trait of that name likewise. The `messageId` says who, which audience,
    which way and as of when, so that sending a line again changes nothing.
    """
    with path.open("w", encoding="utf-8") as file:
        for lines in _calls(members, changes):
            file.write(lines)


def _calls(members: Audience, changes: Changes) -> Iterator[str]:
    key, moment = audience_key(members.segment_id), iso(members.as_of)
    for customers, change, event in (
        (changes.entered, ENTERED, "Audience Entered"),
        (changes.exited, EXITED, "Audience Exited"),
    ):
        on = json.dumps(change == ENTERED)
        identify = f'"type":"identify","timestamp":"{moment}","traits":{{"{key}":{on}}}}}\n'
        track = (
            f'"type":"track","event":"{event}","timestamp":"{moment}",'
            f'"properties":{{"audience_key":"{key}","{key}":{on}}}}}\n'
        )
        seed = _seed(key, change, moment)
        for start in range(0, len(customers), _LINES_AT_ONCE):
            lines = []
            for name in customers.slice(start, _LINES_AT_ONCE).to_pylist():
                digest = _digest(seed, name)
                head = f'{{"userId":{json.dumps(name)},"messageId":"shoal-'
                lines.append(f'{head}i-{digest}",{identify}{head}t-{digest}",{track}')
            yield "".join(lines)


def track(customer: str, segment_id: str, change: str, moment: datetime) -> dict[str, Any]:
    """The `track` of one customer as `write_segment_calls` writes it.

    Args:
        change: `entered` or `exited`; `moment` is when.
    """
    key, at = audience_key(segment_id), iso(moment)
    return {
        "userId": customer,
        "messageId": f"shoal-t-{_digest(_seed(key, change, at), customer)}",
        "type": "track",
        "event": "Audience Entered" if change == ENTERED else "Audience Exited",
        "timestamp": at,
        "properties": {"audience_key": key, key: change == ENTERED},
    }


def _seed(key: str, change: str, moment: str) -> str:
    return f"{key}\x1f{change}\x1f{moment}\x1f"


def _digest(seed: str, name: str) -> str:
    text = (seed + name).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _same(text: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), rows)
