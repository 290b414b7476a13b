"""Files on their way in: what is read while another file is settled, and what is not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.shops import BUCKETS, ZONE, Shop, purchase, write_csv

from shoal.domain.errors import InputError
from shoal.events.clean import Cleaned, clean
from shoal.events.mapping import SourceMapping
from shoal.events.presets import load
from shoal.events.reading import RawChunk
from shoal.workflows.arrivals import Arrivals

Made = Callable[..., Arrivals]


class Cleaning:
    """Cleans, and remembers the files whose chunks it was given."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.begun = threading.Event()

    def __call__(self, chunk: RawChunk, mapping: SourceMapping, file: str) -> Cleaned:
        self.files.append(Path(file).name)
        self.begun.set()
        return clean(chunk, mapping, zone=ZONE, buckets=BUCKETS, file=file)


@pytest.fixture
def cleaning() -> Cleaning:
    return Cleaning()


@pytest.fixture
def arrivals(tmp_path: Path, cleaning: Cleaning) -> Iterator[Made]:
    made: list[Arrivals] = []

    def make(*paths: Path, known: Callable[[str], bool] = lambda name: False) -> Arrivals:
        files = [(path,) for path in paths]
        made.append(Arrivals(files, load("shoal"), cleaning, known))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert [t for t in threading.enumerate() if t.name == "shoal-ahead"] == []


def named(tmp_path: Path, *letters: str, rows: int = 3) -> list[Path]:
    return [
        write_csv(tmp_path / f"{letter}.csv", [purchase(n, f"{letter}{n}") for n in range(rows)])
        for letter in letters
    ]


def test_files_come_in_order_with_all_their_rows(
    tmp_path: Path, arrivals: Made, cleaning: Cleaning
) -> None:
    paths = named(tmp_path, "a", "b", "c")
    found = arrivals(*paths)
    for path in paths:
        one = found.take()
        found.read_ahead()
        assert one.path == path
        assert sum(cleaned.read for cleaned, _ in one.chunks(cleaning)) == 3
    found.read_ahead()  # nothing is left: nothing happens


def test_the_next_file_is_cleaned_before_it_is_taken(
    tmp_path: Path, arrivals: Made, cleaning: Cleaning
) -> None:
    found = arrivals(*named(tmp_path, "a", "b"))
    found.take()
    assert cleaning.files == []  # opened only: the caller may know it
    found.read_ahead()
    assert cleaning.begun.wait(10)
    assert cleaning.files == ["b.csv"]
    assert sum(cleaned.read for cleaned, _ in found.take().chunks(cleaning)) == 3
    assert cleaning.files == ["b.csv"]  # once


def test_nothing_is_read_of_a_file_that_the_shop_has(
    tmp_path: Path, arrivals: Made, cleaning: Cleaning
) -> None:
    found = arrivals(*named(tmp_path, "a", "b"), known=lambda name: True)
    found.take()
    found.read_ahead()
    found.take()
    found.close()
    assert cleaning.files == []


def test_nothing_is_read_ahead_of_the_same_content_under_another_name(
    tmp_path: Path, arrivals: Made, cleaning: Cleaning
) -> None:
    (first,) = named(tmp_path, "a")
    again = tmp_path / "again.csv"
    again.write_bytes(first.read_bytes())
    found = arrivals(first, again)
    name = found.take().name
    found.read_ahead()
    assert found.take().name == name
    found.close()
    assert cleaning.files == []


def test_what_is_wrong_with_the_next_file_is_told_when_its_turn_comes(
    tmp_path: Path, arrivals: Made, cleaning: Cleaning
) -> None:
    first, last = named(tmp_path, "a", "c")
    empty = tmp_path / "b.csv"
    empty.touch()
    found = arrivals(first, empty, last)
    one = found.take()
    found.read_ahead()
    assert sum(cleaned.read for cleaned, _ in one.chunks(cleaning)) == 3
    with pytest.raises(InputError) as told:
        found.take()
    assert told.value.code == "input_empty"
    assert str(empty) in str(told.value.where)
    assert found.take().path == last


def test_a_file_left_early_and_one_begun_are_let_go_of(
    tmp_path: Path, arrivals: Made, cleaning: Cleaning
) -> None:
    found = arrivals(*named(tmp_path, "a", "b", rows=2000))
    next(iter(found.take().chunks(cleaning)))
    found.read_ahead()
    found.close()
    found.close()  # harmless
    assert [t for t in threading.enumerate() if t.name == "shoal-ahead"] == []


def test_a_broken_file_behind_a_good_one_leaves_the_good_one_in(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop")
    try:
        (good,) = named(tmp_path, "a")
        broken = tmp_path / "b.csv"
        broken.write_text("nothing,that,is,known\n1,2,3,4\n", encoding="utf-8")
        with pytest.raises(InputError):
            shop.ingest(good, broken)
        assert shop.events().num_rows == 3
        assert shop.stray_files() == []
        assert len(shop.states()) == 3
    finally:
        shop.close()
