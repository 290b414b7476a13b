"""How customers can be reached, by what their `profile` events said before a moment."""

from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import pyarrow as pa
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.features.algebra import CUSTOMER, epoch_us
from shoal.features.queries import no_noise, unbound
from shoal.ports import Engine, Relation

#: What is looked for, and the names that shop systems and Segment's clients give it; of two that a
#: customer has, the first counts. Segment's nested traits are stored flat (`address_city`).
SPELLINGS: Final = {
    "email": ("email", "email_address"),
    "phone": ("phone", "phone_number", "mobile"),
    "first_name": ("first_name", "firstName"),
    "last_name": ("last_name", "lastName"),
    "organization": ("organization", "company", "company_name"),
    "city": ("city", "address_city"),
    "country": ("country", "address_country"),
}

CONTACTS_SCHEMA: Final = pa.schema(
    [pa.field(CUSTOMER, pa.string()), *(pa.field(name, pa.string()) for name in SPELLINGS)]
)
_WANTED: Final = frozenset(name for names in SPELLINGS.values() for name in names)
_NAMES: Final = (
    CUSTOMER, "kind", "event_time", "sequence", "event_id", "noise", "properties",
)  # fmt: skip
_READ: Final = pa.schema([TABLE_SCHEMA.field(name) for name in _NAMES])
_ASKED: Final = pa.schema([pa.field(CUSTOMER, pa.string())])
_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64())])

#: An address that can be written into a list as it is; stricter than RFC 5322, so that no address
#: is a formula to a spreadsheet.
_EMAIL: Final = re.compile(r"[A-Za-z0-9][^@\s,;<>\"']*@[^@\s,;<>\"']+\.[^@\s,;<>\"'.]+")
#: A number of the ITU-T recommendation E.164: a plus and at most 15 digits.
_E164: Final = re.compile(r"\+[1-9]\d{6,14}")
_BETWEEN: Final = re.compile(r"[\s().\-/]")


def contacts_at(
    engine: Engine, events: Relation, customers: pa.Array, before: datetime
) -> pa.Table:
    """Addresses and names of some customers at a moment (`CONTACTS_SCHEMA`, as `customers`).

    An address that nobody can send to (no e-mail, no number with its country) is null. A customer
    whose id is an e-mail and who told of none has that one. A value taken back (null) is gone.

    Args:
        events: as they count, so that what was told before signing in is the customer's.
        customers: distinct ids.
        before: only what was told before it counts.
    """
    inputs: dict[str, Relation] = {
        "events": events,
        "asked": pa.table([customers], schema=_ASKED),
        "clock": pa.table({"now_us": [to_us(before)]}, schema=_CLOCK),
    }
    known: dict[str, dict[str, Any]] = {}
    for batch in engine.stream(engine.compile(_query()), inputs):
        names, told = batch[CUSTOMER].to_pylist(), batch["properties"].to_pylist()
        for name, text in zip(names, told, strict=True):
            traits = known.setdefault(name, {})
            traits.update(_members(text))
    rows = [_contact(name, known.get(name, {})) for name in customers.to_pylist()]
    return pa.table(
        [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
        if rows
        else [pa.array([], pa.string()) for _ in CONTACTS_SCHEMA],
        schema=CONTACTS_SCHEMA,
    )


@lru_cache(maxsize=1)
def _query() -> ir.Table:
    events, asked = unbound(_READ, "events"), unbound(_ASKED, "asked")
    told = events.filter(_.kind == kinds.PROFILE, _.properties.notnull(), no_noise(()))
    own = told.semi_join(asked, CUSTOMER).cross_join(unbound(_CLOCK, "clock"))
    dated = own.mutate(us=epoch_us(own.event_time)).filter(_.us < _.now_us)
    order = [CUSTOMER, "us", "sequence", "event_id"]
    return dated.order_by([ibis.asc(name) for name in order]).select(CUSTOMER, "properties")


def _members(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if name in _WANTED}


def _contact(customer: str, traits: dict[str, Any]) -> tuple[str | None, ...]:
    """One row of `CONTACTS_SCHEMA`."""
    found: dict[str, str | None] = {}
    for name, spellings in SPELLINGS.items():
        told = (traits.get(one) for one in spellings)
        text = next((str(one).strip() for one in told if one not in (None, "")), None)
        found[name] = text or None
    email = found["email"] or (customer if "@" in customer else None)
    return (
        customer,
        email_of(email),
        phone_of(found["phone"]),
        *(found[name] for name in SPELLINGS if name not in ("email", "phone")),
    )


def email_of(text: str | None) -> str | None:
    """The text if it is an e-mail address, else None.

    >>> email_of("ann@x.example"), email_of("=1+1@x.example"), email_of("ann")
    ('ann@x.example', None, None)
    """
    return text if text is not None and _EMAIL.fullmatch(text) else None


def phone_of(text: str | None) -> str | None:
    """A telephone number in the form of E.164; None where its country is not told.

    >>> phone_of("+44 (0) 20-7946.0000"), phone_of("+1 415 555 0100"), phone_of("020 7946 0000")
    ('+442079460000', '+14155550100', None)
    """
    if text is None:
        return None
    plain = _BETWEEN.sub("", text.replace("(0)", ""))
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    return plain if _E164.fullmatch(plain) else None
