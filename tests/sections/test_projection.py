"""The projection's reading of the plane: counted right, blind to class size, and enough to draw the panels again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from repro.assets.corpus import load_corpus
from repro.errors import UsageError
from repro.records.schema import LABELS
from repro.sections.context import Context
from repro.sections.projection import (
    GRID,
    NEIGHBOURS,
    hexagons,
    nearest_classes,
    neighbour_lifts,
    neighbour_shares,
)
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
        found = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points[rest]).kneighbors([point], return_distance=False)
        for j in rest[found[0]]:
            counts[labels[i], labels[j]] += 1
    assert neighbour_shares(points, labels) == pytest.approx(counts / counts.sum(axis=1, keepdims=True))


def test_a_small_class_beside_a_large_one_is_still_its_nearest() -> None:
    # love (30) lies beside anger (300), both at the edge of joy (3,000), which a plain count would name for both
    sizes = [300, 3000, 30, 300, 300, 30]
    points, labels = scatter(sizes, [(0, 9), (0, 0), (3, 0), (2.5, 0), (0, 8), (0, 0)])
    shares = neighbour_shares(points, labels)
    nearest = nearest_classes(neighbour_lifts(shares, labels))
    assert nearest["love"] == "anger"
    assert nearest["anger"] == "love"
    plainly = np.where(np.arange(6) == LABELS.index("anger"), 0, shares[LABELS.index("anger")])
    assert LABELS[int(plainly.argmax())] == "joy"
    assert (nearest["sadness"], nearest["fear"]) == ("fear", "sadness")


def test_a_random_scatter_has_lifts_around_one_and_surprise_is_nobodys_nearest() -> None:
    points, labels = scatter([2000, 2000, 500, 1000, 1000, 300], [(0, 0)] * 6)
    lifts = neighbour_lifts(neighbour_shares(points, labels), labels)
    assert lifts[~np.eye(6, dtype=bool)] == pytest.approx(1.0, abs=0.15)
    lifts[:, LABELS.index("surprise")] = 9
    assert "surprise" not in nearest_classes(lifts).values()


def test_classes_without_rows_or_without_other_neighbours_are_left_out() -> None:
    points, labels = scatter([50, 50], [(0, 0), (1000, 0)])
    lifts = neighbour_lifts(neighbour_shares(points, labels), labels)
    assert nearest_classes(lifts) == {}


def test_the_hexagons_hold_every_point_once_and_draw_the_same_panels_again() -> None:
    from matplotlib.figure import Figure

    points, labels = scatter([400, 50, 3, 0, 20, 1], [(0, 0), (3, 3), (0, 5), (0, 0), (9, 9), (4, 4)])
    density: dict[str, Any] = hexagons(points, labels)
    counts = density["counts"]
    assert [sum(found) for found in counts.values()] == [400, 50, 3, 0, 20, 1]
    drawn = Figure().add_subplot().hexbin(
        density["x"], density["y"], C=counts["sadness"], reduce_C_function=np.sum, gridsize=GRID,
        extent=density["extent"], mincnt=0,
    )  # fmt: skip
    assert np.asarray(drawn.get_array()).tolist() == counts["sadness"]


def test_the_projection_keeps_every_row_and_another_seed_gives_another_plane(tiny_context: Context) -> None:
    first, second = (measure("projection", tiny_context, seed) for seed in (0, 1))
    assert first.facts["shape"] == [96, 2]
    assert first.facts["density"] != second.facts["density"]


def test_too_few_rows_are_told(tiny_context: Context) -> None:
    few = replace(tiny_context, corpus=load_corpus("rehearsal", limit=4))
    with pytest.raises(UsageError, match="4 training rows are too few"):
        measure("projection", few)
