"""A mapping guessed from a file's column names and content, for a person to confirm."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shoal.domain.errors import InputError
from shoal.domain.event import CANONICAL, MONEY_COLUMNS
from shoal.domain.kinds import PURCHASE, kind_of
from shoal.domain.time import Zone
from shoal.events.mapping import SourceMapping
from shoal.events.texts import as_text, parse_numbers
from shoal.events.times import read_times

#: canonical -> names it goes by, lower case without separators, surest first.
SYNONYMS: Final = MappingProxyType(
    {
        "event_time": "eventtime timestamp eventtimestamp time datetime eventdate date occurredat "
        "createdat orderdate invoicedate purchasedate transactiondate orderdatetime ts serverts "
        "orderpurchasetimestamp purchasetime createdtime unixreviewtime reviewtime receivedtime "
        "eventdatetime day 时间 日期 fecha datum",
        "customer_id": "customerid customer custid cid userid user uid customeruniqueid clientid "
        "client shopperid buyerid memberid accountid visitorid visitor personid profileid "
        "reviewerid customerno customernumber customerkey userpseudoid email "
        "用户 客户 cliente kunde",
        "kind": "kind event eventtype eventname action behavior behaviour behaviortype "
        "actiontype activity interaction type 行为",
        "event_id": "eventid messageid insertid uuid eventuuid",
        "anonymous_id": "anonymousid cookieid cookie browserid fullvisitorid anonid",
        "item_id": "itemid item productid product sku stockcode asin articleid article movieid "
        "variantid productsku goodsid pid productcode parentasin 商品",
        "category": "category categorycode productcategory itemcategory categoryname department "
        "categoryid catid producttype 类别",
        "brand": "brand brandname manufacturer vendor 品牌",
        "title": "title productname itemname name description productdescription producttitle",
        "price": "price unitprice itemprice productprice saleprice priceperunit 价格",
        "quantity": "quantity qty units count numitems itemquantity 数量",
        "discount": "discount discountamount totaldiscount",
        "tax": "tax taxamount vat",
        "shipping": "shipping shippingcost freightvalue shippingamount",
        "currency": "currency currencycode",
        "order_id": "orderid order invoiceno invoice invoiceid transactionid transaction "
        "orderno ordernumber basketid receiptid",
        "order_status": "orderstatus status",
        "payment": "payment paymentmethod paymenttype",
        "coupon": "coupon couponcode vouchercode promocode",
        "session_id": "sessionid session usersession visitid gasessionid",
        "query": "query searchterm searchquery keyword",
        "rating": "rating stars score overall reviewscore",
        "text": "reviewtext comment review",
        "channel": "channel medium saleschannel trafficsource",
        "device": "device devicetype platform devicecategory",
        "country": "country countrycode geocountry",
        "region": "region state city province",
    }
)
#: Names of a whole line's amount, used where there is no price of a unit.
_TOTALS: Final = [
    "amount",
    "total",
    "totalprice",
    "totalamount",
    "linetotal",
    "sales",
    "revenue",
    "spent",
    "value",
    "payment",
]
_SAMPLE: Final = 2000
_NEEDED: Final = ("event_time", "customer_id", "kind")


def guess(sample: pa.Table, *, name: str = "guessed") -> SourceMapping:
    """The most likely mapping of a file of which `sample` holds the first rows.

    Names count first; content decides where names are unknown or do not fit (times must be
    readable, amounts numbers). A file without a kind column is taken as purchases.

    Raises:
        InputError: `unknown_columns`, no time or no customer column can be found.
    """
    sample = sample.slice(0, _SAMPLE)
    free = list(sample.column_names)
    chosen: dict[str, str] = {}
    for canonical in ("event_time", "kind", *SYNONYMS):
        if canonical in chosen:
            continue
        column = _by_name(canonical, sample, free)
        if column is not None:
            chosen[canonical] = column
            free.remove(column)
    for canonical, test in (("event_time", _reads_as_time), ("customer_id", _looks_like_person)):
        column = next((c for c in free if test(sample[c]) and not _is_number(c, sample)), None)
        if canonical not in chosen and column is not None:
            chosen[canonical] = column
            free.remove(column)
    missing = [c for c in ("event_time", "customer_id") if c not in chosen]
    if missing == ["customer_id"] and "anonymous_id" in chosen:
        chosen["customer_id"], missing = chosen.pop("anonymous_id"), []
    if missing:
        raise _cannot(missing, sample.column_names)
    return _mapping(chosen, free, sample, name)


def describe(mapping: SourceMapping) -> str:
    """The mapping in lines that a person can check, and the TOML way to change it.

    >>> print(describe(SourceMapping("m", columns={"event_time": ("ts",)})).splitlines()[1])
      event_time   <- ts
    """
    lines = [f"Mapping {mapping.name!r} (events of source {mapping.source!r}):"]
    for canonical in CANONICAL:
        column = mapping.columns.get(canonical) or mapping.optional.get(canonical)
        if column:
            lines.append(f"  {canonical:<12} <- {' or '.join(column)}")
        elif canonical in mapping.constants:
            lines.append(f"  {canonical:<12} =  {mapping.constants[canonical]!r} for every row")
    if mapping.kinds:
        words = ", ".join(f"{word} = {kind}" for word, kind in mapping.kinds.items())
        lines.append(f"  kinds: {words}")
    if mapping.skip:
        lines.append(f"  left out (skipped): {', '.join(mapping.skip)}")
    if mapping.properties:
        lines.append(f"  kept in properties: {', '.join(mapping.properties)}")
    lines.append(f"  times without an offset are {mapping.time_zone}")
    amount = "price x quantity together" if mapping.price_is == "total" else "per unit"
    if "price" in mapping.columns or "price" in mapping.optional:
        lines.append(f"  price is {amount}, in {mapping.currency or 'no stated currency'}")
    lines.append(f"  buying is the kind {mapping.value_event!r}")
    return "\n".join(lines)


def _mapping(chosen: dict[str, str], free: list[str], sample: pa.Table, name: str) -> SourceMapping:
    constants: dict[str, str] = {}
    kinds: dict[str, str] = {}
    value_event = PURCHASE
    if "kind" in chosen:
        kinds = _kinds(sample[chosen["kind"]])
    else:
        constants["kind"] = value_event = "review" if _is_reviews(chosen) else PURCHASE
    price_is = "unit"
    if "price" not in chosen:
        total = next((c for c in free if _plain(c) in _TOTALS and _is_amount(sample[c])), None)
        if total is not None:
            chosen["price"], price_is = total, "total"
            free.remove(total)
    formats = _time_formats(sample[chosen["event_time"]])
    return SourceMapping(
        name=name,
        columns={name: (chosen[name],) for name in _NEEDED if name in chosen},
        optional={name: (column,) for name, column in chosen.items() if name not in _NEEDED},
        constants=constants,
        kinds=kinds,
        value_event=value_event,
        properties=tuple(free),
        price_is=price_is,
        time_formats=formats,
        category_separator=_separator(sample, chosen.get("category")),
    )


def _by_name(canonical: str, sample: pa.Table, free: Sequence[str]) -> str | None:
    """The free column with the surest name whose content fits."""
    plain = {_plain(column): column for column in reversed(free)}
    for name in (canonical.replace("_", ""), *SYNONYMS[canonical].split()):
        column = plain.get(name)
        if column is not None and _fits(canonical, sample[column]):
            return column
    return None


def _fits(canonical: str, column: pa.ChunkedArray) -> bool:
    if canonical == "event_time":
        return _reads_as_time(column)
    if canonical in (*MONEY_COLUMNS, "quantity", "rating"):
        return _is_amount(column)
    if canonical == "kind":
        words = pc.unique(as_text(column).drop_null()).to_pylist()
        return 0 < len(words) <= 50 and any(kind_of(word) or _stem(word) for word in words)
    return True


def _plain(name: str) -> str:
    return re.sub(r"[^\w]|_", "", name.lower())


#: Words from which a kind can be told, besides the known conventions.
_WORDS: Final = MappingProxyType(
    {
        "pv": "view", "pageview": "view", "page_view": "view", "viewed": "view", "visit": "view",
        "detail": "view", "click": "click", "clicked": "click", "cart": "cart_add",
        "addtocart": "cart_add", "add": "cart_add", "basket": "cart_add",
        "removefromcart": "cart_remove", "remove": "cart_remove", "fav": "favourite",
        "favorite": "favourite", "wishlist": "favourite", "like": "favourite",
        "buy": "purchase", "bought": "purchase", "order": "purchase", "sale": "purchase",
        "transaction": "purchase", "purchased": "purchase", "return": "refund",
        "returned": "refund", "cancel": "refund", "cancelled": "refund", "rate": "review",
        "rating": "review", "register": "sign_up", "signup": "sign_up", "checkout": "checkout",
    }
)  # fmt: skip


def _stem(word: str) -> str | None:
    return _WORDS.get(_plain(word)) or _WORDS.get(word.lower())


def _kinds(column: pa.ChunkedArray) -> dict[str, str]:
    """Words of the column that are not known conventions, with the kind they stand for."""
    words = pc.unique(as_text(column).drop_null()).to_pylist()
    return {w: kind for w in sorted(words)
            if kind_of(w) is None and (kind := _stem(w)) is not None}  # fmt: skip


def _is_reviews(chosen: dict[str, str]) -> bool:
    return "rating" in chosen and "price" not in chosen and "order_id" not in chosen


_FORMATS: Final = (
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y",
    "%d/%m/%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M", "%Y/%m/%d", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y %H:%M", "%d-%m-%Y",
)  # fmt: skip


def _readable(column: pa.ChunkedArray, formats: tuple[str, ...] = ()) -> float:
    """The share of the rows that have a value and read as a time between 1990 and 2099."""
    times = read_times(column, Zone("UTC"), "auto", formats)
    there = int((~times.missing).sum())
    good = int((~times.missing & ~times.bad & ~times.absurd).sum())
    return good / there if there else 0.0


def _time_formats(column: pa.ChunkedArray) -> tuple[str, ...]:
    """The one format that reads every row, where the built-in notations do not."""
    if _readable(column) > 0.9:
        return ()
    best = max(_FORMATS, key=lambda pattern: _readable(column, (pattern,)))
    return (best,) if _readable(column, (best,)) > 0.5 else ()


def _reads_as_time(column: pa.ChunkedArray) -> bool:
    return _readable(column) > 0.5 or bool(_time_formats(column))


def _looks_like_person(column: pa.ChunkedArray) -> bool:
    """Texts or whole numbers that repeat, but not as few as labels."""
    if pa.types.is_floating(column.type):
        return False
    text = as_text(column).drop_null()
    distinct = pc.count_distinct(text).as_py()
    lengths = pc.mean(pc.binary_length(text)).as_py() or 0
    words = pc.any(pc.match_substring(text, " ")).as_py()
    return bool(len(text) and distinct > max(20, len(text) // 20) and lengths < 64 and not words)


def _is_number(name: str, sample: pa.Table) -> bool:
    """Whether a column of numbers does not call itself an id or a time."""
    kind = sample[name].type
    told = re.search(r"id|key|code|hash|no$|nr$|num$|user|cust|time|date|ts$", name.lower())
    return told is None and (pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_amount(column: pa.ChunkedArray) -> bool:
    numbers, missing, bad = parse_numbers(column)
    there = ~missing
    return bool(there.any() and (np.isfinite(numbers) & ~bad)[there].mean() > 0.5)


def _separator(sample: pa.Table, column: str | None) -> str:
    if column is None:
        return ""
    text = as_text(sample[column]).drop_null()
    for mark in (" > ", ">", "|", "."):
        found = pc.match_substring(text, mark)
        if len(text) and pc.mean(found.cast(pa.int8())).as_py() > 0.5:
            return mark
    return ""


def _cannot(missing: Sequence[str], found: Sequence[str]) -> InputError:
    what = {"event_time": "when it happened", "customer_id": "who did it"}
    asked = " and ".join(f"{what[name]} ({name})" for name in missing)
    names = ", ".join(repr(name) for name in list(found)[:40])
    hint = (
        'Write a mapping file and give it with --mapping: [columns] event_time = "...", '
        'customer_id = "...", kind = "..." (or [constants] kind = "purchase"). '
        "Or choose a --preset."
    )
    if len(found) == 1:
        hint += ' The file has only one column: perhaps [csv] delimiter = ";" is needed.'
    return InputError(
        "unknown_columns",
        f"no column tells {asked}; found {len(found)} columns: {names}",
        hint=hint,
    )
