"""Calls of the Segment spec as flat rows: track, identify, page, screen, alias, group.

Sources: Segment documentation, "Spec: Track", "Spec: Identify", "Spec: Page", "Spec: Screen",
"Spec: Alias", "Spec: Group", "Spec: Common Fields", "Spec: Ecommerce Events (V2)", "Spec: Email
Events", "Consent in Segment Connections" (`context.consent.categoryPreferences`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from json.encoder import encode_basestring as _quoted
from typing import Any, Final

from shoal.domain import kinds
from shoal.events.mapping import SourceMapping
from shoal.events.shapes.order_facts import EMAIL_ALIAS, email_id
from shoal.events.shapes.segment_orders import Row, order_rows
from shoal.events.texts import raw_text

#: The flat columns, all text; every row is a list in this order.
COLUMNS: Final = (
    "event_id", "customer_id", "anonymous_id", "kind", "event_time", "received_at", "sequence",
    "item_id", "category", "brand", "title", "price", "discount", "tax", "shipping", "currency",
    "quantity", "order_id", "payment", "coupon", "session_id", "query", "rating", "text",
    "channel", "device", "country", "region", "action_id", "user_agent", "ip", "properties",
)  # fmt: skip
AT: Final = {name: place for place, name in enumerate(COLUMNS)}

#: Of a call whose address is sealed, what the address is called as an id.
EMAIL_ID: Final = "$email_id"

#: Properties of the spec's events that are columns of their own.
_COLUMN_OF: Final = {
    "product_id": AT["item_id"], "category": AT["category"], "brand": AT["brand"],
    "price": AT["price"], "currency": AT["currency"], "quantity": AT["quantity"],
    "order_id": AT["order_id"], "coupon": AT["coupon"], "payment_method": AT["payment"],
    "query": AT["query"], "rating": AT["rating"], "review_body": AT["text"],
    "promotion_id": AT["action_id"], "campaign_id": AT["action_id"],
    "session_id": AT["session_id"],
}  # fmt: skip
#: What an event of the shop's own making gives: nothing that could make the row unusable.
_COLUMN_OF_CUSTOM: Final = {
    "product_id": AT["item_id"], "order_id": AT["order_id"], "session_id": AT["session_id"],
}  # fmt: skip

#: Kinds in which every product of `products` is an act of its own; of all other kinds (a list
#: seen, a cart viewed, a checkout begun) the call is one event and names its products.
_EACH_PRODUCT: Final = frozenset(
    {kinds.PURCHASE, kinds.REFUND, kinds.CART_ADD, kinds.CART_REMOVE, kinds.FAVOURITE}
)
_ORDERS: Final = frozenset({kinds.PURCHASE, kinds.REFUND})
_CONSENT_CHANGED: Final = "segment consent preference updated"
_TYPES: Final = {"alias": kinds.LOGIN, "group": kinds.PROFILE}

_ID, _KIND, _PROPERTIES = AT["event_id"], AT["kind"], AT["properties"]
_ITEM, _TITLE, _CHANNEL = AT["item_id"], AT["title"], AT["channel"]
_CUSTOMER, _ANONYMOUS = AT["customer_id"], AT["anonymous_id"]
_EMPTY: Final[Row] = [None] * len(COLUMNS)
#: What the context tells, by its own keys and by those within.
_OF_CONTEXT: Final = (("userAgent", AT["user_agent"]), ("ip", AT["ip"]),
                      ("sessionId", AT["session_id"]))  # fmt: skip
_WITHIN_CONTEXT: Final = (
    ("campaign", (("medium", AT["channel"]), ("source", AT["channel"]))),
    ("device", (("type", AT["device"]),)),
    ("location", (("country", AT["country"]), ("region", AT["region"]))),
)


class Calls:
    """Unpacks calls; remembers which event names the mapping and the conventions know."""

    def __init__(self, mapping: SourceMapping) -> None:
        self._mapping = mapping
        self._known: dict[str, tuple[str, str | None]] = {}

    def rows(self, call: Mapping[str, Any]) -> list[Row]:
        """The flat rows of one call: at least one, whatever the call holds."""
        kind = call.get("type")
        if kind == "track":
            return self._track(call)
        base = _common(call)
        if kind == "page" or kind == "screen":
            told = _mapping_of(call.get("properties"))
            named = {"name": call.get("name"), "category": call.get("category"), **told}
            base[_KIND] = kinds.VIEW
            base[_PROPERTIES] = packed(named)
            return [base]
        if kind == "identify":
            traits = {**_mapping_of(_mapping_of(call.get("context")).get("traits")),
                      **_mapping_of(call.get("traits"))}  # fmt: skip
            base[_KIND] = kinds.PROFILE
            base[_PROPERTIES] = packed(traits)
            return [base, *_consents(call, base), *_email_link(call, traits, base)]
        if not isinstance(kind, str) or kind not in _TYPES:
            base[_KIND] = raw_text(kind)
            base[_PROPERTIES] = packed(call)  # refused, with all it holds
            return [base]
        base[_KIND] = _TYPES[kind]
        if kind == "alias":
            base[_ANONYMOUS] = call.get("previousId")
            base[_PROPERTIES] = '{"alias":true}'
        elif kind == "group":
            # Under one name, so that a company's traits are never taken for the person's.
            inner = json.dumps(flattened(_mapping_of(call.get("traits"))), ensure_ascii=False)
            base[_PROPERTIES] = packed({"group_id": call.get("groupId"), "group": inner})
        return [base]

    def _track(self, call: Mapping[str, Any]) -> list[Row]:
        name = call.get("event")
        told = call.get("properties") or None
        base = _common(call)
        if not isinstance(name, str) or not (told is None or isinstance(told, dict)):
            base[_KIND] = raw_text(name)
            base[_PROPERTIES] = raw_text(told)
            return [base]
        word, kind = self._known.get(name) or self._meant(name)
        base[_KIND] = word
        told = told or {}
        products = _products(told.get("products")) if "products" in told else None
        if kind in _ORDERS:
            return order_rows(base, told, products, AT, _COLUMN_OF, packed)
        if kind is None or kind == kinds.CUSTOM:
            base[_PROPERTIES] = _taken(base, told, _COLUMN_OF_CUSTOM, {"event": name})
            if name.lower() == _CONSENT_CHANGED:
                return [base, *_consents(call, base)]
            return [base]
        if products and (kind in _EACH_PRODUCT or len(products) == 1):
            return _product_rows(base, told, products)
        base[_PROPERTIES] = _taken(base, told, _COLUMN_OF, {})
        return [base]

    def _meant(self, name: str) -> tuple[str, str | None]:
        """(the word for the flat column `kind`, the kind it will mean)."""
        mapping = self._mapping
        kind = mapping.kinds.get(name) or mapping.kinds.get(name.lower()) or kinds.kind_of(name)
        known = kind is not None or name in mapping.skip
        found = (name if known else kinds.CUSTOM, kind)
        if len(self._known) < 100_000:  # names may be made up anew for every event
            self._known[name] = found
        return found


def _product_rows(base: Row, told: dict[str, Any], products: list[dict[str, Any]]) -> list[Row]:
    """A row a product; a lone product is the call itself and keeps its id."""
    shared = {name: value for name, value in told.items() if name != "products"}
    rows = []
    for number, product in enumerate(products, 1):
        row = base.copy()
        if len(products) > 1:
            row[_ID] = f"{base[_ID]}#{number}" if base[_ID] is not None else None
        row[_PROPERTIES] = _taken(row, {**shared, **product}, _COLUMN_OF, {})
        rows.append(row)
    return rows


def _taken(
    row: Row, told: Mapping[str, Any], columns: Mapping[str, int], left: dict[str, Any]
) -> str | None:
    """Put what has a column into the row; the JSON of what is left."""
    for name, value in told.items():
        if value is None:
            continue
        place = columns.get(name)
        if place is None or row[place] is not None:
            left[name] = value
        else:
            row[place] = value
    if columns is _COLUMN_OF:
        if row[_ITEM] is None and "sku" in left:
            row[_ITEM] = left.pop("sku")
        if row[_ITEM] is not None and "name" in left:
            row[_TITLE] = left.pop("name")
    return packed(left)


def _common(call: Mapping[str, Any]) -> Row:
    """What every call has: ids, times, and what its context tells."""
    get = call.get
    row: Row = _EMPTY.copy()
    row[0], row[1], row[2] = get("messageId"), get("userId"), get("anonymousId")
    row[4] = get("timestamp") or _untold_time(call)
    row[5] = get("receivedAt")
    context = get("context")
    if type(context) is dict:
        for name, place in _OF_CONTEXT:
            if name in context:
                row[place] = context[name]
        for name, found in _WITHIN_CONTEXT:
            if context.get(name):
                inner = _mapping_of(context[name])
                for key, place in found:
                    row[place] = row[place] or inner.get(key)
    return row


def _untold_time(call: Mapping[str, Any]) -> str | None:
    """The time of a call without `timestamp`: the client's own, its clock's error taken off.

    Segment's rule: receivedAt - (sentAt - originalTimestamp); the client's own where one of the
    two others is missing.
    """
    own: str | None = raw_text(call.get("originalTimestamp"))
    try:
        sent = datetime.fromisoformat(str(call["sentAt"]))
        received = datetime.fromisoformat(str(call["receivedAt"]))
        return (received - (sent - datetime.fromisoformat(str(own)))).isoformat()
    except (KeyError, ValueError, TypeError, OverflowError):
        return own


def _consents(call: Mapping[str, Any], base: Row) -> list[Row]:
    """A row for each category of `context.consent.categoryPreferences` that says yes or no."""
    consent = _mapping_of(_mapping_of(call.get("context")).get("consent"))
    rows = []
    for category, granted in _mapping_of(consent.get("categoryPreferences")).items():
        if isinstance(granted, bool):
            row = base.copy()
            row[_ID] = f"{base[_ID]}#consent:{category}" if base[_ID] is not None else None
            row[_KIND] = kinds.CONSENT
            row[_CHANNEL] = category
            row[_PROPERTIES] = '{"granted":true}' if granted else '{"granted":false}'
            rows.append(row)
    return rows


def _email_link(call: Mapping[str, Any], traits: Mapping[str, Any], base: Row) -> list[Row]:
    """A row that joins an identified user's e-mail address, by which order exports know people."""
    email = traits.get("email")
    known = call.get(EMAIL_ID)
    if base[_CUSTOMER] is not None and isinstance(known, str) and known:
        return [_link(base, known)]
    if base[_CUSTOMER] is None or not isinstance(email, str) or "@" not in email:
        return []
    return [_link(base, email_id(email))]


def _link(base: Row, email: str | None) -> Row:
    row = base.copy()
    row[_ID] = f"{base[_ID]}#email" if base[_ID] is not None else None
    row[_KIND] = kinds.PROFILE
    row[_ANONYMOUS] = email
    row[_PROPERTIES] = EMAIL_ALIAS
    return row


def _products(value: Any) -> list[dict[str, Any]] | None:
    """The products of a call, None where the value is no list of objects."""
    if isinstance(value, str):  # warehouses hold the list as text
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if isinstance(value, list) and all(isinstance(product, dict) for product in value):
        return value
    return None


def _mapping_of(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else {}


def packed(told: Mapping[str, Any]) -> str | None:
    """Properties as one flat JSON object of texts, None where there is none."""
    parts: list[str] = []
    for name, value in told.items():
        if type(value) is str:
            if value:
                parts.append(f"{_quoted(name)}:{_quoted(value)}")
        elif type(value) is dict:
            inner = flattened({name: value})
            parts += [f"{_quoted(key)}:{_quoted(text)}" for key, text in inner.items()]
        elif value is not None:
            parts.append(f"{_quoted(name)}:{_quoted(raw_text(value) or '')}")
    return f"{{{','.join(parts)}}}" if parts else None


def flattened(told: Mapping[str, Any]) -> dict[str, str]:
    """Objects within opened (`address.city` is `address_city`), as Segment's warehouses do.

    >>> flattened({"plan": "pro", "seats": 3.0, "address": {"city": "Lyon"}, "tags": ["a"]})
    {'plan': 'pro', 'seats': '3', 'address_city': 'Lyon', 'tags': '["a"]'}
    """
    flat: dict[str, str] = {}
    for name, value in told.items():
        if type(value) is str:
            if value:
                flat[name] = value
        elif type(value) is dict:
            for inner, text in flattened(value).items():
                flat[f"{name}_{inner}"] = text
        elif value is not None:
            flat[name] = raw_text(value) or ""
    return flat
