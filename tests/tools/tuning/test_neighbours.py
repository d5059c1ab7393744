"""The labelled examples that are nearest to an input."""

import numpy as np
import pytest

from tools.tuning.neighbours import Neighbours

POINTS = np.array([[1, 0], [1, 0.1], [0, 1], [-1, 0], [1, 0.2]], dtype=np.float32)
LABELS = [["a"], ["a"], ["b"], ["c"], ["a"]]
EAST = np.array([2, 0], dtype=np.float32)


def test_the_most_similar_stands_last() -> None:
    assert Neighbours(POINTS, LABELS).nearest(EAST, 3) == [4, 1, 0]


def test_each_wanted_label_is_there_even_beyond_the_count() -> None:
    neighbours = Neighbours(POINTS, LABELS)
    assert neighbours.nearest(EAST, 3, each_of="abc") == [3, 2, 0]
    assert neighbours.nearest(EAST, 1, each_of="abc") == [3, 2, 0]
    assert neighbours.nearest(EAST, 2, each_of="xa") == [1, 0]


def test_an_example_is_not_its_own_neighbour() -> None:
    assert Neighbours(POINTS, LABELS).nearest(EAST, 2, without=0) == [4, 1]


def test_there_are_never_more_than_there_are() -> None:
    neighbours = Neighbours(POINTS, LABELS)
    assert len(neighbours.nearest(EAST, 9)) == 5
    assert neighbours.many(POINTS, 9)[2][-1] == 2


def test_many_are_found_as_one_is() -> None:
    random = np.random.default_rng(0)
    points, queries = random.normal(size=(40, 8)), random.normal(size=(9, 8))
    neighbours = Neighbours(points.astype(np.float32), [["a"]] * 40)
    many = neighbours.many(queries.astype(np.float32), 5)
    assert many == [neighbours.nearest(query.astype(np.float32), 5) for query in queries]


def test_length_does_not_count_and_a_zero_vector_breaks_nothing() -> None:
    scaled = POINTS * np.array([[1], [50], [3], [2], [0]], dtype=np.float32)
    found = Neighbours(scaled, LABELS).nearest(np.zeros(2, dtype=np.float32), 5)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert Neighbours(scaled, LABELS).nearest(EAST, 1) == [0]


def test_vectors_and_labels_must_go_together() -> None:
    with pytest.raises(ValueError, match="do not go"):
        Neighbours(POINTS, LABELS[:2])
