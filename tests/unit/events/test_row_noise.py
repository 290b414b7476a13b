"""Rows of robots and of the shop's own people, told by agent and address."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shoal.domain.time import Zone
from shoal.events.chunks import RawChunk
from shoal.events.clean import clean
from shoal.events.mapping_file import parse
from shoal.events.row_noise import RowNoise

ROBOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11) Chrome/119.0 Mobile Safari/537.36 Chrome-Lighthouse",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "curl/8.4.0",
    "Wget/1.21",
    "python-requests/2.31.0",
    "Go-http-client/2.0",
    "Java/17.0.1",
    "axios/1.6.2",
    "Apache-HttpClient/4.5.14 (Java/17)",
    "ELB-HealthChecker/2.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
)
PEOPLE = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/99.0 Mobile Safari",
    "Mozilla/5.0 (Linux; Android 10; CUBOT) AppleWebKit/537.36 Chrome/99.0 Mobile Safari",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0) Mobile/15E148 [FBAN/FBIOS;FBAV/440.0]",
    "Mozilla/5.0 (Linux; Android 12) Mobile Safari/537.36 Instagram 309.0.0.40.113",
    "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
    "okhttp/4.9.3",
    "ShopApp/3.2 CFNetwork/1474 Darwin/23.0.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:120.0) Gecko/20100101 Firefox/120.0",
    "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1) Presto/2.12",
)


@pytest.mark.parametrize("agent", ROBOTS)
def test_programs_say_who_they_are(agent: str) -> None:
    assert RowNoise().is_robot(agent)


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_are_no_robots(agent: str) -> None:
    assert not RowNoise().is_robot(agent)


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("9.255.255.255", False),
        ("10.255.255.255", True),
        ("192.0.2.5:51234", True),
        ("192.0.2.5, 198.51.100.7", True),
        ("198.51.100.7, 192.0.2.5", False),
        ("::ffff:10.0.0.9", True),
        ("2001:db8::1", True),
        ("[2001:db8::1]:443", True),
        ("2001:db9::1", False),
        ("2001:db8::1%eth0", True),
        ("unknown", False),
        ("", False),
        ("10.0.0.0.0", False),
    ],
)
def test_own_addresses(text: str, own: bool) -> None:
    rules = RowNoise(addresses=("10.0.0.0/8", "10.2.0.0/16", "192.0.2.5", "2001:db8::/32"))
    assert rules.is_own(text) is own
    assert rules.own(pa.array([text, None])).tolist() == [own, False]


def test_a_bad_address_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not an address"):
        RowNoise(addresses=("not an address",))


MAPPING = """
name = "web"
[columns]
event_time = "ts"
customer_id = "who"
kind = "what"
[noise]
agent = "ua"
address = "ip"
[[rule]]
why = "test orders"
when = { column = "coupon", equals = "TEST" }
noise = "test_order"
"""


def marks(rows: list[dict[str, Any]], noise: RowNoise | None) -> list[str | None]:
    columns = ("ts", "who", "what", "ua", "ip", "coupon")
    table = pa.table({name: pa.array([r.get(name) for r in rows], pa.string()) for name in columns})
    found = clean(
        RawChunk(table), parse(MAPPING, file="m", default_name="m"),
        zone=Zone("UTC"), buckets=4, file="f", noise=noise,
    )  # fmt: skip
    assert found.quarantined.num_rows == 0
    assert not {"ua", "ip"} & set(found.events.column_names)
    assert not any("curl" in str(row) for row in found.events.to_pylist())
    return found.events["noise"].to_pylist()


def test_the_first_rule_that_applies_is_the_mark() -> None:
    row = {"ts": "2024-03-01T10:00:00Z", "who": "a", "what": "view"}
    rows = [
        row,
        {**row, "ua": "curl/8.0"},
        {**row, "ip": "10.0.0.1"},
        {**row, "ua": "curl/8.0", "ip": "10.0.0.1"},
        {**row, "ua": "curl/8.0", "ip": "10.0.0.1", "coupon": "TEST"},
        {**row, "ua": "Shop-Probe"},
    ]
    rules = RowNoise(("shop-probe",), ("10.0.0.0/8",))
    assert marks(rows, rules) == [None, "agent", "address", "agent", "test_order", "agent"]
    assert marks(rows, None) == [None, "agent", None, "agent", "test_order", None]
