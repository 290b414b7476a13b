"""Units of a bench without a process each: what the tests of a quick run do not ask about."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any

import pytest
from bench.harness.run import Unit


@pytest.fixture
def units_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units run in this process, where libraries are loaded and queries compiled.

    What crosses to the child and back is JSON here too; children have their own tests in
    `test_harness`, and the small bench of `test_track` starts them.
    """

    def process(
        function: str, places: Iterable[int], units: Sequence[Unit], timeout_s: float
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        module, _, name = function.partition(":")
        for place in places:
            started = time.perf_counter()
            arguments = json.loads(json.dumps(dict(units[place].arguments)))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # as children do
                try:
                    result = dict(getattr(import_module(module), name)(**arguments))
                except Exception as error:
                    result = {"failed": f"{type(error).__name__}: {error}"}
            result.setdefault("seconds", round(time.perf_counter() - started, 3))
            yield place, json.loads(json.dumps(result))

    monkeypatch.setattr("bench.harness.run._process", process)
