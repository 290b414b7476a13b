"""How customers can be reached, by what their `profile` events said before a moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis import _

from shoal.domain import kinds
from shoal.domain.time import to_us
from shoal.events.schema import TABLE_SCHEMA
from shoal.events.sealed_form import MARK
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
#: Text of a sealed value and its name -> the value, None where it cannot be told.
Opened: TypeAlias = Callable[[str, str], Any]
_NAMES: Final = (
    CUSTOMER, "kind", "event_time", "sequence", "event_id", "noise", "properties",
)  # fmt: skip
_READ: Final = pa.schema([TABLE_SCHEMA.field(name) for name in _NAMES])
_ASKED: Final = pa.schema([pa.field(CUSTOMER, pa.string())])
_CLOCK: Final = pa.schema([pa.field("now_us", pa.int64())])

#: An address that can be written into a list as it is; stricter than RFC 5322, so that no address
#: is a formula to a spreadsheet.
_EMAIL: Final = r"^[A-Za-z0-9][^@\s,;<>\"']*@[^@\s,;<>\"']+\.[^@\s,;<>\"'.]+$"
#: A number of the ITU-T recommendation E.164: a plus and at most 15 digits.
_E164: Final = r"^\+[1-9][0-9]{6,14}$"
_BETWEEN: Final = r"\(0\)|[\s().\-/]"


def contacts_at(
    engine: Engine,
    events: Relation,
    customers: pa.Array,
    before: datetime,
    opened: Opened | None = None,
) -> pa.Table:
    """Addresses and names of some customers at a moment (`CONTACTS_SCHEMA`, as `customers`).

    An address that nobody can send to (no e-mail, no number with its country) is null. A customer
    whose id is an e-mail and who told of none has that one. A value taken back (null) is gone.

    Args:
        events: as they count, so that what was told before signing in is the customer's.
        customers: distinct ids.
        before: only what was told before it counts.
        opened: the text of a sealed value of a name, None where it cannot be told; None: sealed
            values are told to nobody.
    """
    inputs: dict[str, Relation] = {
        "events": events,
        "asked": pa.table([customers], schema=_ASKED),
        "clock": pa.table({"now_us": [to_us(before)]}, schema=_CLOCK),
    }
    told = _Told(customers, opened)
    for batch in engine.stream(engine.compile(_query()), inputs):
        told.read(batch[CUSTOMER].to_pylist(), batch["properties"].to_pylist())
    found = {name: told.latest(spellings) for name, spellings in SPELLINGS.items()}
    own = pc.if_else(pc.match_substring(customers, "@"), customers, None)
    found["email"] = emails_of(pc.coalesce(found["email"], own))
    found["phone"] = phones_of(found["phone"])
    return pa.table([customers, *found.values()], schema=CONTACTS_SCHEMA)


@lru_cache(maxsize=1)
def _query() -> ir.Table:
    events, asked = unbound(_READ, "events"), unbound(_ASKED, "asked")
    told = events.filter(_.kind == kinds.PROFILE, _.properties.notnull(), no_noise(()))
    own = told.semi_join(asked, CUSTOMER).cross_join(unbound(_CLOCK, "clock"))
    dated = own.mutate(us=epoch_us(own.event_time)).filter(_.us < _.now_us)
    order = [CUSTOMER, "us", "sequence", "event_id"]
    return dated.order_by([ibis.asc(name) for name in order]).select(CUSTOMER, "properties")


class _Told:
    """The last value of each wanted name that each customer told, read in order of time."""

    def __init__(self, customers: pa.Array, opened: Opened | None = None) -> None:
        self._opened = opened
        self._places = {name: place for place, name in enumerate(customers.to_pylist())}
        self._values: dict[str, list[Any]] = {}

    def read(self, customers: list[str], told: list[str]) -> None:
        """More profile events: whose, and their properties as JSON."""
        for customer, text in zip(customers, told, strict=True):
            try:
                traits = json.loads(text)
            except ValueError:
                continue
            if not isinstance(traits, dict):
                continue
            for name, value in traits.items():
                if name in _WANTED:
                    if isinstance(value, str) and value.startswith(MARK):
                        value = None if self._opened is None else self._opened(value, name)
                    column = self._values.get(name)
                    if column is None:
                        column = self._values[name] = [None] * len(self._places)
                    column[self._places[customer]] = value

    def latest(self, spellings: tuple[str, ...]) -> pa.Array:
        """The texts of a trait, null where there is none: by the first spelling that has one."""
        columns = [
            pa.array([_text(value) for value in self._values[name]], pa.string())
            for name in spellings
            if name in self._values
        ]
        return pc.coalesce(*columns) if columns else pa.nulls(len(self._places), pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value).strip() or None


def emails_of(texts: pa.Array) -> pa.Array:
    """The texts that are e-mail addresses; the others are null.

    >>> emails_of(pa.array(["ann@x.example", "=1+1@x.example", "ann", None])).to_pylist()
    ['ann@x.example', None, None, None]
    """
    return pc.if_else(pc.match_substring_regex(texts, _EMAIL), texts, None)


def phones_of(texts: pa.Array) -> pa.Array:
    """Telephone numbers in the form of E.164; null where their country is not told.

    >>> phones_of(pa.array(["+44 (0)20-7946.0000", "001 415 555 0100", "020 7946"])).to_pylist()
    ['+442079460000', '+14155550100', None]
    """
    plain = pc.replace_substring_regex(texts, _BETWEEN, "")
    plain = pc.replace_substring_regex(plain, "^00", "+")
    return pc.if_else(pc.match_substring_regex(plain, _E164), plain, None)
