"""Events as codes and numbers: every field, what is unknown, and items that came later."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.features.token_logs import (
    END,
    SMALL,
    START,
    TEXT,
    encode,
    engine,
    event,
    learn,
    table,
    told,
)

from shoal.domain.errors import OperationError, UsageError
from shoal.domain.event import Event
from shoal.domain.kinds import ITEM, KINDS
from shoal.domain.sequence import DTYPES, KIND_CODES, MASK, NOW
from shoal.domain.time import to_us
from shoal.features.ngrams import NGrams
from shoal.features.queries import Rules
from shoal.features.tokens import ENCODED, Tokenizer, TokenSettings

#: A log in which every column is told.
FULL = [
    event(
        1, 0, kind="purchase", item_id="lamp", category="home/lights/lamps/desk", brand="acme",
        title="Desk lamp", price=20_000_000, discount=10_000_000, quantity=2, currency="GBP",
        channel="web", device="phone",
    ),
    event(2, 1, kind="search", query="desk lamp", item_id="lamp", title="Desk lamp"),
    event(3, 1.5, kind="review", item_id="tin", rating=4.0, price=10_000_000),
    event(4, 2, kind="login"),
]  # fmt: skip


@lru_cache
def full() -> Tokenizer:
    """The tokenizer of `FULL`, learned once."""
    return learn(FULL)


def only(tokenizer: Tokenizer, *events: Event, zone: str = "UTC") -> dict[str, Any]:
    """What is told of the last of ann's events."""
    return told(encode(tokenizer, events, zone))["ann"][-1]


def grams(text: str) -> tuple[int, ...]:
    return tuple(TEXT.encode([text])[0].tolist())


NO_TEXT = (0,) * TEXT.width


# -- fields --------------------------------------------------------------------------------------


def test_every_field_of_an_event() -> None:
    tokenizer = full()
    assert tokenizer.price_median == 10_000_000
    buy, search, review, login = told(encode(tokenizer, FULL))["ann"]
    assert buy == {
        "us": to_us(START), "kind": 1 + KINDS.index("purchase"), "item": 1, "category1": 1,
        "category2": 1, "category3": 1, "brand": 1, "channel": 1, "device": 1,
        "price_bucket": buy["price_bucket"], "text": grams("Desk lamp"),
        "price": pytest.approx(np.log1p(2.0)), "quantity": pytest.approx(np.log1p(2)),
        "discount": 0.25, "rating": None, "hour": 9.5, "weekday": pytest.approx(4 + 9.5 / 24),
    }  # fmt: skip
    assert search["text"] == grams("desk lamp")
    assert review["rating"] == pytest.approx(0.8)
    assert review["price"] == pytest.approx(np.log1p(1.0))
    assert 0 < review["price_bucket"] < buy["price_bucket"]
    assert login["kind"] == 1 + KINDS.index("login")
    nothing = {
        name: login[name] for name in DTYPES if name not in ("us", "kind", "hour", "weekday")
    }
    assert all(value in (0, None, NO_TEXT) for value in nothing.values())


def test_types_are_those_of_sequences() -> None:
    got = encode(full(), FULL)
    assert {name: str(values.dtype) for name, values in got.fields.items()} == dict(DTYPES)
    assert got.texts.dtype == np.int32
    assert not got.texts[0].any()
    assert got.customers.tolist() == ["ann"]


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {ITEM}))
def test_every_kind_has_a_code_of_its_own(kind: str) -> None:
    code = only(full(), event(9, kind=kind))["kind"]
    assert code == 1 + KINDS.index(kind)
    assert 0 < code < NOW < MASK < KIND_CODES


def test_a_kind_of_a_newer_shop_is_custom() -> None:
    rows = table([event(9)])
    place = rows.schema.get_field_index("kind")
    odd = rows.set_column(place, rows.schema.field("kind"), pa.array(["teleport"]))
    assert full().encode(odd).fields["kind"].tolist() == [1 + KINDS.index("custom")]


@pytest.mark.parametrize(
    ("zone", "hour", "weekday"), [("UTC", 9.5, 4), ("Asia/Tokyo", 18.5, 4), ("US/Samoa", 22.5, 3)]
)
def test_hours_and_weekdays_are_local(zone: str, hour: float, weekday: int) -> None:
    got = only(full(), event(9), zone=zone)
    assert got["hour"] == hour
    assert got["weekday"] == pytest.approx(weekday + hour / 24)
    assert got["us"] == to_us(START)


def test_moments_before_1970_have_hours_too() -> None:
    got = only(full(), event(9, day=-20_000 - 9.5 / 24))
    assert got["hour"] == pytest.approx(0.0, abs=1e-5)
    assert 0 <= got["weekday"] < 7


@pytest.mark.parametrize(
    ("given", "field", "wanted"),
    [
        ({"price": 0}, "price", 0.0),
        ({"price": -5_000_000}, "price", 0.0),
        ({"price": 10_000_000, "currency": "USD"}, "price", None),
        ({"price": 10_000_000, "currency": "USD"}, "price_bucket", 0),
        ({"price": 10_000_000, "discount": 40_000_000}, "discount", 1.0),
        ({"price": 10_000_000, "discount": 2_500_000}, "discount", 0.25),
        ({"price": 10_000_000, "discount": 2_500_000, "quantity": -1}, "discount", 0.25),
        ({"price": 0, "discount": 1}, "discount", None),
        ({"discount": 1}, "discount", None),
        ({"quantity": 0}, "quantity", 0.0),
        ({"quantity": -3}, "quantity", float(np.float32(np.log1p(3)))),
    ],
)
def test_amounts(given: dict[str, Any], field: str, wanted: float | None) -> None:
    tokenizer = learn(FULL, rules=Rules(currency="GBP"))
    got = only(tokenizer, event(9, kind="purchase", **given))[field]
    assert got == wanted


# -- vocabularies --------------------------------------------------------------------------------


def test_rare_names_share_buckets_that_stay() -> None:
    tokenizer = learn([event(n, item_id=f"i{n % 5}", brand=f"b{n % 3}") for n in range(40)])
    sizes = tokenizer.sizes
    assert sizes["item"] == 1 + 2 + 3
    assert sizes["brand"] == 1 + 1 + 2
    assert sizes["kind"] == KIND_CODES
    for name in ("i4", "never seen", "ann's\n\u202e\x00 item", "客" * 500, "NULL", "0"):
        code = only(tokenizer, event(9, item_id=name))["item"]
        assert 3 <= code < sizes["item"]
        assert code == only(tokenizer, event(8), event(9, item_id=name))["item"]


def test_every_code_is_within_its_table() -> None:
    tokenizer = full()
    odd = [
        event(
            n, n / 10, item_id=f"x{n}", category="/".join("abcdefgh"[: n % 8]) or None,
            brand=f"y{n}", channel=f"c{n}", device=f"d{n}", price=n * 1_000_000,
        )
        for n in range(60)
    ]  # fmt: skip
    got = encode(tokenizer, odd)
    for name, size in tokenizer.sizes.items():
        assert got.fields[name].min() >= 0
        assert got.fields[name].max() < size, name


def test_a_path_has_its_levels_and_no_empty_ones() -> None:
    events = [
        event(1, category="home/lamp/desk/small/red/one/two"),
        event(2, category="home"),
        event(3, category="/home//lamp/"),
        event(4, category="/"),
    ]
    deep, short, odd, none = told(encode(learn(events), events))["ann"]
    assert min(deep[f"category{level}"] for level in (1, 2, 3)) > 0
    assert (short["category2"], short["category3"]) == (0, 0)
    assert deep["category1"] == short["category1"] == odd["category1"]
    assert deep["category2"] == odd["category2"]
    assert odd["category3"] == none["category1"] == 0


@pytest.mark.parametrize(
    "events",
    [
        [event(n, n) for n in range(3)],
        [event(n, n, kind="login") for n in range(3)],
        [event(n, n, item_id="one") for n in range(3)],
        [event(n, n, price=5) for n in range(3)],
        [],
    ],
    ids=["no items", "one kind", "one item", "constant prices", "no events"],
)
def test_poor_logs_give_a_tokenizer_that_reads_anything(events: list[Event]) -> None:
    tokenizer = learn(events)
    got = encode(tokenizer, [*events, *FULL])
    assert got.events == len(events) + len(FULL)
    for name, size in tokenizer.sizes.items():
        assert got.fields[name].max() < size, name
    again = Tokenizer.from_artefact(tokenizer.to_document(), tokenizer.to_arrays(), TEXT)
    assert again.fingerprint == tokenizer.fingerprint
    assert tokenizer.encode(table([])).events == 0


def test_constant_prices_are_one_class_and_others_lie_beside_it() -> None:
    tokenizer = learn([event(n, item_id="a", price=7_000_000) for n in range(9)])
    assert len(tokenizer.price_edges) == 1
    classes = [
        only(tokenizer, event(9, price=price))["price_bucket"]
        for price in (6_999_999, 7_000_000, 7_000_001, None)
    ]
    assert classes[:1] + classes[3:] == [1, 0]
    assert classes[1] == 2
    # a micro-unit apart is the same number in a model's precision
    assert classes[2] == 2


def test_classes_of_price_hold_about_equal_numbers_of_events() -> None:
    events = [event(n, price=(1 + n) * 1_000_000) for n in range(300)]
    tokenizer = learn(events)
    counts = np.bincount(encode(tokenizer, events).fields["price_bucket"])
    assert counts[0] == 0
    assert len(counts) == 4
    assert counts[1:].min() >= 99


def test_nothing_at_or_after_the_moment_is_learned() -> None:
    until = START + timedelta(days=2)
    late = [
        event(90, 2, item_id="lamp", brand="later", category="x/y", price=1, title="later"),
        event(91, 3, item_id="later", channel="later", device="later"),
        event(92, 2, kind="item", item_id="lamp", title="later"),
        event(93, 2.5, kind="item", item_id="tin", title="later", price=4, category="later"),
    ]
    assert learn([*FULL, *late], until).fingerprint == learn(FULL, until).fingerprint
    assert learn([*FULL, *late]).fingerprint != full().fingerprint


@pytest.mark.parametrize("name", ["items", "item_buckets", "price_buckets", "least"])
def test_vocabularies_of_nothing_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} is 0") as caught:
        TokenSettings(**{name: 0})
    assert caught.value.code == "bad_setting"


# -- items ---------------------------------------------------------------------------------------


def test_known_items_are_told_by_content() -> None:
    items = full().items
    assert items.item_ids == ("lamp", "tin")
    assert items.counts.tolist() == [2, 1]
    assert items.codes["category3"].tolist() == [1, 0]
    assert items.codes["brand"].tolist() == [1, 0]
    assert items.price.tolist() == pytest.approx([np.log1p(2.0), np.log1p(1.0)])
    assert items.texts[items.codes["text"]].tolist() == [list(grams("Desk lamp")), [0] * 8]


def test_an_event_takes_what_it_lacks_from_its_item() -> None:
    bare = only(full(), event(9, item_id="lamp"))
    assert bare["text"] == grams("Desk lamp")
    assert [bare[f"category{n}"] for n in (1, 2, 3)] == [1, 1, 1]
    assert bare["brand"] == 1
    assert bare["price"] == pytest.approx(np.log1p(2.0))
    assert bare["price_bucket"] > 0
    # but quantity, discount and rating are the event's own
    assert [bare[name] for name in ("quantity", "discount", "rating")] == [None] * 3


def test_what_an_event_tells_itself_counts() -> None:
    own = only(
        full(),
        event(9, item_id="lamp", title="Old lamp", category="garden", brand="zeta", price=0),
    )
    assert own["text"] == grams("Old lamp")
    assert own["category1"] != 1
    assert own["category2"] == own["category3"] == 0
    assert own["brand"] != 1
    assert own["price"] == 0.0


def test_an_item_that_came_later_is_known_by_its_content() -> None:
    tokenizer = full()
    new = only(
        tokenizer,
        event(
            9,
            item_id="new",
            title="Desk lamp",
            category="home/lights",
            brand="acme",
            price=10_000_000,
        ),
    )
    known = only(tokenizer, event(9, item_id="lamp"))
    for name in ("category1", "category2", "brand", "text"):
        assert new[name] == known[name]
    assert new["item"] != known["item"]
    assert new["price"] == pytest.approx(np.log1p(1.0))


@pytest.mark.parametrize("title", ["", "   ", "—"])
def test_a_blank_title_is_none(title: str) -> None:
    assert only(full(), event(9, item_id="lamp", title=title))["text"] == grams("Desk lamp")
    assert only(full(), event(9, item_id="other", title=title))["text"] == NO_TEXT


def test_a_search_is_told_by_its_query_alone() -> None:
    got = only(full(), event(9, kind="search", item_id="lamp", title="Desk lamp"))
    assert got["text"] == NO_TEXT
    got = only(full(), event(9, kind="view", item_id="lamp", query="what was sought"))
    assert got["text"] == grams("Desk lamp")


class Listening(NGrams):
    """N-grams that remember what they were given as titles, and what as anything else."""

    def encode(self, texts: Any, *, titles: bool = False) -> Any:
        self.__dict__.setdefault("heard", []).extend((text, titles) for text in texts)
        return super().encode(texts, titles=titles)


def test_only_titles_of_items_are_given_as_titles() -> None:
    text = Listening(500, 8)
    tokenizer = Tokenizer.learn(engine(), table(FULL), until=END, rules=Rules(), text=text)
    encode(
        tokenizer,
        [
            event(1, item_id="lamp", title="Bright lamp"),
            event(2, kind="search", query="my secret", item_id="lamp", title="Bright lamp"),
            event(3, title="Ann's own page"),
        ],
    )
    assert set(text.__dict__["heard"]) == {
        ("Bright lamp", True), ("my secret", False), ("Ann's own page", False),
    }  # fmt: skip
    text.__dict__.clear()
    Tokenizer.learn(engine(), table(FULL), until=END, rules=Rules(), text=text, settings=SMALL)
    assert set(text.__dict__["heard"]) == {("Desk lamp", True)}


# -- reading back --------------------------------------------------------------------------------


def test_an_artefact_gives_the_same_codes() -> None:
    tokenizer = learn(FULL, rules=Rules(currency="GBP"))
    document = json.loads(json.dumps(tokenizer.to_document()))
    again = Tokenizer.from_artefact(document, tokenizer.to_arrays(), TEXT)
    assert again.fingerprint == tokenizer.fingerprint
    assert told(encode(again, FULL)) == told(encode(tokenizer, FULL))
    assert again.items.item_ids == tokenizer.items.item_ids
    assert again.sizes == tokenizer.sizes


def test_a_fingerprint_tells_all_that_decides() -> None:
    base = full()
    others = [
        learn(FULL, settings=TokenSettings()),
        learn(FULL, rules=Rules(currency="GBP")),
        learn([*FULL, event(9, 3, item_id="lamp", price=90_000_000)]),
        learn([*FULL, event(9, 3, kind="item", item_id="lamp", title="Lamp")]),
        learn([*FULL, event(9, 3, kind="item", item_id="tin", category="home")]),
    ]
    assert len({base.fingerprint, *(one.fingerprint for one in others)}) == 6


def test_vocabularies_of_another_version_or_other_texts_are_refused() -> None:
    tokenizer = full()
    document, arrays = tokenizer.to_document(), tokenizer.to_arrays()
    with pytest.raises(UsageError, match="vocabularies of version 1") as caught:
        Tokenizer.from_artefact({**document, "version": 1}, arrays, TEXT)
    assert caught.value.code == "model_mismatch"
    with pytest.raises(UsageError, match="texts by"):
        Tokenizer.from_artefact(document, arrays, NGrams(width=9))
    for broken in ({**document, "names": {}}, {**document, "settings": {"odd": 1}}):
        with pytest.raises(OperationError, match="cannot be read") as damaged:
            Tokenizer.from_artefact(broken, arrays, TEXT)
        assert damaged.value.code == "artefact_damaged"
    del arrays["items.price"]
    with pytest.raises(OperationError, match=r"items\.price"):
        Tokenizer.from_artefact(document, arrays, TEXT)


# -- rows ----------------------------------------------------------------------------------------


def test_rows_of_a_customer_lie_together() -> None:
    rows = table([event(1), event(2, customer_id="bob"), event(3)])
    with pytest.raises(ValueError, match="do not lie together"):
        full().encode(rows)
    with pytest.raises(ValueError, match="belong to no customer"):
        full().encode(table([event(1, customer_id=None)]))


def test_columns_that_only_order_events_are_not_needed() -> None:
    tokenizer, rows = full(), table(FULL)
    assert told(tokenizer.encode(rows.select(ENCODED))) == told(tokenizer.encode(rows))


def test_a_vocabulary_of_very_many_items() -> None:
    count = 50_000
    one = table([event(1, item_id="x", title="Lamp")])
    events = one.take(pa.array(np.zeros(count, np.int64)))
    ids = pa.array([f"item-{n:07d}" for n in range(count)])
    rows = events.set_column(
        events.schema.get_field_index("item_id"), events.schema.field("item_id"), ids
    )
    tokenizer = Tokenizer.learn(
        engine(), rows, until=END, rules=Rules(), text=TEXT,
        settings=TokenSettings(items=count, least=1),
    )  # fmt: skip
    assert len(tokenizer.items) == count
    assert tokenizer.items.texts.shape == (2, TEXT.width)
    got = tokenizer.encode(rows)
    assert np.sort(got.fields["item"]).tolist() == list(range(1, count + 1))
