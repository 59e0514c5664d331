"""What independent public runs say of a claim, whatever this suite has run: never a verdict, always beside one.

The first of a catalogue's references is the one that claims are judged by; the others are checked against it, figure
by figure and jointly, and for a drift over library versions and dates. Whoever published a run chose to do so, and no
card names its hardware.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from re import findall

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim
from repro.claims.references import Population, pooled
from repro.claims.wording import number
from repro.stats import rank_correlation


def corroborate(claim: Claim, catalogue: Catalogue) -> str:
    """Return what all public runs together give for the claim's figures, and where the reported ones lie among them."""
    own = [name.partition(":")[0] for name in claim.figures.values()]
    if not own or not set(own) <= set(catalogue.corroboration):
        return ""
    runs = public_runs(catalogue)
    parts, outside = [], []
    for part, name in claim.figures.items():
        figure = runs.figure(name.partition(":")[2])
        reported = claim.reported[part] if isinstance(claim.reported, dict) else claim.reported
        low, high = figure.prediction_interval()
        parts.append(f"{part + ' ' if part else ''}{number(figure.mean)} ± {number(figure.sd)} (n = {figure.n})")
        if not low <= reported <= high:
            outside.append(part or number(reported))
    place = f"outside their 95 % intervals: {', '.join(outside)}" if outside else "within their 95 % intervals"
    return f"{len(runs.runs)} {runs.about}: {', '.join(parts)}; reported {place}"


def public_runs(catalogue: Catalogue) -> Population:
    """Return the runs of all references that corroborate, as one population."""
    return pooled([catalogue.populations[name] for name in catalogue.corroboration])


@dataclass(frozen=True, kw_only=True)
class OutOfSample:
    """How later runs fit the intervals of the first ones: figures inside of all, and each run's joint p value."""

    inside: int
    figures: int
    joint_p_values: Mapping[str, float]

    @property
    def odd(self) -> dict[str, float]:
        """The runs whose figures together are rarer than one in a thousand."""
        return {run: p for run, p in self.joint_p_values.items() if p < 0.001}  # noqa: PLR2004


def out_of_sample(first: Population, later: Population) -> OutOfSample:
    """Compare later runs with the 95 % prediction intervals and the joint distribution of the first."""
    intervals = {name: first.figure(name).prediction_interval() for name in first.figures}
    stated = [(name, value) for run in later.runs for name, value in run.items()]
    joint = {
        words["run"]: distance.p_value
        for words, run in zip(later.descriptions, later.runs, strict=True)
        if (distance := first.joint_distance(run))
    }
    inside = sum(intervals[name][0] <= value <= intervals[name][1] for name, value in stated)
    return OutOfSample(inside=inside, figures=len(stated), joint_p_values=joint)


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Spearman's rank correlation of a figure with versions or months, over n runs that state both."""

    figure: str
    over: str
    n: int
    correlation: float
    p_value: float


def drifts(runs: Population) -> list[Drift]:
    """Return every figure's drift over transformers versions and over months, where enough runs state them."""
    drifts = []
    for over in ("transformers", "month"):
        for name in runs.figures:
            pairs = [
                (ordered(words[over]), run[name])
                for words, run in zip(runs.descriptions, runs.runs, strict=True)
                if words.get(over) and name in run
            ]
            if len({place for place, _ in pairs}) > 2:  # noqa: PLR2004 (two places have no order to speak of)
                ranks = {place: i for i, place in enumerate(sorted({place for place, _ in pairs}))}
                rho, p_value = rank_correlation([ranks[place] for place, _ in pairs], [value for _, value in pairs])
                drifts.append(Drift(figure=name, over=over, n=len(pairs), correlation=rho, p_value=p_value))
    return drifts


def ordered(version: str) -> tuple[int, ...]:
    """Return a version or a month so that it can be ordered: `4.21.1` before `4.57.0`."""
    return tuple(map(int, findall(r"\d+", version)))


def version_span(runs: Population) -> str:
    """Return the first and the last transformers version among the runs: `4.11 to 4.57`."""
    stated: Sequence[tuple[int, ...]] = sorted(
        ordered(words["transformers"]) for words in runs.descriptions if words.get("transformers")
    )
    return " to ".join(".".join(map(str, version[:2])) for version in (stated[0], stated[-1]))
