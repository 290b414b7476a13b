from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shoal.features.algebra import KEEP_DAYS, LONGEST_WINDOW_DAYS
from shoal.features.catalog import CATALOG, GROUPS, Catalog
from shoal.features.grains import COARSER, GRAINS
from shoal.features.page import catalog_page

PAGE = Path(__file__).parents[3] / "docs" / "concepts" / "catalog.md"


def test_every_feature_explains_itself() -> None:
    for feature in CATALOG:
        assert feature.group in GROUPS
        assert feature.formula and feature.window
        assert feature.sentence.en.endswith(".") and feature.sentence.zh.endswith("。")
        assert feature.unit or feature.type == "text", feature.name


def test_the_page_of_the_catalog_is_up_to_date() -> None:
    written = PAGE.read_text(encoding="utf-8")
    command = "python -m shoal.features.page > docs/concepts/catalog.md"
    assert written == catalog_page("en"), f"run: {command}"


def test_the_page_exists_in_chinese() -> None:
    assert "| `spend` | 净消费额。 | currency | all |" in catalog_page("zh")


def test_summaries_speak_of_known_grains_and_the_days_kept_cover_the_windows() -> None:
    grains = {one.name for one in (*GRAINS, *COARSER)}
    assert {summary.grain for summary in CATALOG.summaries} <= grains
    assert KEEP_DAYS > LONGEST_WINDOW_DAYS


def test_groups_and_types_select_features() -> None:
    numeric, texts = CATALOG.numeric_features(), CATALOG.text_features()
    assert len(numeric) + len(texts) == len(CATALOG)
    assert {feature.group for feature in CATALOG.numeric_features("interest")} == {"interest"}
    assert "spend" in CATALOG and "no_such_feature" not in CATALOG


def test_traits_become_text_features_once() -> None:
    catalog = CATALOG.with_traits(("plan", "plan")).with_traits(("plan", "age"))
    assert catalog.traits == ("plan", "age")
    assert catalog["trait_age"].type == "text"
    assert catalog.fingerprint != CATALOG.fingerprint


def test_the_fingerprint_follows_numbers_not_words() -> None:
    first, *others = CATALOG.features
    reworded = Catalog((replace(first, formula="?"), *others), CATALOG.summaries)
    changed = Catalog((replace(first, finish=first.finish + 1), *others), CATALOG.summaries)
    assert reworded.fingerprint == CATALOG.fingerprint
    assert changed.fingerprint != CATALOG.fingerprint


def test_the_fingerprint_is_the_same_in_another_process() -> None:
    code = "from shoal.features.catalog import CATALOG; print(CATALOG.fingerprint)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == CATALOG.fingerprint


def test_a_name_defined_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"catalog: defined more than once: events"):
        Catalog((CATALOG["events"], CATALOG["events"]), CATALOG.summaries)
