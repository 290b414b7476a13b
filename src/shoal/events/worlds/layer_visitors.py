"""Visitors: the browsers, apps and kiosks that customers use, and when they say who they are.

Every session is on a device, under the visitor id (anonymous id) that the device has then. In part
of the sessions nobody has signed in, for a while or to the end: their events have no customer id.
Events of signed-in sessions have both ids, which is the link between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain import kinds
from shoal.domain.errors import UsageError
from shoal.events.worlds.customers import DAY_S, Customers
from shoal.events.worlds.devices import APP_SLOT, BROWSERS, KIOSK_SLOT, SLOTS, TABLET, assign
from shoal.events.worlds.encode import SOURCES, moments, numbered
from shoal.events.worlds.funnel import CODE
from shoal.events.worlds.layers import Draft, Setting
from shoal.events.worlds.segments import CHANNELS, DEVICES

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.void]

#: Kinds of event that only a signed-in customer leaves.
_SIGNS_IN: Final = [CODE[kind] for kind in (kinds.SIGN_UP, kinds.LOGIN, kinds.PROFILE)]
#: Kinds of event that come after a visit.
_AFTERWARDS: Final = [CODE[kind] for kind in (kinds.REFUND, kinds.REVIEW)]
_APP: Final = CHANNELS.index("app")
_WEB_SOURCE, _APP_SOURCE = SOURCES.index("web"), SOURCES.index("app")


#: Dials that are shares.
_SHARES: Final = (
    "first", "loss", "anonymous", "signs_in", "signs_in_to_buy", "never", "shared", "kiosk_users",
)  # fmt: skip


@dataclass(frozen=True)
class Visitors:
    """Devices, lost cookies and sign-ins."""

    #: share of customers with 1, 2, 3, 4 browsers, and of sessions on the first of several
    browsers: tuple[float, ...] = (0.62, 0.25, 0.09, 0.04)
    first: float = 0.7
    #: share of sessions before which the browser has lost its cookie (apps: a fifth of it)
    loss: float = 0.03
    #: share of sessions that begin without a sign-in, and of those that sign in on the way; at the
    #: checkout of an order far more do
    anonymous: float = 0.35
    signs_in: float = 0.3
    signs_in_to_buy: float = 0.8
    #: share of customers who never say who they are, of those who leave no profile
    never: float = 0.1
    #: share of customers who also use a browser of somebody else, and who also use a kiosk
    shared: float = 0.03
    kiosk_users: float = 0.01
    kiosks: int = 2

    def __post_init__(self) -> None:
        for name in _SHARES:
            self._refuse_unless(0 <= getattr(self, name) <= 1, name, "Give a share from 0 to 1.")
        self._refuse_unless(self.kiosks >= 1, "kiosks", "Give a number from 1 on.")
        weights = self.browsers
        fits = 1 <= len(weights) <= BROWSERS and min(weights) >= 0 and sum(weights) > 0
        hint = f"Give 1 to {BROWSERS} weights of at least 0, one of them above."
        self._refuse_unless(fits, "browsers", hint)

    def _refuse_unless(self, fits: bool, name: str, hint: str) -> None:
        if not fits:
            said = f"dial {name} of visitors cannot be {getattr(self, name)!r}"
            raise UsageError("bad_dial", said, hint=hint)

    def plan(self, setting: Setting, rng: np.random.Generator) -> VisitorsPlan:
        """Nothing holds for the whole shop but its kiosks."""
        return VisitorsPlan(self, setting)


@dataclass(frozen=True)
class _Visits:
    """The sessions of a block that left events, one entry each; by customer and start.

    `number` in the shop, ascending; `person` a place in the block; `rows` are the places of all
    their rows, by session and time: those of a session begin at `first` and are `size` many. `base`
    is the number of the block's first customer.
    """

    number: Ints
    person: Ints
    start_s: Ints
    rows: Ints
    first: Ints
    size: Ints
    base: int

    @classmethod
    def find(cls, rows: Rows, base: int) -> _Visits:
        """The visits of the block whose first customer has the number `base`."""
        places = np.flatnonzero(rows["session"] >= 0)
        session = rows["session"][places]
        order = np.argsort(session, kind="stable")
        places, session = places[order], session[order]
        first = np.flatnonzero(np.append(True, session[1:] != session[:-1])[: len(session)])
        size = np.diff(np.append(first, len(session)))
        opening = rows[places[first]]
        person = opening["customer"] - base
        return cls(session[first], person, opening["time_s"], places, first, size, base)

    def spread(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A value a session as one a row, in the order of `rows`."""
        return np.repeat(values, self.size)


@dataclass(frozen=True)
class _Seats:
    """Where each visit is seen: number and type of the device, whether the app, visitor number.

    `fresh` visits are the first under their visitor id; of a kiosk, where nobody stays signed in,
    all are.
    """

    device: Ints
    type: Ints
    app: Bools
    visitor: Ints
    fresh: Bools

    @property
    def source(self) -> Ints:
        """Code in `SOURCES` of what records the visit."""
        return np.where(self.app, _APP_SOURCE, _WEB_SOURCE)


@dataclass(frozen=True)
class VisitorsPlan:
    """Puts the sessions of each block on devices. Name it before layers that damage the log."""

    layer: Visitors
    setting: Setting

    def shape_sessions(self, draft: Draft, rng: np.random.Generator) -> None:
        """Nothing: a session is on a device once its events are known."""

    def shape_visits(self, draft: Draft, rows: Rows, rng: np.random.Generator) -> Rows:
        """Nothing."""
        return rows

    def shape_events(self, draft: Draft, rng: np.random.Generator) -> None:
        """Visitor ids, devices, sources and sign-ins of a block's events."""
        rows = draft.events
        if not (rows["session"] >= 0).any():
            return
        visits = _Visits.find(rows, int(draft.people.number[0]))
        seats = self._seats(draft.people, rows, visits, rng)
        known_from, login = self._sign_ins(draft.people, rows, visits, seats.fresh, rng)
        places, step = visits.rows, np.arange(len(visits.rows)) - visits.spread(visits.first)
        rows["visitor"][places] = visits.spread(seats.visitor)
        rows["device"][places] = visits.spread(seats.type)
        rows["source"][places] = visits.spread(seats.source)
        rows["told"][places] = step >= visits.spread(known_from)
        self._afterwards(rows, visits, seats, known_from < visits.size)
        self._tell(draft, rows, visits, seats, known_from)
        draft.events = _with_logins(rows, visits, known_from, login)

    def _seats(
        self, people: Customers, rows: Rows, visits: _Visits, rng: np.random.Generator
    ) -> _Seats:
        """Which device each session is on, under which visitor id."""
        layer, n = self.layer, len(visits.number)
        owned = assign(people.device, layer.browsers, layer.shared, rng)
        who = visits.person
        app = rows["channel"][visits.rows[visits.first]] == _APP
        other = 1 + rng.integers(0, 1 << 30, n) % np.maximum(owned.count[who] - 1, 1)
        slot = np.where((owned.count[who] == 1) | (rng.random(n) < layer.first), 0, other)
        slot = np.where(app, APP_SLOT, slot)
        owner, kind = owned.owner[who, slot], owned.type[who, slot]
        # On somebody else's device it is that one's first browser.
        slot = np.where(owner != who, 0, slot)
        device = (owner + people.number[0]) * SLOTS + slot
        kiosk_user = rng.random(len(people.number)) < layer.kiosk_users
        at_kiosk = kiosk_user[who] & ~app & (rng.random(n) < 0.5)
        kiosk = rng.integers(0, layer.kiosks, len(people.number))[who]
        device = np.where(at_kiosk, kiosk * SLOTS + KIOSK_SLOT, device)
        visitor, fresh = self._visitors(visits, device, app, rng)
        kind = np.where(at_kiosk, TABLET, kind)
        return _Seats(device, kind, app, visitor, fresh | at_kiosk)

    def _visitors(
        self, visits: _Visits, device: Ints, app: Bools, rng: np.random.Generator
    ) -> tuple[Ints, Bools]:
        """The visitor id of each session, that of the session which opened it on the device, and
        whether it did so.

        A kiosk keeps the one it was set up with, whose number no session has.
        """
        n = len(visits.number)
        loss = np.where(app, self.layer.loss / 5, self.layer.loss)
        lost = rng.random(n) < loss
        order = np.lexsort((visits.number, visits.start_s, device))
        opens = np.append(True, device[order][1:] != device[order][:-1])[:n] | lost[order]
        opener = np.maximum.accumulate(np.where(opens, np.arange(n), 0))
        visitor, fresh = np.empty(n, np.int64), np.empty(n, bool)
        visitor[order] = visits.number[order][opener] + self.layer.kiosks
        fresh[order] = opens
        return np.where(device % SLOTS == KIOSK_SLOT, device // SLOTS, visitor), fresh

    def _sign_ins(
        self, people: Customers, rows: Rows, visits: _Visits, fresh: Bools,
        rng: np.random.Generator,
    ) -> tuple[Ints, Bools]:  # fmt: skip
        """Place within each session of the first event that says who it is, and whether a login
        is to be put before it. Sessions nobody signs in to have their size as the place.

        Customers seen once are known from the start or not at all: a login would be an event more.
        """
        layer, n, m = self.layer, len(visits.number), len(people.number)
        kind = rows["kind"][visits.rows]
        step = np.arange(len(kind)) - visits.spread(visits.first)
        none = visits.size

        def first_of(codes: list[int]) -> Ints:
            place = np.where(np.isin(kind, codes), step, 1 << 30)
            return np.minimum(np.minimum.reduceat(place, visits.first), none)

        says, buys = first_of(_SIGNS_IN), first_of([CODE[kinds.CHECKOUT], CODE[kinds.PURCHASE]])
        ordered = first_of([CODE[kinds.PURCHASE]]) < none
        tells = np.bincount(visits.person, says < none, m) > 0
        never = ~tells & (rng.random(m) < layer.never)
        anonymous = rng.random(n) < layer.anonymous
        drawn = rng.random(n)
        once = people.one_off[visits.person]
        signs = ~once & (drawn < np.where(ordered, layer.signs_in_to_buy, layer.signs_in))
        on_the_way = np.where(ordered, buys, (rng.random(n) * visits.size).astype(np.int64))
        known_from = np.where(anonymous, np.where(signs, on_the_way, none), 0)
        known_from = np.where(says < none, np.where(anonymous, says, 0), known_from)
        # Who is no stranger for ever is known in one session at least: the first.
        known = np.bincount(visits.person, known_from < none, m) > 0
        first = np.append(True, visits.person[1:] != visits.person[:-1])
        known_from = np.where(first & ~known[visits.person], 0, known_from)
        known_from = np.where(never[visits.person], none, known_from)
        # Nobody is signed in already on the way, or where they have not been before.
        login = (known_from < none) & (known_from < says) & ~once
        return known_from, login & ((anonymous & signs) | fresh)

    def _afterwards(self, rows: Rows, visits: _Visits, seats: _Seats, known: Bools) -> None:
        """Refunds say as much as their order did; reviews are signed, but for strangers."""
        later = np.flatnonzero((rows["session"] < 0) & np.isin(rows["kind"], _AFTERWARDS))
        bought = np.flatnonzero((rows["kind"] == CODE[kinds.PURCHASE]) & (rows["order"] >= 0))
        before = self._last_visit(rows, visits, later)
        person = visits.person[before]
        says = np.bincount(visits.person, known)[person] > 0
        seen, source = seats.visitor[before], seats.source[before]
        if len(bought):
            order, place = np.unique(rows["order"][bought], return_index=True)
            at = np.minimum(np.searchsorted(order, rows["order"][later]), len(order) - 1)
            refers = order[at] == rows["order"][later]
            line = bought[place[at]]
            says = np.where(refers, rows["told"][line] == 1, says)
            seen = np.where(refers, rows["visitor"][line], seen)
            source = np.where(refers, rows["source"][line], source)
        rows["told"][later] = says
        rows["visitor"][later] = np.where(says, -1, seen)
        rows["source"][later] = source

    def _last_visit(self, rows: Rows, visits: _Visits, later: Ints) -> Ints:
        """The visit before each of those rows (the person's first one, should there be none)."""
        reach = (self.setting.days + 1) * DAY_S
        key = visits.person * reach + visits.start_s
        order = np.argsort(key, kind="stable")
        person = rows["customer"][later] - visits.base
        place = np.searchsorted(key[order], person * reach + rows["time_s"][later], side="right")
        first = np.searchsorted(key[order], person * reach)
        return np.asarray(order[np.maximum(place - 1, first)])

    def _tell(
        self, draft: Draft, rows: Rows, visits: _Visits, seats: _Seats, known_from: Ints
    ) -> None:
        """One row a visitor id and customer seen on it within the log."""
        span_s, never = self.setting.days * DAY_S, 1 << 60
        known = known_from < visits.size
        signed = np.full(len(known), never)
        signed[known] = rows["time_s"][visits.rows[(visits.first + known_from)[known]]]
        order = np.lexsort((visits.start_s, seats.visitor, visits.person))
        order = order[visits.start_s[order] < span_s]
        person, visitor = visits.person[order], seats.visitor[order]
        opens = (person[1:] != person[:-1]) | (visitor[1:] != visitor[:-1])
        opens = np.append(True, opens)[: len(order)]
        told_s = np.full(int(opens.sum()), never)
        np.minimum.at(told_s, np.cumsum(opens) - 1, signed[order])
        one = order[opens]
        prefix = self.setting.prefix
        columns: dict[str, Any] = {
            "anonymous_id": numbered(f"{prefix}v", seats.visitor[one], 10),
            "customer_id": numbered("c", draft.people.number[visits.person[one]], 8),
            "device": numbered("d", seats.device[one], 9),
            "device_type": pa.array(DEVICES).take(pa.array(seats.type[one])),
            "app": pa.array(seats.app[one]),
            "first_seen": self._moments(visits.start_s[one]),
            "identified_at": self._moments(np.where(told_s < span_s, told_s, -1)),
        }
        draft.truth.setdefault("visitors", []).append(pa.table(columns))

    def _moments(self, second: Ints) -> pa.Array:
        found = moments(self.setting.world, np.maximum(second, 0))
        return pc.if_else(pa.array(second >= 0), found, None)

    def tables(self) -> dict[str, pa.Table]:
        """Nothing beside the tables of blocks."""
        return {}


def _with_logins(rows: Rows, visits: _Visits, known_from: Ints, login: Bools) -> Rows:
    """The rows with a login before the first event of sessions that become known on the way."""
    at = visits.rows[visits.first[login] + known_from[login]]
    new = rows[at].copy()
    for name in ("order", "item", "price", "discount", "tax", "shipping", "quantity", "code",
                 "rating", "payment", "action", "card"):  # fmt: skip
        new[name] = -1
    new["kind"], new["told"] = CODE[kinds.LOGIN], 1
    return np.insert(rows, at, new)
