"""The training features in the plane (seed, "Visualizing the training set"): UMAP, and who lies next to whom.

The seminar reads six density plots by eye. As numbers: the share of each other class among the neighbours of a class,
divided by what a random scatter of the same labels would give. Surprise, which the seminar finds "scattered all over
the place", has no region to lie next to: it is nobody's nearest class.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from repro.claims.cohorts import Cohort
from repro.display import BARS, Drawing, panels
from repro.errors import UsageError
from repro.records.schema import LABELS, Measurements
from repro.sections.context import Context, Section
from repro.training.progress import waiting

if TYPE_CHECKING:
    from pydantic import JsonValue

NEIGHBOURS = 15  # UMAP's own default, and as many are asked for their class
FEWEST_ROWS = 5  # below it UMAP's spectral start has no solution
SCATTERED = LABELS.index("surprise")
GRID = 20  # hexagons a row, the seminar's
SHADES = 6
Points = NDArray[np.float64]


def run(context: Context, seed: int) -> Measurements:
    """Scale to [0, 1], project with UMAP by cosine distance, and count; `seed` is UMAP's."""
    labels = np.array(context.corpus.labels("train"))
    if len(labels) < FEWEST_ROWS:
        raise UsageError(
            f"{len(labels)} training rows are too few for a projection, expected at least {FEWEST_ROWS}",
            "Use more rows with --limit.",
        )
    with context.timed("extract"):
        states = context.cls_states["train"].numpy()
    with context.timed("project"), waiting("UMAP"):
        points = project(states, seed=seed)
    with context.timed("count"):
        shares = neighbour_shares(points, labels)
        lifts = neighbour_lifts(shares, labels)
    by_class = [dict(zip(LABELS, row, strict=True)) for row in lifts.tolist()]
    return Measurements(
        facts={
            "shape": list(points.shape),
            "neighbour_lifts": dict(zip(LABELS, by_class, strict=True)),
            "nearest_class": nearest_classes(lifts),
            "own_share": {name: float(shares[i, i]) for i, name in enumerate(LABELS) if shares[i].any()},
            "density": hexagons(points, labels),
        },
    )


def project(states: NDArray[np.float32], *, seed: int) -> Points:
    """Project `states` (n, H) into the plane, (n, 2)."""
    import torch
    from sklearn.preprocessing import MinMaxScaler

    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # of a TensorFlow that is optional
        from umap import UMAP
    # one job is what a seed leads to in any case
    mapper: Any = UMAP(metric="cosine", n_neighbors=min(NEIGHBOURS, len(states) - 1), random_state=seed, n_jobs=1)
    points: Points = np.asarray(mapper.fit_transform(MinMaxScaler().fit_transform(states)), dtype=np.float64)
    torch.set_num_threads(threads)  # UMAP's numba sets those of the whole process, and sums would end in other bits
    return points


def neighbour_shares(points: Points, labels: NDArray[np.int64]) -> Points:
    """Return the share of each class among the nearest neighbours of each class: (classes, classes), rows add up to 1.

    A class without rows has a row of zeros.
    """
    from sklearn.neighbors import NearestNeighbors

    k = min(NEIGHBOURS, len(points) - 1)
    nearest = NearestNeighbors(n_neighbors=k).fit(points).kneighbors(return_distance=False)  # (n, k), not itself
    counts = np.zeros((len(LABELS), len(LABELS)))
    np.add.at(counts, (labels[:, None], labels[nearest]), 1)
    shares: Points = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def neighbour_lifts(shares: Points, labels: NDArray[np.int64]) -> Points:
    """Divide the shares among neighbours of another class by the classes' shares among the rows of another class.

    1 is a random scatter, more is nearer. The diagonal, and a class without rows, is 0.
    """
    sizes = np.bincount(labels, minlength=len(LABELS))
    others = (sizes > 0) & ~np.eye(len(LABELS), dtype=bool)  # (classes, classes)
    of_others = shares.sum(axis=1, where=others, keepdims=True)  # 0 where a class has no neighbour but its own
    random = sizes / np.maximum(others @ sizes, 1)[:, None]
    near = others & (of_others > 0)
    lifts: Points = np.divide(shares, of_others * random, out=np.zeros_like(shares), where=near)
    return lifts


def nearest_classes(lifts: Points) -> dict[str, JsonValue]:
    """Name the class, of those with a region, that lies nearest to each class; one without such neighbours has none."""
    placed = lifts.copy()
    placed[:, SCATTERED] = 0
    return {name: LABELS[int(row.argmax())] for name, row in zip(LABELS, placed, strict=True) if row.any()}


def hexagons(points: Points, labels: NDArray[np.int64]) -> dict[str, JsonValue]:
    """Count each class's points in hexagons that all classes share: enough to draw the panels again.

    `x` and `y` are the hexagons' centres, `counts` the points in each by class; `extent` is left, right, bottom, top.
    """
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    extent = np.stack([points.min(axis=0), points.max(axis=0)], axis=1).flatten().tolist()
    counts: dict[str, JsonValue] = {}
    for i, name in enumerate(LABELS):
        drawn = axes.hexbin(*points[labels == i].T, gridsize=GRID, extent=tuple(extent))
        counts[name] = [int(n) for n in np.asarray(drawn.get_array())]
    x, y = np.round(np.asarray(drawn.get_offsets()), 4).T.tolist()
    return {"gridsize": GRID, "extent": extent, "x": x, "y": y, "counts": counts}


def figures(cohort: Cohort) -> Iterator[Drawing]:
    """Draw one seed's density of each class from its hexagons, without the farthest hundredth at each end."""
    from matplotlib.colors import LinearSegmentedColormap

    record = cohort.records[0]
    density: Any = record.facts.get("density")
    if not density:
        return
    nearest: Any = record.facts.get("nearest_class", {})
    ramp = LinearSegmentedColormap.from_list("density", [(BARS, 0.12), (BARS, 0.95)], N=SHADES)
    x, y, counts = np.array(density["x"]), np.array(density["y"]), density["counts"]
    total = np.sum(list(counts.values()), axis=0)
    figure, row = panels(12.0, 2.5, len(counts))
    for axes, (name, of_class) in zip(row, counts.items(), strict=True):
        filled = np.array(of_class) > 0
        axes.hexbin(
            x[filled], y[filled], C=np.array(of_class)[filled], reduce_C_function=np.sum, linewidths=0,
            gridsize=density["gridsize"], extent=density["extent"], cmap=ramp, vmin=0, vmax=max(*of_class, 1),
        )  # fmt: skip
        near = f"\nnearest: {nearest[name]}" if name in nearest else "\n"
        axes.set(xticks=[], yticks=[], xlim=_middle(x, total), ylim=_middle(y, total))
        axes.set_title(f"{name}, n = {sum(of_class):,}{near}")
    yield Drawing(
        name="projection",
        figure=figure,
        title=f"UMAP of the training features, n = {total.sum():,}, 1st to 99th percentile of both axes; each class "
        f"from 0 to its own fullest hexagon ({record.spec.label}, seed {record.spec.seed})",
        description="Density of each class in the plane. Nearest class: "
        + ", ".join(f"{name} to {other}" for name, other in nearest.items()),
    )


def _middle(places: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return where the points between the 1st and the 99th percentile lie, and one twentieth more at each end."""
    low, high = np.quantile(np.repeat(places, counts), (0.01, 0.99), method="inverted_cdf").tolist()
    beyond = (high - low) / 20 or 1.0
    return low - beyond, high + beyond


SECTION = Section.of(
    globals(), heading="Projection", what="the features in the plane, and who lies next to whom", seeded=True
)
