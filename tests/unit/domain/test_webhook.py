"""Signatures as receivers check them, secrets that nobody keeps, and how often it is tried."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from shoal.domain.webhook import (
    WAITS_S,
    Reply,
    Webhook,
    check_of,
    message_id,
    secret_of,
    shown,
    signed,
    wait_s,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MASTER = b"m" * 32


def webhook(number: int = 1, salt: str = "5a") -> Webhook:
    return Webhook(f"wh-{number:04d}", "https://h.example.com", "standard", (), "", salt, "", NOW)


def test_the_published_example_of_standard_webhooks_is_signed_as_published() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert told == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_is_made_of_key_webhook_and_salt_and_of_nothing_else() -> None:
    found = secret_of(MASTER, "wh-0001", "5a")
    assert found == secret_of(MASTER, "wh-0001", "5a")
    others = {
        secret_of(b"n" * 32, "wh-0001", "5a"), secret_of(MASTER, "wh-0002", "5a"),
        secret_of(MASTER, "wh-0001", "5b"), bytes.fromhex(check_of(MASTER, "5a")),
    }  # fmt: skip
    assert len(others) == 4
    assert found not in others
    assert shown(found).startswith("whsec_")
    assert base64.b64decode(shown(found).removeprefix("whsec_")) == found
    assert len(found) == 32


def test_the_id_of_a_message_says_which_stretch_it_tells_to_whom() -> None:
    ids = {
        message_id(webhook(), 1, 5), message_id(webhook(2), 1, 5), message_id(webhook(), 1, 6),
        message_id(webhook(), 2, 5), message_id(webhook(salt="5b"), 1, 5),
    }  # fmt: skip
    assert len(ids) == 5
    assert message_id(webhook(), 1, 5) in ids


def test_tries_are_spread_over_three_days() -> None:
    down = Reply(503)
    waits = [wait_s(number, down, 0.0) for number in range(1, len(WAITS_S) + 2)]
    assert waits[-1] is None
    spent = [one for one in waits if one is not None]
    assert spent == sorted(spent)
    assert sum(spent) / 3600 == pytest.approx(71.8, abs=0.1)
    assert all(
        one <= (wait_s(number, down, 0.5) or 0) <= one * 1.2
        for number, one in enumerate(spent, start=1)
    )


def test_a_receiver_that_will_not_have_a_message_is_asked_less_often() -> None:
    assert [wait_s(number, Reply(422), 0.0) for number in (1, 2, 3, 4)] == [5, 30, 120, None]
    # Who may be wrongly set up, or limits us, is given the whole time.
    assert all(wait_s(4, Reply(status), 0.0) == 300 for status in (401, 403, 404, 408, 429, 500))
    assert wait_s(4, Reply(failure="it cannot be reached"), 0.0) == 300


def test_a_receiver_that_asks_for_patience_has_it_within_bounds() -> None:
    assert wait_s(1, Reply(429, wait_s=120.0), 0.0) == 120
    assert wait_s(3, Reply(429, wait_s=1.0), 0.0) == 120
    assert wait_s(1, Reply(503, wait_s=1e9), 0.0) == 86_400


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply(200), ""), (Reply(204), ""), (Reply(503), "it answered 503"),
        (Reply(301, text="u1"), "it answered 301, which would be a redirect"),
        (Reply(failure="it took too long"), "it took too long"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told_without_the_words_of_the_receiver(reply: Reply, told: str) -> None:
    assert (reply.told, reply.delivered) == (told, not told)
