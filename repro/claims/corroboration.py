"""What independent public runs say of a claim, whatever this suite has run: never a verdict, always beside one.

The first of a catalogue's references is the one that claims are judged by; the others are checked against it, figure
by figure and jointly, and for a drift over library versions and dates. Whoever published a run chose to do so, and no
card names its hardware.
"""

from __future__ import annotations

from dataclasses import replace
from re import findall

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim
from repro.claims.references import Population
from repro.claims.wording import number
from repro.stats import rank_correlation

ODD = 0.001  # runs whose figures together are rarer are named


def corroborate(claim: Claim, catalogue: Catalogue) -> str:
    """Return what all public runs together give for the claim's figures, and where the reported ones lie among them."""
    own = {name.partition(":")[0] for name in claim.figures.values()}
    if not own or not own <= set(catalogue.corroboration):
        return ""
    runs = public_runs(catalogue)
    parts, outside = [], []
    for part, name in claim.figures.items():
        figure, reported = runs.figure(name.partition(":")[2]), claim.reported_of(part)
        low, high = figure.prediction_interval()
        parts.append(f"{part} {figure.spread} (n = {figure.n})".lstrip())
        if not low <= reported <= high:
            outside.append(part or number(reported))
    place = f"outside the range of 95 % of them: {', '.join(outside)}" if outside else "in the range of 95 % of them"
    return f"{runs.about}: {', '.join(parts)}; reported: {place}"


def public_runs(catalogue: Catalogue) -> Population:
    """Return the runs of all references that corroborate, as one population."""
    tables = [catalogue.populations[name] for name in catalogue.corroboration]
    runs = tuple(run for table in tables for run in table.runs)
    return replace(tables[0], runs=runs, rows=sum(table.rows for table in tables))


def out_of_sample(first: Population, later: Population) -> tuple[int, int, dict[str, float]]:
    """Return how many later figures lie inside the first runs' 95 % intervals, of how many, and odd runs' joint p."""
    intervals = {name: first.figure(name).prediction_interval() for name in first.figures}
    stated = [(*intervals[name], run[name]) for run in later.runs for name in intervals if name in run]
    within = [low <= value <= high for low, high, value in stated]
    joint = [(run.get("run", ""), first.joint_distance(run)) for run in later.runs]
    odd = {name: distance.p_value for name, distance in joint if distance and distance.p_value < ODD}
    return sum(within), len(within), odd


def drifts(runs: Population) -> dict[tuple[str, str], tuple[float, float, int]]:
    """Return by (`transformers` or `month`, figure) Spearman's correlation, p and n, where enough runs state it."""
    drifts = {}
    for over in ("transformers", "month"):
        for name in runs.figures:
            pairs = [(ordered(run[over]), run[name]) for run in runs.runs if run.get(over) and name in run]
            places = sorted({place for place, _ in pairs})
            if len(places) > 2:  # noqa: PLR2004 (two places have no order to speak of)
                order, values = [places.index(place) for place, _ in pairs], [value for _, value in pairs]
                drifts[over, name] = (*rank_correlation(order, values), len(pairs))
    return drifts


def ordered(version: str) -> tuple[int, ...]:
    """Return a version or a month so that it can be ordered: `4.21.1` before `4.57.0`."""
    return tuple(map(int, findall(r"\d+", version)))


def version_span(runs: Population) -> str:
    """Return the first and the last transformers version among the runs: `4.11 to 4.57`."""
    stated = sorted(ordered(run["transformers"]) for run in runs.runs if run.get("transformers"))
    return " to ".join(".".join(map(str, version[:2])) for version in (stated[0], stated[-1]))
