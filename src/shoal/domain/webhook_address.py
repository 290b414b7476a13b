"""Where webhooks may go: an address is refused unless it is one of the public internet.

A service that fetches what somebody typed is a way into the network it stands in. So the form of an
address is checked when it is given, and each time before something is sent the addresses that its
name means are; the connection then goes to one that was checked, whatever the name means by then.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final
from urllib.parse import urlsplit

from shoal.domain.errors import UsageError

_LONGEST: Final = 2048
#: Of a bad address, so many characters are told, and never a user or a password.
_TOLD: Final = 200
_WHO: Final = re.compile(r"//.*@")
_PORTS: Final = {"https": 443, "http": 80}
#: A name, with its dots; underscores occur in names of machines.
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?\.?")
#: Names of the machine itself and of networks that are nobody else's (RFC 6761, 6762, 8375, 9476).
_INSIDE: Final = ("localhost", "local", "localdomain", "internal", "home.arpa", "alt", "onion")
#: Of IANA's registries of special addresses what is not globally reachable, and what carries an
#: IPv4 address inside another (6to4, Teredo, NAT64): by it a private address would be reached.
_REFUSED_4: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15",
            "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        ),
    )
)  # fmt: skip
#: Only 2000::/3 is given to anybody: mapped, translated (64:ff9b::/96), unique local, link-local
#: and multicast addresses lie outside of it.
_GIVEN_6: Final = ip_network("2000::/3")
_REFUSED_6: Final = tuple(
    map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"))
)


@dataclass(frozen=True)
class Target:
    """Where a webhook goes, taken apart.

    Args:
        host: in small letters, IPv6 without brackets.
        path: with the query, as it stands in the request.
        trusted: the shop's configuration allows this host by name, wherever it is.
    """

    scheme: str
    host: str
    port: int
    path: str
    trusted: bool

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def told(self) -> str:
        """As the request names the host: brackets of IPv6, the port unless it is the usual one."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


def target_of(url: str, trusted: frozenset[str] = frozenset()) -> Target:
    """An address taken apart.

    Args:
        trusted: hosts that may also be reached by http, and at private addresses.

    Raises:
        UsageError: `bad_webhook`, nothing may be sent there, whatever its name means.
    """
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}'):
        raise _refused(url, "has characters that no address has")
    if len(url) > _LONGEST:
        raise _refused(url, f"is longer than {_LONGEST:,} characters")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as error:
        raise _refused(url, f"is none: {error}") from error
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not host:
        raise _refused(url, "is none of https")
    if "@" in parts.netloc:
        raise _refused(url, "holds a user or a password")
    if parts.fragment:
        raise _refused(url, "has a fragment, which is never sent")
    port = _PORTS[scheme] if port is None else port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    known = host in trusted
    if not known:
        _check_host(url, host)
        if scheme != "https":
            raise _refused(url, "is not https")
    if port not in (80, 443) and not 1024 <= port <= 65535:
        raise _refused(url, f"has port {port}: 443, 80 and those from 1024 on are allowed")
    return Target(scheme, host, port, path, known)


def reachable(address: str) -> bool:
    """Whether an address in figures is one of the public internet, with nothing private inside.

    >>> reachable("93.184.216.34"), reachable("10.0.0.1"), reachable("::ffff:93.184.216.34")
    (True, False, False)
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in one for one in _REFUSED_4)
    return _given(found)


def _given(found: IPv6Address) -> bool:
    if found.scope_id is not None or found not in _GIVEN_6:
        return False
    return not any(found in one for one in _REFUSED_6)


def _check_host(url: str, host: str) -> None:
    """Refuse a host that is in figures and not public, in any notation, or a name of the inside.

    Raises:
        UsageError: `bad_webhook`.
    """
    figures = _in_figures(host)
    if figures is not None:
        if not reachable(figures):
            raise _refused(url, f"names {figures}, which is no address of the public internet")
        return
    if not _HOST.fullmatch(host):
        raise _refused(url, "has no name that a host can have")
    name = host.rstrip(".")
    if "." not in name or any(name == one or name.endswith(f".{one}") for one in _INSIDE):
        raise _refused(url, f"names {host}, which is inside a network")


def _in_figures(host: str) -> str | None:
    """The address that a host in figures means; None: it is a name.

    A resolver takes 2130706433, 0x7f.1 and 0177.0.0.1 for 127.0.0.1, and so does this.
    """
    if ":" in host:
        return host
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return None


def _refused(url: str, why: str) -> UsageError:
    return UsageError(
        "bad_webhook",
        f"the webhook's address {why}",
        where=_WHO.sub("//...@", url[:_TOLD]),
        hint="Give an https address of the public internet; a host of your own network must be "
        "named in shop.toml: [webhooks] trusted_hosts.",
    )
