"""Times of pytest-benchmark: tables (speed beside the Trainer, growth, sameness) and two figures (ratios, growth)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from repro.benchfiles import Benchmark, newest, read_benchmarks
from repro.display import BARS, INK, SECOND, Drawing, Table, panels
from repro.report.tables import COLUMNS, SETTINGS, SIZES, commit_of

UNITS = ("step", "pass", "training")  # of what is compared with the Trainer and the notebook
DRAWS, HIGHEST = 2000, 0.975  # of the bootstrap
PEERS = ("trainer-", "notebook-", "varlen-")  # what our packed variant of the same precision is compared with


def read_timings(results: Path) -> list[Benchmark]:
    """Read the newest times below `results/benchmarks`; RecordError for a damaged file."""
    return newest(read_benchmarks(results / "benchmarks"))


def heading(timing: Benchmark) -> str:
    """Return the group, with the GPU's name for what ran on one: it is never compared with a CPU's."""
    return ", ".join(filter(None, (timing.group, timing.accelerator)))


def speed_tables(timings: Sequence[Benchmark]) -> dict[str, Table]:
    """Return the tables by file name."""
    timed = [t for t in timings if t.facts.get("unit") in UNITS]
    groups = list(dict.fromkeys(map(heading, timed)))
    timed.sort(key=lambda t: groups.index(heading(t)))
    grown = [t for t in timings if t.group.startswith("growth")]
    return {
        "speed": _table("speed", timed),
        "growth": _table("growth", sorted(grown, key=lambda t: (heading(t), t.number("size") or 0))),
        "sameness": _table("trainer", (t for t in timings if "equal_parameters" in t.facts))
        + _table("padded", (t for t in timings if "gradients" in t.facts and "steps" not in t.facts))
        + _table("seed", (t for t in timings if "train_loss" in t.facts)),
    }


def _table(name: str, timings: Iterable[Benchmark]) -> Table:
    return Table.of(COLUMNS[name], map(_values, timings))


def _values(t: Benchmark) -> Mapping[str, Any]:
    tweets = t.number("tweets")
    return {
        "t": t,
        "heading": heading(t),
        "variant": variant(t),
        "growth": heading(t).removeprefix("growth with "),
        "rounds": len(t.rounds),
        "shortest": min(t.rounds),
        "longest": max(t.rounds),
        "size": t.number("size") or 0,
        "tweets_per_second": tweets and tweets / t.median,
        "ms_a_tweet": 1000 * t.median / (tweets or 1),
        "share": share_of_peak(t),
        "peak": max(t.series("peak_mib"), default=None),
        "commit": commit_of(t.commit, t.dirty),
    }


def variant(t: Benchmark) -> str:
    """Return what distinguishes it within its group: `trainer-fp32`, `packed-bf16`."""
    named = t.facts.get("variant")  # else it stands in the name: test_step[notebook-packed-fp32]
    return str(named) if named else t.name.partition("[")[2].rstrip("]").split("-", 1)[-1]


def share_of_peak(t: Benchmark) -> float | None:
    """Return the useful arithmetic's share of the machine's multiplication speed, that of its fastest round."""
    flop, calibration, size = t.series("useful_flop"), t.series("calibration_seconds"), t.number("calibration_flop")
    if not flop or not calibration or not size:
        return None
    reached = median(f / s for f, s in zip(flop, t.rounds, strict=True))
    return reached / (size / min(calibration))


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A setting of the Trainer (or the notebook) over ours in the same precision: medians, 95 % interval, the limit.

    `limit` is what no waste at all would give: the real arithmetic at the machine's fastest multiplication.
    """

    setting: str
    where: str  # the precision, and the GPU's name for what ran on one
    value: float
    interval: tuple[float, float]
    limit: float | None


def ratios_of(timings: Sequence[Benchmark]) -> list[Ratio]:
    """Return each setting beside ours in its own precision, of the rounds that were interleaved."""
    timed = {(heading(t), variant(t)): t for t in timings if t.facts.get("unit") in UNITS}
    ratios = []
    for (group, name), peer in timed.items():
        precision = name.rpartition("-")[2]
        ours = timed.get((group, f"packed-{precision}"))
        if ours and name.startswith(PEERS):
            share = share_of_peak(peer)
            ratios.append(
                Ratio(setting=SETTINGS.get(peer.group, peer.group), where=precision + group.removeprefix(peer.group),
                      value=peer.median / ours.median, interval=_interval(peer.rounds, ours.rounds),
                      limit=1 / share if share else None)
            )  # fmt: skip
    order = {name: place for place, name in enumerate(SETTINGS.values())}
    return sorted(ratios, key=lambda ratio: order.get(ratio.setting, len(order)))


def _interval(peer: Sequence[float], ours: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the ratio of medians, each side drawn by itself."""
    random = np.random.default_rng(0)
    drawn = [np.median(random.choice(rounds, (DRAWS, len(rounds))), axis=1) for rounds in (peer, ours)]
    low, high = np.quantile(drawn[0] / drawn[1], [1 - HIGHEST, HIGHEST])
    return float(low), float(high)


def ratio_drawings(timings: Sequence[Benchmark]) -> Iterator[Drawing]:
    """Draw a bar a setting, a panel a precision; none where nothing was timed beside ours."""
    ratios = ratios_of(timings)
    if not ratios:
        return
    places = sorted({ratio.where for ratio in ratios}, key=lambda where: ("," in where, where != "fp32", where))
    most = max(sum(ratio.where == where for ratio in ratios) for where in places)
    figure, row = panels(12.0, 1.1 + 0.4 * most, len(places))
    for axes, where in zip(row, places, strict=True):
        shown = [ratio for ratio in ratios if ratio.where == where]
        far = 1.12 * max(max(r.interval[1], r.limit or 0) for r in shown)
        for place, ratio in enumerate(shown):
            axes.barh(place, ratio.value, color=BARS, alpha=0.6, height=0.6)
            axes.plot(ratio.interval, (place, place), color=INK, linewidth=2)
            if ratio.limit:
                axes.plot((ratio.limit, ratio.limit), (place - 0.38, place + 0.38), color=SECOND, linewidth=2.5)
            beyond = max(ratio.interval[1], ratio.value, ratio.limit or 0)
            axes.annotate(f"{ratio.value:.2f}", (beyond, place), (4, 0), textcoords="offset points", va="center",
                          fontsize=9)  # fmt: skip
        axes.axvline(1, color=INK, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(shown)), [ratio.setting for ratio in shown], fontsize=9, parse_math=False)
        axes.set(xlim=(0, far), ylim=(len(shown) - 0.5, -0.5))
        axes.set_title(where, loc="right")
    said = "; ".join(
        f"{r.setting}, {r.where}: {r.value:.2f} [{r.interval[0]:.2f}, {r.interval[1]:.2f}]" for r in ratios
    )
    title = (
        "How many of our packed rounds fit into one of each other setting's (bar: ratio of medians; line: its 95 % "
        "interval; dotted: as fast as ours; orange: the limit, the real arithmetic at the machine's fastest "
        "multiplication)"
    )
    yield Drawing(name="speed-ratios", figure=figure, title=title, description=f"{said}.")


def growth_drawings(timings: Sequence[Benchmark]) -> Iterator[Drawing]:
    """Draw seconds against size, both logarithmic, sizes in numeric order; none where nothing was timed so."""
    grown = [t for t in timings if t.group.startswith("growth with ") and t.number("size")]
    if not grown:
        return
    grown.sort(key=lambda t: (heading(t), t.number("size") or 0))
    series = {name: list(members) for name, members in groupby(grown, key=heading)}
    figure, row = panels(4.0 * len(series), 3.0, len(series))
    said = []
    for axes, (name, members) in zip(row, series.items(), strict=True):
        sizes, seconds = [t.number("size") or 0 for t in members], [t.median for t in members]
        axes.plot(sizes, seconds, color=BARS, marker="o", markersize=4)
        axes.vlines(sizes, [min(t.rounds) for t in members], [max(t.rounds) for t in members], color=INK, linewidth=1.2)
        axes.loglog()
        axes.yaxis.set_major_formatter("{x:g}")  # a power of ten has an exponent too small to read
        axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes], fontsize=9, rotation=30)
        axes.minorticks_off()
        what = name.removeprefix("growth with ")
        axes.set(xlabel=SIZES.get(what, what), ylabel="seconds")
        said.append(f"{what} {sizes[0]:,.0f} to {sizes[-1]:,.0f}: {seconds[0]:.3g} to {seconds[-1]:.3g} s")
    title = "How time grows with size (both axes logarithmic; point: median, line: shortest to longest round)"
    yield Drawing(name="growth", figure=figure, title=title, description="; ".join(said) + ".")
