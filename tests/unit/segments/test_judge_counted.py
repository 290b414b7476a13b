"""What a division foretells of some customers, the others telling what segments do."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.segments.judge import Future, Judge

N = 400


@pytest.fixture(scope="module")
def judge() -> Judge:
    random = np.random.default_rng(0)
    kind = np.arange(N) % 2
    orders = random.poisson(np.where(kind == 0, 0.5, 4.0)).astype(np.float64)
    future = Future(
        np.c_[kind, random.normal(size=N)].astype(np.float64), 28,
        (orders > 0).astype(np.float64), orders, orders * 10,
    )  # fmt: skip
    return Judge(future, np.arange(N), 5)


def test_to_ask_of_everybody_is_to_ask_of_nobody_in_particular(judge: Judge) -> None:
    labels = (np.arange(N) % 2).astype(np.int64)
    plain, parts = judge.judged(labels)
    told, same = judge.judged(labels, np.ones(N, bool))
    assert told == plain
    assert all(np.array_equal(parts[name], same[name]) for name in parts)


def test_only_those_who_count_have_a_part_and_the_share_is_theirs(judge: Judge) -> None:
    labels = (np.arange(N) % 2).astype(np.int64)
    counted = np.arange(N) < 40
    told, parts = judge.judged(labels, counted)
    assert told["orders"] > 0.2
    assert all(not parts[name][~counted].any() for name in parts)
    assert judge.judged(np.zeros(N, np.int64), counted)[0]["orders"] == pytest.approx(0, abs=0.05)
    assert judge.judged(labels, np.zeros(N, bool)) == ({}, {})
