"""The features in the plane: one seed's UMAP, a panel a class, without the farthest hundredth at each end."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from repro.display.figure import BARS, Drawing, caption_of
from repro.records.schema import RunRecord
from repro.report.inline import panels

SHADES = 6


def plane_drawing(record: RunRecord) -> Drawing | None:
    """Draw the density of each class from the record's hexagons; None where it holds none."""
    from matplotlib.colors import LinearSegmentedColormap

    density: Any = record.facts.get("density")
    if not density:
        return None
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
        axes.set_title(f"{name}, n = {sum(of_class):,}{near}", fontsize=9)
        axes.set(xticks=[], yticks=[], xlim=_middle(x, total), ylim=_middle(y, total))
    return Drawing(
        name="projection",
        figure=figure,
        title=f"UMAP of the training features, n = {total.sum():,}, 1st to 99th percentile of both axes; each class "
        f"from 0 to its own fullest hexagon ({caption_of(record.spec)})",
        description="Density of each class in the plane. Nearest class: "
        + ", ".join(f"{name} to {other}" for name, other in nearest.items()),
    )


def _middle(places: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[float, float]:
    """Return where the points between the 1st and the 99th percentile lie, and one twentieth more at each end."""
    order = np.argsort(places)
    shares = np.cumsum(counts[order]) / counts.sum()
    low, high = (float(places[order][np.searchsorted(shares, share)]) for share in (0.01, 0.99))
    beyond = (high - low) / 20 or 1.0
    return low - beyond, high + beyond
