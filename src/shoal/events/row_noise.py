"""Rows that no customer made, told by their agent string or their address.

Agent strings name programs: crawlers, headless browsers, monitors and HTTP libraries say who they
are. Who does not say so is left to the pace rules (`shoal.features.pace`). Neither the agent nor
the address is stored; only the code of the rule that caught the row is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: Agent strings of programs: the words by which crawlers, headless browsers, monitors and HTTP
#: libraries name themselves. Left out on purpose: `okhttp`, `Dalvik`, `CFNetwork` and `Electron`,
#: which are what a shop's own app says for a person, and the in-app browsers of social networks.
#: Cubot is a maker of phones.
_ROBOT: Final = re.compile(
    r"""
      (?<!cu)bot(?:\b|_) | crawl | spider | scrap(?:er|y) | slurp
    | headless | phantomjs | slimerjs | puppeteer | playwright | selenium | webdriver | htmlunit
    | jsdom | cypress/ | httrack
    | lighthouse | page\ ?speed | gtmetrix | webpagetest | pingdom | uptime | statuscake | site24x7
    | synthetic | newrelicpinger | catchpoint | ruxitagent | checkly | zabbix | nagios | check_http
    | health-?check | kube-probe | googlehc | ^monit/
    | ^curl/ | libcurl | ^wget | python-(?:requests|urllib|httpx) | aiohttp | urllib3
    | go-http-client | ^java/ | jakarta | apache-httpclient | httpclient/ | libwww | lwp:: | ^ruby
    | faraday | guzzlehttp | ^php/ | axios/ | node-fetch | node-superagent | undici | ^node$
    | ^got\b | postmanruntime | insomnia/ | httpie | ^http_request | typhoeus | rest-client
    | winhttp | facebookexternalhit | ^whatsapp/ | skypeuripreview | embedly | mediapartners
    | apis-google | googleother | google-(?:inspectiontool|read-aloud|safety|extended|adwords)
    | feedfetcher | bingpreview | yandex(?:images|metrika|direct|media|accessibility) | baiduspider
    | ia_archiver | chatgpt-user | anthropic-ai | perplexity-user | cohere-ai | bytespider
    | dataforseo | nmap | nikto | sqlmap | nessus | qualys | zgrab | masscan | censys | nuclei
    """,
    re.IGNORECASE | re.VERBOSE,
)

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class RowNoise:
    """The rules on one row that need no mapping: whose agent and address is no customer's.

    Args:
        agents: parts of agent strings of robots, beside the known ones; case does not matter.
        addresses: the shop's own addresses and networks, as `10.0.0.0/8`.

    Raises:
        ValueError: an address is none.

    >>> rules = RowNoise(("acme-probe",), ("10.0.0.0/8", "2001:db8::/32"))
    >>> rules.robots(pa.array(["Mozilla/5.0 (compatible; Googlebot/2.1)", "ACME-Probe 1", None]))
    array([ True,  True, False])
    >>> rules.own(pa.array(["10.1.2.3", "2001:db8::7", "192.0.2.1", "::ffff:10.0.0.1"]))
    array([ True,  True, False,  True])
    """

    agents: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self._own_ranges

    def robots(self, agents: pa.Array) -> Mask:
        """Which agent strings are a robot's; a missing one is not. Shape (rows,)."""
        return _by_distinct(agents, self.is_robot)

    def own(self, addresses: pa.Array) -> Mask:
        """Which addresses are the shop's own; what cannot be read is not. Shape (rows,)."""
        if not self.addresses:
            return np.zeros(len(addresses), dtype=bool)
        return _by_distinct(addresses, self.is_own)

    def is_robot(self, agent: str) -> bool:
        """Whether an agent string is a robot's."""
        if _ROBOT.search(agent):
            return True
        low = agent.lower()
        return any(part in low for part in self._parts)

    def is_own(self, text: str) -> bool:
        """Whether an address is one of the shop's; of a list of proxies the first counts.

        >>> RowNoise(addresses=("192.0.2.0/24",)).is_own("192.0.2.9:443, 198.51.100.1")
        True
        """
        address = _parsed(text)
        if address is None:
            return False
        firsts, lasts = self._own_ranges[address.version]
        place = bisect_right(firsts, int(address)) - 1
        return place >= 0 and int(address) <= lasts[place]

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        return tuple(part.lower() for part in self.agents if part)

    @cached_property
    def _own_ranges(self) -> dict[int, tuple[list[int], list[int]]]:
        """For each version of the protocol first and last addresses of networks, in order."""
        networks = [ip_network(text, strict=False) for text in self.addresses]
        four = collapse_addresses(one for one in networks if isinstance(one, IPv4Network))
        six = collapse_addresses(one for one in networks if isinstance(one, IPv6Network))
        return {4: _ranges(four), 6: _ranges(six)}


def _ranges(apart: Iterable[IPv4Network | IPv6Network]) -> tuple[list[int], list[int]]:
    """First and last addresses of networks that do not overlap, in order."""
    spans = sorted((int(one.network_address), int(one.broadcast_address)) for one in apart)
    return [first for first, _ in spans], [last for _, last in spans]


def _by_distinct(texts: pa.Array, test: Callable[[str], bool]) -> Mask:
    """A test of each text; each different text is tested once, a missing one fails."""
    coded = texts.dictionary_encode()
    passed = np.array([*(test(text) for text in coded.dictionary.to_pylist()), False], dtype=bool)
    place = coded.indices.fill_null(len(passed) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(passed[place], dtype=bool)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address in a text, which may name a port, a zone, or proxies after it; None if none."""
    first = text.split(",", 1)[0].strip()
    if first.startswith("["):
        first = first[1:].split("]", 1)[0]
    elif first.count(":") == 1:
        first = first.split(":", 1)[0]
    try:
        address = ip_address(first.split("%", 1)[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
