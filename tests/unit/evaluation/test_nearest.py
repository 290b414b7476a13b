"""Neighbours by the cosine, and whether they share a label."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.evaluation.nearest import alike, nearest


def test_the_nearest_come_first_and_never_the_row_itself() -> None:
    vectors = np.array([[1.0, 0], [2, 0.1], [0, 1], [-1, 0], [1, 1]])
    rows, cosines = nearest(vectors, 0, 3)
    assert rows.tolist() == [1, 4, 2]
    assert cosines.tolist() == sorted(cosines, reverse=True)
    assert cosines[1] == pytest.approx(np.sqrt(0.5))
    assert len(nearest(vectors, 0, 99)[0]) == 4


def test_a_twin_is_nearest_whatever_its_length() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6))
    vectors[31] = 7 * vectors[4]
    rows, cosines = nearest(vectors, 4, 1)
    assert rows.tolist() == [31]
    assert cosines[0] == pytest.approx(1)


def test_a_row_without_length_is_near_to_nobody() -> None:
    vectors = np.array([[0.0, 0], [1, 0], [0, 1]])
    assert nearest(vectors, 0, 2)[1].tolist() == [0, 0]


def test_labels_that_form_clumps_are_alike_and_noise_is_as_chance() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(1, 5, 600)
    centres = random.normal(size=(5, 8)) * 5
    clumped = alike(centres[labels] + random.normal(size=(600, 8)), labels, 5, 500, seed=0)
    noise = alike(random.normal(size=(600, 8)), labels, 5, 500, seed=0)
    assert clumped is not None and noise is not None
    assert clumped.share > 0.95
    assert clumped.chance == noise.chance == pytest.approx(0.25, abs=0.03)
    # 2,500 neighbours: four standard errors
    assert abs(noise.share - noise.chance) < 4 * np.sqrt(0.25 * 0.75 / 2500)


def test_rows_without_a_label_neither_ask_nor_answer() -> None:
    vectors = np.array([[1.0, 0], [1, 0.01], [1, 0.02], [0, 1], [0.01, 1]])
    found = alike(vectors, np.array([1, 0, 1, 2, 2]), 1, 10, seed=0)
    assert found is not None
    assert (found.asked, found.share) == (4, 1.0)
    assert found.chance == pytest.approx(1 / 3)


def test_with_one_label_there_is_nothing_to_say() -> None:
    assert alike(np.eye(4), np.array([1, 1, 1, 0]), 1, 4, seed=0) is None
    assert alike(np.eye(4), np.array([1, 2, 0, 0]), 2, 4, seed=0) is None
