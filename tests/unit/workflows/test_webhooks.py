"""Webhooks told of changes: at least once, with the same id, in order, each for itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from shoal.adapters.memory_store import MemoryStateStore
from shoal.adapters.memory_webhooks import MemoryWebhooks
from shoal.domain.errors import UsageError
from shoal.domain.webhook import Progress, Reply, Webhook
from shoal.features.consent import CONSENTS_SCHEMA
from shoal.segments import artefact
from shoal.segments.assign import MEMBERSHIPS_SCHEMA
from shoal.workflows.webhooks import Webhooks, master_of
from shoal.workflows.webhooks_delivery import Sending
from shoal.workflows.webhooks_payload import refusing

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MASTER = b"m" * 32
URL = "https://hooks.example.com/a"


class Clock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class Sent:
    """One try: when, where, and what."""

    at: datetime
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


Answer = Callable[[str], Reply | BaseException]


@dataclass
class Receivers:
    """A sender in memory; `answer` says what becomes of a message to an address."""

    clock: Clock
    answer: Answer = lambda url: Reply(200)
    sent: list[Sent] = field(default_factory=list)

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.sent.append(Sent(self.clock(), url, headers, body))
        found = self.answer(url)
        if isinstance(found, BaseException):
            raise found
        return found


class Killed(BaseException):
    """The process is gone."""


class House:
    """A shop in memory whose changes are told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state, self.store = MemoryStateStore(), MemoryWebhooks()
        self.state.set_pointer(artefact.MAIN, "k-1", NOW)
        self.receivers = Receivers(self.clock)
        self.consents = CONSENTS_SCHEMA.empty_table()
        self.webhooks = Webhooks(self.store, self.state, MASTER, clock=self.clock)

    @property
    def sending(self) -> Sending:
        return Sending(
            self.store, self.state, self.receivers, MASTER, self._refusing, self.clock, lambda: 0.0
        )

    def _refusing(self, names: Sequence[str], channel: str) -> Mapping[str, datetime | None]:
        return refusing(self.consents, names, channel)

    def add(self, url: str = URL, **settings: Any) -> tuple[str, Webhook]:
        return self.webhooks.add(url, **settings)

    def moved(self, *rows: tuple[str, str]) -> None:
        """Customers and the segments that they are in from now on."""
        told = [
            {"customer_id": customer, "segmentation_id": "k-1", "segment_id": segment,
             "weight": 0.75, "since": self.clock(), "cause": "event", "margin": 0.5}
            for customer, segment in rows
        ]  # fmt: skip
        self.state.put_memberships(pa.Table.from_pylist(told, schema=MEMBERSHIPS_SCHEMA))

    def said(self, customer: str, *, granted: bool, channel: str = "marketing") -> None:
        """A consent as of now."""
        row = {"customer_id": customer, "channel": channel, "granted": granted,
               "since": self.clock()}  # fmt: skip
        added = pa.Table.from_pylist([row], schema=CONSENTS_SCHEMA)
        self.consents = pa.concat_tables([self.consents, added])

    def run(self, most: int = 1_000) -> None:
        """Whatever is due now."""
        for _ in range(most):
            due = self.sending.due()
            more = [self.sending.step(one) for one in due]
            if not any(more):
                return
        raise AssertionError("it does not come to an end")

    def progress(self, webhook_id: str = "wh-0001") -> Progress:
        found = self.store.progress(webhook_id)
        assert found is not None
        return found

    def told(self, url: str = URL) -> list[tuple[str, str | None, str | None]]:
        """Customers, from and to, of all messages that an address was sent."""
        return [
            (one["customer_id"], one["from"], one["to"])
            for sent in self.receivers.sent
            if sent.url == url
            for one in sent.document["data"]["changes"]
        ]


@pytest.fixture
def house() -> House:
    return House()


def verified(secret: str, sent: Sent) -> bool:
    """As a receiver does it, by the text of the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = (
        sent.headers["webhook-id"].encode() + b"."
        + sent.headers["webhook-timestamp"].encode() + b"." + sent.body
    )  # fmt: skip
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(one.removeprefix("v1,"), expected)
        for one in sent.headers["webhook-signature"].split(" ")
    )


# --- What is told ---------------------------------------------------------------------------------


def test_a_change_is_told_and_signed(house: House) -> None:
    house.moved(("before", "s01"))
    secret, _ = house.add()
    house.moved(("a", "s01"), ("b", "s02"))
    house.run()
    (sent,) = house.receivers.sent
    assert verified(secret, sent)
    assert not verified(secret, Sent(NOW, URL, sent.headers, sent.body + b" "))
    assert sent.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert sent.headers["content-type"] == "application/json"
    assert sent.document == {
        "type": "membership.changed",
        "timestamp": "2026-05-01T12:00:00Z",
        "data": {"changes": [
            {"seq": 2, "customer_id": "a", "segmentation_id": "k-1", "from": None, "to": "s01",
             "cause": "event", "weight": 0.75, "margin": 0.5, "since": "2026-05-01T12:00:00Z"},
            {"seq": 3, "customer_id": "b", "segmentation_id": "k-1", "from": None, "to": "s02",
             "cause": "event", "weight": 0.75, "margin": 0.5, "since": "2026-05-01T12:00:00Z"},
        ]},
    }  # fmt: skip
    progress = house.progress()
    assert (progress.position, progress.messages, progress.changes) == (3, 1, 2)
    house.run()
    assert len(house.receivers.sent) == 1


def test_messages_hold_a_hundred_changes_and_come_in_order(house: House) -> None:
    house.add()
    house.moved(*((f"c{number:03d}", "s01") for number in range(250)))
    house.run()
    sizes = [len(sent.document["data"]["changes"]) for sent in house.receivers.sent]
    assert sizes == [100, 100, 50]
    assert [name for name, _, _ in house.told()] == [f"c{number:03d}" for number in range(250)]
    assert len({sent.message for sent in house.receivers.sent}) == 3


def test_a_receiver_hears_of_its_segments_alone_and_from_where_it_asked(house: House) -> None:
    house.moved(("a", "s01"), ("b", "s02"))
    house.add(segments=["s02"], since_seq=0)
    house.moved(("a", "s02"), ("b", "s03"), ("c", "s04"))
    house.run()
    assert house.told() == [("b", None, "s02"), ("a", "s01", "s02"), ("b", "s02", "s03")]
    assert house.progress().position == 5


def test_the_shape_of_segment_tells_who_enters_and_who_leaves(house: House) -> None:
    secret, _ = house.add(shape="segment", segments=["s02", "s03"])
    house.moved(("a", "s01"), ("b", "s02"))
    house.clock.forward(hours=1)
    house.moved(("a", "s02"), ("b", "s03"))
    house.run()
    (sent,) = house.receivers.sent
    assert verified(secret, sent)
    assert [
        (one["type"], one["userId"], one["event"], one["properties"], one["timestamp"])
        for one in sent.document["batch"]
    ] == [
        ("track", "b", "Audience Entered", {"audience_key": "shoal_s02", "shoal_s02": True},
         "2026-05-01T12:00:00Z"),
        ("track", "a", "Audience Entered", {"audience_key": "shoal_s02", "shoal_s02": True},
         "2026-05-01T13:00:00Z"),
        ("track", "b", "Audience Exited", {"audience_key": "shoal_s02", "shoal_s02": False},
         "2026-05-01T13:00:00Z"),
        ("track", "b", "Audience Entered", {"audience_key": "shoal_s03", "shoal_s03": True},
         "2026-05-01T13:00:00Z"),
    ]  # fmt: skip
    assert len({one["messageId"] for one in sent.document["batch"]}) == 4


# --- When it fails --------------------------------------------------------------------------------


def test_a_receiver_that_is_down_for_an_hour_is_told_everything_in_order_and_once(
    house: House,
) -> None:
    other = "https://other.example.com/"
    house.add()
    house.add(other)
    back = NOW + timedelta(hours=1)
    house.receivers.answer = lambda url: Reply(
        200 if url == other or house.clock() >= back else 503
    )
    for minute in range(120):
        if minute % 10 == 0:
            house.moved((f"c{minute:03d}", "s01"))
        house.run()
        # Whoever answers is not held up by who does not.
        assert len(house.told(other)) == minute // 10 + 1
        house.clock.forward(minutes=1)
    tries = [sent for sent in house.receivers.sent if sent.url == URL]
    assert len({sent.message for sent in tries[:7]}) == 1, "it is the same message at every try"
    waits = [(two.at - one.at).total_seconds() for one, two in pairwise(tries[:7])]
    assert waits == [60, 60, 120, 300, 600, 1200], "not before its time, looked for each minute"
    delivered = [sent for sent in tries if sent.at >= back]
    told = [one["customer_id"] for sent in delivered for one in sent.document["data"]["changes"]]
    assert told == [f"c{minute:03d}" for minute in range(0, 120, 10)]
    assert house.progress().failure == ""
    assert house.store.letters() == []


def test_a_message_is_given_up_after_three_days_and_the_next_one_is_sent(house: House) -> None:
    house.add()
    house.receivers.answer = lambda url: Reply(failure="it cannot be reached")
    house.moved(("a", "s01"))
    house.run()
    house.moved(("b", "s01"))
    while house.progress().due is not None:
        due = house.progress().due
        assert due is not None
        house.clock.now = due
        house.sending.step(house.store.all()[0])
    (letter,) = house.store.letters()
    assert (letter.tries, letter.reason) == (14, "it cannot be reached")
    assert letter.died - letter.formed == timedelta(seconds=258_455)
    assert house.progress().position == 1
    house.receivers.answer = lambda url: Reply(200)
    house.receivers.sent.clear()
    house.run()
    assert house.told() == [("b", None, "s01")], "a dead letter is sent when somebody says so"
    dead = house.webhooks.one("wh-0001")["dead_letters"]
    assert [(one["after_seq"], one["until_seq"], one["retrying"]) for one in dead] == [
        (0, 1, False)
    ]
    house.webhooks.retry("wh-0001")
    house.run()
    assert house.told()[1:] == [("a", None, "s01")]
    assert house.store.letters() == []


def test_a_dead_letter_has_the_id_of_its_message_and_stays_if_it_fails_again(
    house: House,
) -> None:
    house.add()
    house.receivers.answer = lambda url: Reply(422)
    house.moved(("a", "s01"))
    for _ in range(4):
        house.run()
        house.clock.forward(hours=1)
    (letter,) = house.store.letters()
    assert (letter.tries, letter.reason) == (4, "it answered 422")
    house.webhooks.retry("wh-0001")
    house.run()
    (again,) = house.store.letters()
    assert (again.tries, again.due) == (5, None)
    assert len({sent.message for sent in house.receivers.sent}) == 1
    assert {sent.document["timestamp"] for sent in house.receivers.sent} == {"2026-05-01T12:00:00Z"}
    stamps = [int(sent.headers["webhook-timestamp"]) for sent in house.receivers.sent]
    assert len(set(stamps)) == 5, "each try is signed for its own moment"


def test_who_says_that_it_is_gone_is_sent_nothing_until_it_is_on_again(house: House) -> None:
    house.add()
    house.receivers.answer = lambda url: Reply(410)
    house.moved(("a", "s01"))
    house.run()
    house.clock.forward(days=9)
    house.run()
    assert len(house.receivers.sent) == 1
    (document,) = house.webhooks.listed()["webhooks"]
    assert document["state"] == "disabled"
    assert "410" in document["reason"]
    assert house.store.letters() == []
    house.moved(("b", "s01"))
    house.receivers.answer = lambda url: Reply(200)
    house.webhooks.retry("wh-0001")
    house.run()
    assert house.told()[1:] == [("a", None, "s01"), ("b", None, "s01")]


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 408, 429, 500, 503])
def test_whatever_is_no_success_is_tried_again(house: House, status: int) -> None:
    house.add()
    answers = [Reply(status), Reply(204)]
    house.receivers.answer = lambda url: answers.pop(0)
    house.moved(("a", "s01"))
    house.run()
    assert house.progress().due == NOW + timedelta(seconds=5)
    house.clock.forward(seconds=4.9)
    house.run()
    assert len(house.receivers.sent) == 1
    house.clock.forward(seconds=0.1)
    house.run()
    assert len(house.receivers.sent) == 2
    assert house.progress().position == 1


# --- When it is killed ----------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["before it is sent", "while it is sent", "before it is kept"])
def test_killed_at_any_point_the_same_message_comes_again(
    house: House, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add()
    house.moved(("a", "s01"), ("b", "s01"))
    webhook = house.store.all()[0]

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if point == "while it is sent":
            house.receivers.answer = lambda url: Killed()
        house.sending.step(webhook)  # the stretch is settled
        if point == "before it is kept":
            patch.setattr(house.store, "put_progress", die)
        if point != "before it is sent":
            with pytest.raises(Killed):
                house.sending.step(webhook)
    house.receivers.answer = lambda url: Reply(200)
    # What came meanwhile is another message.
    house.moved(("c", "s01"))
    house.run()
    first = [sent.message for sent in house.receivers.sent if b'"a"' in sent.body]
    assert len(first) == (1 if point == "before it is sent" else 2)
    assert len(set(first)) == 1
    bodies = {sent.body for sent in house.receivers.sent if b'"a"' in sent.body}
    assert len(bodies) == 1, "and says the same"
    assert [b'"c"' in sent.body for sent in house.receivers.sent][-1]
    assert house.progress().position == 3


def test_a_log_put_back_from_a_backup_is_told_from_its_end_on(house: House) -> None:
    house.add()
    house.add(URL + "b")
    house.receivers.answer = lambda url: Reply(200 if url == URL else 503)
    house.moved(*((f"c{number}", "s01") for number in range(5)))
    house.run()
    house.receivers.answer = lambda url: Reply(200)
    house.state = MemoryStateStore()  # knows of less than was told already
    house.state.set_pointer(artefact.MAIN, "k-1", NOW)
    house.moved(("c0", "s01"))
    house.clock.forward(minutes=1)
    house.run()
    house.receivers.sent.clear()
    house.moved(("new", "s02"))
    house.run()
    assert house.told() == house.told(URL + "b") == [("new", None, "s02")]


def test_a_receiver_is_not_behind_for_rows_that_are_gone(house: House) -> None:
    house.add()
    house.moved(("a", "s01"))
    house.state.forget(["a"])
    house.run()
    assert house.progress().position == 1
    assert house.sending.due() == []


# --- Consents and forgotten people ----------------------------------------------------------------


def test_who_refuses_is_left_out_and_counted(house: House) -> None:
    house.add()
    house.said("b", granted=False)
    house.moved(("a", "s01"), ("b", "s01"))
    house.run()
    assert house.told() == [("a", None, "s01")]
    assert house.progress().left_out == 1
    house.moved(("b", "s02"))
    house.run()
    assert len(house.receivers.sent) == 1, "a message of nobody is not sent"
    assert (house.progress().left_out, house.progress().position) == (2, 3)


def test_who_refuses_later_is_told_of_as_leaving_and_no_more(house: House) -> None:
    house.add()
    house.add(URL + "b", shape="segment")
    house.moved(("a", "s01"))
    house.run()
    house.clock.forward(hours=1)
    house.said("a", granted=False)
    house.clock.forward(hours=1)
    house.moved(("a", "s02"))
    house.run()
    house.moved(("a", "s03"))
    house.run()
    assert house.told() == [("a", None, "s01"), ("a", "s01", None)]
    calls = [
        (one["event"], one["properties"]["audience_key"])
        for sent in house.receivers.sent
        if sent.url == URL + "b"
        for one in sent.document["batch"]
    ]
    assert calls == [("Audience Entered", "shoal_s01"), ("Audience Exited", "shoal_s01")]


def test_of_a_channel_only_who_granted_it_is_told_of(house: House) -> None:
    house.add(channel="email")
    house.said("a", granted=True, channel="email")
    house.said("b", granted=True, channel="sms")
    house.said("c", granted=False, channel="email")
    house.moved(("a", "s01"), ("b", "s01"), ("c", "s01"), ("d", "s01"))
    house.run()
    assert house.told() == [("a", None, "s01")]
    assert house.progress().left_out == 3


def test_of_who_was_forgotten_nothing_that_waits_is_sent(house: House) -> None:
    house.add()
    house.receivers.answer = lambda url: Reply(503)
    house.moved(("a", "s01"), ("b", "s01"))
    house.run()
    house.state.forget(["a"])
    house.receivers.answer = lambda url: Reply(200)
    house.clock.forward(minutes=1)
    house.run()
    assert house.told() == [("a", None, "s01"), ("b", None, "s01"), ("b", None, "s01")]
    first, second = house.receivers.sent
    assert first.message == second.message
    house.moved(("c", "s01"))
    house.state.forget(["c"])
    house.run()
    assert len(house.receivers.sent) == 2


def test_a_dead_letter_of_who_was_forgotten_tells_nothing_and_goes(house: House) -> None:
    house.add()
    house.receivers.answer = lambda url: Reply(400)
    house.moved(("a", "s01"))
    for _ in range(4):
        house.run()
        house.clock.forward(hours=1)
    assert len(house.store.letters()) == 1
    house.state.forget(["a"])
    house.receivers.sent.clear()
    house.webhooks.retry("wh-0001")
    house.run()
    assert (house.receivers.sent, house.store.letters()) == ([], [])


# --- What is asked for ----------------------------------------------------------------------------


def test_a_test_tells_of_nobody_and_says_what_came_of_it(house: House) -> None:
    secret, webhook = house.add()
    house.moved(("a", "s01"))
    house.receivers.answer = lambda url: Reply(401, text="who are you?")
    found = house.webhooks.test(webhook.webhook_id, house.receivers)
    assert (found["delivered"], found["status"], found["answer"]) == (False, 401, "who are you?")
    (sent,) = house.receivers.sent
    assert verified(secret, sent)
    assert sent.document["type"] == "webhook.test"
    assert b'"a"' not in sent.body
    assert house.progress() == Progress(0)


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        ("http://hooks.example.com", {}, "is not https"),
        ("https://10.0.0.1/", {}, "no address of the public internet"),
        (URL, {"shape": "xml"}, "there is no shape 'xml'"),
        (URL, {"segments": [""]}, "no names"),
        (URL, {"segments": ["x" * 81]}, "no names"),
        (URL, {"segments": ["s01"] * 101}, "no names"),
        (URL, {"channel": "e\x00mail"}, "no names"),
        (URL, {"since_seq": -1}, "no position -1"),
    ],
)
def test_settings_that_no_webhook_can_have_are_refused(
    house: House, url: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        house.add(url, **settings)
    assert words in caught.value.message
    assert house.store.all() == []


def test_there_may_be_as_many_as_threads_are_spent_on(house: House) -> None:
    for number in range(20):
        house.add(f"{URL}{number}")
    with pytest.raises(UsageError, match="20 webhooks already"):
        house.add()


def test_without_its_key_nothing_is_made_or_sent(house: House) -> None:
    _, webhook = house.add()
    house.moved(("a", "s01"))
    none = Webhooks(house.store, house.state, None, clock=house.clock)
    with pytest.raises(UsageError, match="no key for that"):
        none.add(URL)
    other = Sending(house.store, house.state, house.receivers, b"n" * 32, lambda *_: {})
    with pytest.raises(UsageError, match="not the key with which"):
        other.step(webhook)
    assert house.receivers.sent == []
    assert none.listed()["webhooks"][0]["behind"] == 1


def test_a_key_that_is_too_short_is_none() -> None:
    assert master_of(None) is None
    assert master_of("") is None
    assert master_of("x" * 32) == b"x" * 32
    with pytest.raises(UsageError, match="too few"):
        master_of("short")


def test_an_unknown_webhook_is_told_with_those_there_are(house: House) -> None:
    house.add()
    for ask in (house.webhooks.one, house.webhooks.remove, house.webhooks.retry):
        with pytest.raises(UsageError, match="no webhook 'wh-0009'") as caught:
            ask("wh-0009")
        assert "wh-0001" in caught.value.hint
    house.webhooks.remove("wh-0001")
    assert house.webhooks.listed()["webhooks"] == []


# --- How receivers stand --------------------------------------------------------------------------


def test_how_receivers_stand_is_told_without_their_addresses(house: House) -> None:
    house.add()
    house.add("https://other.example.org/b")
    assert [one["state"] for one in house.webhooks.standing()] == ["ok", "ok"]
    house.receivers.answer = lambda url: Reply(503 if url == URL else 200)
    house.moved(("a", "s1"))
    house.run()
    house.clock.forward(minutes=20)
    house.moved(("b", "s1"))
    failing, other = house.webhooks.standing()
    assert failing == {
        "webhook_id": "wh-0001", "state": "failing", "pending": 2, "undelivered_s": 1200.0,
        "dead_letters": 0, "failure": house.progress().failure,
    }  # fmt: skip
    assert failing["failure"]
    assert (other["state"], other["undelivered_s"], other["failure"]) == ("ok", 0.0, "")
    assert "example" not in json.dumps([failing, other])
    house.store.disable("wh-0002", house.clock(), "answered 410")
    assert house.webhooks.standing()[1]["state"] == "disabled"
    assert house.webhooks.standing()[1]["failure"] == "answered 410"
    house.receivers.answer = lambda url: Reply(200)
    house.clock.forward(hours=1)
    house.run()
    assert house.webhooks.standing()[0] == {
        "webhook_id": "wh-0001", "state": "ok", "pending": 0, "undelivered_s": 0.0,
        "dead_letters": 0, "failure": "",
    }  # fmt: skip
