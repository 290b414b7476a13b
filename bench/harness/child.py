"""The child of `bench.harness.run`: units as a JSON list on stdin, one JSON line a unit on stdout.

Whatever the called code prints goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from typing import Any


def main() -> None:
    """Call the function on every unit; an exception is a `failed` line."""
    arguments = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module, _, name = sys.argv[1].partition(":")
    for one in arguments:
        started = time.perf_counter()
        result: dict[str, Any]
        try:
            result = dict(getattr(import_module(module), name)(**one))
        except Exception as error:
            words = " ".join(str(error).split())
            result = {"failed": f"{type(error).__name__}: {words}"[:500]}
        result.setdefault("seconds", round(time.perf_counter() - started, 3))
        answers.write(json.dumps(result) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
