from __future__ import annotations

import re
from pathlib import Path

import pytest

from shoal.domain.errors import CODES, InputError, OperationError, ShoalError, UsageError


def test_an_error_says_what_where_and_what_next() -> None:
    error = InputError(
        "input_missing", "no such file: a.csv", where="a.csv", hint="Check the path."
    )

    assert str(error) == "no such file: a.csv\nWhere: a.csv\nCheck the path."
    assert error.as_document() == {
        "error": {
            "code": "input_missing",
            "message": "no such file: a.csv",
            "where": "a.csv",
            "hint": "Check the path.",
        }
    }


@pytest.mark.parametrize(
    ("kind", "exit_code"), [(UsageError, 2), (InputError, 3), (OperationError, 1)]
)
def test_exit_codes_follow_the_contract(kind: type[ShoalError], exit_code: int) -> None:
    assert kind.exit_code == exit_code


def test_a_code_outside_the_registry_is_a_mistake() -> None:
    with pytest.raises(KeyError, match=r"not in shoal\.domain\.errors\.CODES"):
        UsageError("no_such_code", "x")


def test_every_code_raised_in_the_source_is_registered() -> None:
    source = Path(__file__).parents[3] / "src" / "shoal"
    raised = re.compile(r"(?:UsageError|InputError|OperationError)\(\s*\"([a-z_]+)\"")
    found = {
        code
        for path in source.rglob("*.py")
        for code in raised.findall(path.read_text(encoding="utf-8"))
    }

    assert found
    assert found <= set(CODES)
