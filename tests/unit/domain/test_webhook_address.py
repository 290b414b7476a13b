"""Addresses to which nothing is sent: private ones in every notation, names of the inside."""

from __future__ import annotations

import pytest

from shoal.domain.errors import UsageError
from shoal.domain.webhook_address import reachable, target_of

#: Every kind of address that is not one of the public internet.
PRIVATE = (
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.9", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::8.8.8.8",
    "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "3fff::1", "5f00::1", "fc00::1", "fd12::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
)  # fmt: skip
PUBLIC = (
    "8.8.8.8", "93.184.216.34", "100.63.255.255", "172.15.0.1", "172.32.0.1", "192.0.1.1",
    "223.255.255.255", "2606:4700::1", "2a00:1450:4001::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_of_the_public_internet(address: str) -> None:
    assert not reachable(address)
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(UsageError, match="address"):
        target_of(f"https://{host}/hook")


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_public_internet(address: str) -> None:
    assert reachable(address)
    host = f"[{address}]" if ":" in address else address
    assert target_of(f"https://{host}/hook").host == address


def test_what_is_no_address_is_none() -> None:
    assert not any(map(reachable, ("", "localhost", "1.2.3", "8.8.8.8 ", "0x7f.1", "8.8.8.8:80")))


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.1", "017700000001",
     "0x7f.0x0.0x0.0x1", "127.0.0.1.", "10.1", "192.168.257", "0", "3232235777"],
)  # fmt: skip
def test_private_addresses_in_the_notations_that_resolvers_take(host: str) -> None:
    with pytest.raises(UsageError, match="no address of the public internet"):
        target_of(f"https://{host}/")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "localhost.", "a.localhost", "printer.local", "db.internal",
     "metadata.google.internal", "nas.home.arpa", "intranet", "a.localdomain", "x.onion"],
)  # fmt: skip
def test_names_of_the_inside_are_refused(host: str) -> None:
    with pytest.raises(UsageError, match="inside a network"):
        target_of(f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example.com/", "is not https"),
        ("ftp://hooks.example.com/", "none of https"),
        ("file:///etc/passwd", "none of https"),
        ("//hooks.example.com/", "none of https"),
        ("hooks.example.com", "none of https"),
        ("https:///x", "none of https"),
        ("", "none of https"),
        ("https://user:secret@hooks.example.com/", "a user or a password"),
        ("https://user:secret@hooks.example.com:x/", "is none"),
        ("https://hooks.example.com@127.0.0.1/", "a user or a password"),
        ("https://hooks.example.com/#x", "a fragment"),
        ("https://hooks.example.com:22/", "port 22"),
        ("https://hooks.example.com:0/", "port 0"),
        ("https://hooks.example.com:99999/", "is none"),
        ("https://hooks.example.com:x/", "is none"),
        ("https://[::1/", "is none"),
        ("https://hooks.example.com/a b", "characters"),
        ("https://hooks.example.com/\r\nHost: x", "characters"),
        ("https://hooks.example.com\\@127.0.0.1/", "characters"),
        ("https://hóoks.example.com/", "characters"),
        ("https://127.0.0.1%2f.example.com/", "no name"),
        ("https://-x.example.com/", "no name"),
        ("https://hooks.example.com/" + "a" * 2048, "longer than"),
    ],
)
def test_addresses_that_are_tricks_or_mistakes_are_refused(url: str, why: str) -> None:
    with pytest.raises(UsageError, match="the webhook's address") as caught:
        target_of(url)
    assert why in caught.value.message
    assert caught.value.code == "bad_webhook"
    assert "secret" not in str(caught.value)


def test_an_address_is_taken_apart() -> None:
    found = target_of("https://Hooks.Example.com:8443/a/b?c=d")
    assert (found.host, found.port, found.path) == ("hooks.example.com", 8443, "/a/b?c=d")
    assert (found.tls, found.trusted, found.told) == (True, False, "hooks.example.com:8443")
    assert target_of("https://hooks.example.com").told == "hooks.example.com"


def test_a_host_that_the_shop_trusts_may_be_inside_and_plain() -> None:
    trusted = frozenset({"127.0.0.1", "hooks.internal", "::1"})
    assert target_of("http://127.0.0.1:8080/x", trusted).trusted
    assert target_of("https://hooks.internal/x", trusted).trusted
    assert target_of("http://[::1]:8080/x", trusted).told == "[::1]:8080"
    for url in ("http://127.0.0.2:8080/x", "http://other.internal/x", "http://127.0.0.1:22/"):
        with pytest.raises(UsageError):
            target_of(url, trusted)
