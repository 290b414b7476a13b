"""The examples of the documentation are rules that the program takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shoal.features.catalog import CATALOG
from shoal.segments.ruled.clauses import CLAUSES
from shoal.segments.ruled.document import checked, parse
from shoal.segments.ruled.empty import doubts
from shoal.segments.ruled.known import NEXT_PERIOD, Known
from shoal.segments.ruled.language import MAX_CLAUSES, MAX_DEPTH
from shoal.segments.ruled.sql import DIALECTS

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("concepts/rules.md", "how-to/rule-segments.md")
KNOWN = Known.of(CATALOG.with_traits(("plan",)), {"main": ("s03",), "rfm": ()}, NEXT_PERIOD)


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (page, block)
        for page in PAGES
        for block in re.findall(
            rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL
        )
    ]


@pytest.mark.parametrize(("page", "block"), blocks("json"))
def test_an_example_in_json_is_right_and_nothing_is_odd(page: str, block: str) -> None:
    rules = parse(block, KNOWN, where=page)
    assert doubts(rules, KNOWN) == ()


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_an_example_in_python_is_right(page: str, block: str) -> None:
    made: dict[str, object] = {}
    exec(block, made)
    assert [one.segment_id for one in checked(made["rules"], KNOWN).segments] == [
        "vip", "left-lamps"
    ]  # fmt: skip


def test_there_are_examples() -> None:
    assert len(blocks("json")) >= 8
    assert len(blocks("python")) == 1


def test_every_clause_of_the_table_is_right() -> None:
    text = (DOCS / PAGES[0]).read_text(encoding="utf-8")
    table = text.split("| Clause |")[1].split("\n\n")[0]
    shown = re.findall(r"`(\{.*?\})`", table)
    leaf = '{"events": "view"}'
    seen = set()
    for clause in shown:
        filled = clause.replace("[...]", f"[{leaf}, {leaf}]").replace(": ...}", f": {leaf}}}")
        filled = filled.replace(", ...}", "}")
        document = json.loads(filled)
        seen |= set(document) & set(CLAUSES)
        if "rule" in document:
            segments = [{"id": "vip", "rule": json.loads(leaf)}, {"id": "x", "rule": document}]
            document = {"segments": segments}
        parse(json.dumps(document), KNOWN)
    assert seen == set(CLAUSES)


def test_limits_and_dialects_are_as_told() -> None:
    text = (DOCS / PAGES[0]).read_text(encoding="utf-8")
    assert f"at most {MAX_DEPTH} clauses deep" in text
    assert f"at most {MAX_CLAUSES:,}" in text
    names = {"duckdb": "DuckDB", "bigquery": "BigQuery", "snowflake": "Snowflake", "spark": "Spark"}
    assert all(names[one] in text for one in DIALECTS)
