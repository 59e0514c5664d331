"""The seminar's six panels of the plane, drawn again from the hexagons that a record of `projection` holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from repro.display.figure import new_figure

RAMPS = ("Greys", "Blues", "Oranges", "Reds", "Purples", "Greens")  # the seminar's; the panels' names tell them apart


def draw_projection(density: Mapping[str, Any], nearest: Mapping[str, str], caption: str) -> Figure:
    """Draw where each class lies, every panel from 0 to its own fullest hexagon, all on one pair of axes."""
    figure = new_figure(7.2, 5.4)
    panels: Sequence[Any] = figure.subplots(2, 3, sharex=True, sharey=True).flatten()
    for axes, name_of_ramp, (name, counts) in zip(panels, RAMPS, density["counts"].items(), strict=True):
        ramp = colormaps[name_of_ramp]
        x, y, found = np.array([density["x"], density["y"], counts])[:, np.array(counts) > 0]
        axes.hexbin(
            x, y, C=found, reduce_C_function=np.sum, gridsize=density["gridsize"], extent=density["extent"],
            cmap=ramp, vmin=0, vmax=max(*counts, 1), linewidths=(0,),
        )  # fmt: skip
        axes.set_facecolor(ramp(0.0))  # the empty hexagons, none of which is drawn
        near = f", nearest {nearest[name]}" if name in nearest else ""
        axes.set_title(f"{name}, n = {sum(counts):,}{near}", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(*density["extent"][:2])
        axes.set_ylim(*density["extent"][2:])
    figure.suptitle(caption, fontsize=10)
    return figure
