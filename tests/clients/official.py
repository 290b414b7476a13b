"""The official clients that are tried: what runs them, and how each reads an answer."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DRIVERS = Path(__file__).parent / "drivers"
#: Statuses that say that a call can never succeed.
PERMANENT = (400, 413, 422)


@dataclass(frozen=True)
class Official:
    """A client and its version.

    Args:
        driver: the program that sends with it.
        environment: the Python environment it is in.
        package: its folder among the packages of Node.
        compresses, names_nobody: it can send gzip, and calls of somebody without a customer id.
        longest: bytes of an event beyond which it raises an error itself.
        taken: answers besides 200 by which it believes that calls were taken.
        patience: tries in which it goes on for a minute.
        insists: permanent answers after which it sends again all the same.
    """

    driver: str
    environment: str = ""
    package: str = ""
    compresses: bool = True
    names_nobody: bool = True
    longest: int | None = None
    taken: tuple[int, ...] = (202, 204)
    patience: int = 10
    insists: tuple[int, ...] = ()

    def missing(self, home: Path) -> str | None:
        """Why it cannot be tried; None: it can."""
        if self.package and shutil.which("node") is None:
            return "node is not installed"
        there = home / (f"node_modules/{self.package}" if self.package else self._python())
        if self.driver == "browser.py" or there.exists():
            return None
        return f"{there.name} is not in {home}: make clients"

    def command(self, home: Path) -> Sequence[str]:
        """What sends a job, which is JSON on its standard input."""
        if self.package:
            return ["node", str(DRIVERS / self.driver)]
        if self.driver == "browser.py":
            return [sys.executable, str(DRIVERS / self.driver)]
        return [str(home / self._python()), str(DRIVERS / self.driver)]

    def variables(self, home: Path) -> dict[str, str]:
        """Of its process."""
        package = str(home / "node_modules" / self.package)
        return {**os.environ, "NO_PROXY": "*", "CLIENT_PACKAGE": package}

    def _python(self) -> str:
        return f"{self.environment}/bin/python"


_SEGMENT_PYTHON = {"driver": "segment_python.py", "longest": 32 << 10}
_NODE = {"driver": "segment_node.js", "compresses": False}
#: By name in tests; the versions are those of the requirements beside this file.
OFFICIAL = {
    "segment_python": Official(**_SEGMENT_PYTHON, environment="python"),
    "segment_python_2_3": Official(**_SEGMENT_PYTHON, environment="python-older", taken=()),
    "rudder_python": Official(
        "rudder_python.py", environment="python", names_nobody=False, taken=()
    ),
    "segment_node": Official(**_NODE, package="@segment/analytics-node"),
    "segment_node_2": Official(
        **_NODE, package="analytics-node-2", patience=120, insists=(401, 413, 422)
    ),
    "rudder_node": Official("rudder_node.js", package="@rudderstack/rudder-sdk-node"),
    "browser": Official("browser.py", compresses=False),
}
