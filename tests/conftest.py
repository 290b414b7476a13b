"""What all tests share: where real data lies, and reproducible property tests."""

from __future__ import annotations

import os

# Before any library reads it: workers share the cores, and sums come in one order.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import atexit
import gc
import shutil
import tempfile

# Workers share what they compiled, and nothing is written into anybody's home.
if "SHOAL_CACHE" not in os.environ:
    os.environ["SHOAL_CACHE"] = tempfile.mkdtemp(prefix="shoal-cache-")
    atexit.register(shutil.rmtree, os.environ["SHOAL_CACHE"], ignore_errors=True)

from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from shoal.adapters.duckdb import DuckEngine

# Until all tests are found hardly anything becomes garbage, and looking for it takes a third of the
# time.
gc.disable()

# Derandomised: the same commit gives the same verdict. No deadline: nothing here is a timed test.
settings.register_profile(
    "shoal", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("shoal")


#: Journeys that are run with the quick tests: both demos, and verbs that everything rests on. All
#: others are slow, as are the tests of benches that run one. Quick tests take less than a quarter
#: of an hour on two cores, and so do the slow ones.
QUICK_JOURNEYS = frozenset({
    "test_cli_bad_input.py", "test_cli_usage.py", "test_demo.py", "test_demo_live.py",
    "test_membership.py", "test_rules.py", "test_serve.py", "test_versions.py",
    "test_whole_shop.py",
})  # fmt: skip
SLOW_FILES = frozenset({
    "unit/bench/test_embedded.py", "unit/bench/test_track.py", "unit/bench/test_users.py",
    "unit/workflows/test_calibrate.py",
})  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves to `make test-slow`."""
    here = Path(__file__).parent
    for item in items:
        if not item.path.is_relative_to(here):
            continue
        place = item.path.relative_to(here)
        journey = place.parts[0] == "journeys" and place.name not in QUICK_JOURNEYS
        if journey or place.as_posix() in SLOW_FILES:
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Look for garbage again, among what tests make: not among modules and tests, which stay."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # extension modules complain of what is left at the end
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_query_thread() -> Iterator[None]:
    """An engine that is not told otherwise has one thread.

    Over a hundred events a second one costs more CPU time than it saves: 0.20 s instead of 0.14 s
    for all features. Where engines themselves are compared (contracts, laws of the fold) they are
    told two.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DuckEngine, "__init__", partialmethod(DuckEngine.__init__, threads=1))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of public data sets; the test is skipped where it is absent."""
    default = Path(__file__).parents[1].parent / "shared" / "data"
    directory = Path(os.environ.get("SHOAL_DATA", default))
    if not directory.is_dir():
        pytest.skip(f"no real data at {directory}; set SHOAL_DATA")
    return directory
