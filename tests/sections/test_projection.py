"""The projection's reading of the plane: counted right, blind to class size, and enough to draw the panels again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.neighbors import NearestNeighbors

from repro.assets.corpus import load_corpus
from repro.errors import UsageError
from repro.records.schema import LABELS
from repro.sections.context import Context
from repro.sections.projection import GRID, NEIGHBOURS, hexagons, nearest_classes, neighbour_lifts, neighbour_shares
from tests.running import measure


def scatter(sizes: list[int], centres: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    points = [rng.normal(centre, 1.0, (n, 2)) for n, centre in zip(sizes, centres, strict=True)]
    return np.concatenate(points), np.repeat(np.arange(len(sizes)), sizes)


def test_neighbours_are_those_that_scikit_learn_finds_for_each_point_without_the_point_itself() -> None:
    points, labels = scatter([40, 60, 20, 30, 30, 20], [(0, 0)] * 6)
    counts = np.zeros((6, 6))
    for i, point in enumerate(points):
        rest = np.delete(np.arange(len(points)), i)
        nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points[rest]).kneighbors([point], return_distance=False)
        np.add.at(counts, (labels[i], labels[rest[nearest[0]]]), 1)
    assert neighbour_shares(points, labels) == pytest.approx(counts / counts.sum(axis=1, keepdims=True))


def test_a_small_class_beside_a_large_one_is_still_its_nearest() -> None:
    # love (30) lies beside anger (300), both at the edge of joy (3,000), which a plain count would name for both
    sizes = [300, 3000, 30, 300, 300, 30]
    points, labels = scatter(sizes, [(0, 9), (0, 0), (3, 0), (2.5, 0), (0, 8), (0, 0)])
    shares = neighbour_shares(points, labels)
    nearest = nearest_classes(neighbour_lifts(shares, labels))
    assert [nearest[name] for name in ("love", "anger", "sadness", "fear")] == ["anger", "love", "fear", "sadness"]
    anger = LABELS.index("anger")
    plainly = np.where(np.arange(6) == anger, 0, shares[anger])
    assert LABELS[int(plainly.argmax())] == "joy"


def test_a_random_scatter_has_lifts_around_one_and_surprise_is_nobodys_nearest() -> None:
    points, labels = scatter([2000, 2000, 500, 1000, 1000, 300], [(0, 0)] * 6)
    lifts = neighbour_lifts(neighbour_shares(points, labels), labels)
    assert lifts[~np.eye(6, dtype=bool)] == pytest.approx(1.0, abs=0.15)
    lifts[:, LABELS.index("surprise")] = 9
    assert "surprise" not in nearest_classes(lifts).values()


def test_classes_without_rows_or_without_other_neighbours_are_left_out() -> None:
    points, labels = scatter([50, 50], [(0, 0), (1000, 0)])
    assert nearest_classes(neighbour_lifts(neighbour_shares(points, labels), labels)) == {}


def test_the_hexagons_hold_every_point_once_and_draw_the_same_panels_again() -> None:
    sizes = [400, 50, 3, 0, 20, 1]
    density: dict[str, Any] = hexagons(*scatter(sizes, [(0, 0), (3, 3), (0, 5), (0, 0), (9, 9), (4, 4)]))
    assert [sum(counts) for counts in density["counts"].values()] == sizes
    drawn = Figure().add_subplot().hexbin(
        density["x"], density["y"], C=density["counts"]["sadness"], reduce_C_function=np.sum, gridsize=GRID,
        extent=density["extent"], mincnt=0,
    )  # fmt: skip
    assert np.asarray(drawn.get_array()).tolist() == density["counts"]["sadness"]


def test_the_projection_keeps_every_row_and_another_seed_gives_another_plane(tiny_context: Context) -> None:
    first, second = (measure("projection", tiny_context, seed) for seed in (0, 1))
    assert first.facts["shape"] == [96, 2]
    assert first.facts["density"] != second.facts["density"]
    with pytest.raises(UsageError, match="4 training rows are too few"):
        measure("projection", replace(tiny_context, corpus=load_corpus("rehearsal", limit=4)))
