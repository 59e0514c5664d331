"""Benchmarks against benchmarks: the newest of each name and way of running, round against round, device by device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from repro.benchfiles import Benchmark, newest_of_both
from repro.errors import ResultsError
from repro.regression.findings import Finding, Rules, Ruling, Side, Way, in_words, why_absent
from repro.regression.rounds import ratio, why_not_comparable, why_not_judged

RULINGS = {False: Ruling.HOLDS, True: Ruling.REGRESSION, None: Ruling.UNDECIDED}


def compare_speed(before: Sequence[Benchmark], after: Sequence[Benchmark], *, rules: Rules) -> Iterator[Finding]:
    """Compare two sides' benchmarks; ResultsError where those that tell corpus and recipe have none in common."""
    counted = [[b for b in side if rules.counts(b.name, b.short)] for side in (before, after)]
    sides = newest_of_both(counted[0], counted[1], rules.across)
    _refuse_other_material(*sides)
    for name, way in dict.fromkeys((*sides[0], *sides[1])):
        was, now = (side.get((name, way)) for side in sides)
        names = tuple(dict.fromkeys((name, *(side.short for side in (was, now) if side))))
        told: dict[str, Any] = {
            "section": "speed",
            "names": names,
            "basis": _basis(way),
            "measure": "median time",
            "limit": rules.threshold,
            "baseline": _seconds(was),
            "candidate": _seconds(now),
        }
        if was is None or now is None:
            lacking: Side = "baseline" if was is None else "candidate"
            held = [_basis(other) for found, other in (sides[0] if was is None else sides[1]) if found == name]
            yield Finding(ruling=rules.on_absent(*names, lacking=lacking), why=why_absent(lacking, held), **told)
        elif why := why_not_judged(was, now):
            yield Finding(ruling=Ruling.NOT_JUDGED, why=why, **told)
        elif why := why_not_comparable(was, now):
            yield Finding(ruling=Ruling.NOT_COMPARABLE, why=why, **told)
        else:
            yield _compare(was, now, rules, told)


def _compare(was: Benchmark, now: Benchmark, rules: Rules, told: Mapping[str, Any]) -> Finding:
    found = ratio(was, now)
    slower = found.slower(rules.threshold)
    why = {
        False: "not slower by the threshold",
        True: "slower, beyond chance and by more than the threshold",
        None: "slower by more than the threshold, which may be chance: more rounds would decide",
    }[slower]
    if was.calibration and now.calibration:
        pace = median(now.calibration) / median(was.calibration)
        why += f"; the machine needs {pace:.2f} times as long for the same multiplication"
    else:
        why += "; the same processor and libraries, not calibrated"
    return Finding(ruling=RULINGS[slower], why=why, difference=found.value, interval=found.interval, **told)


def _refuse_other_material(before: Iterable[tuple[str, Way]], after: Iterable[tuple[str, Way]]) -> None:
    for kind in ("corpus", "recipe"):
        was, now = ({dict(way)[kind] for _, way in side if kind in dict(way)} for side in (before, after))
        if was and now and not was & now:
            raise ResultsError(
                f"the baseline's benchmarks are of another {kind}: {', '.join(sorted(was))} there,"
                f" {', '.join(sorted(now))} here",
                "Compare benchmarks of one corpus and recipe; nothing was judged.",
            )


def _basis(way: Way) -> str:
    told = dict(way)
    rest = tuple(pair for pair in way if pair[0] not in {"corpus", "recipe"})
    if "recipe" in told and "corpus" in told:
        return in_words(told["recipe"], told["corpus"], rest)
    return ", ".join(told.values())


def _seconds(benchmark: Benchmark | None) -> str:
    return f"{median(benchmark.rounds):.4g} s ({len(benchmark.rounds)})" if benchmark else ""
