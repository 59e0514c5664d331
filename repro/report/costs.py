"""What each classifier gives and costs: weighted F1 against seconds on one machine, and which beats which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.kinds import pair
from repro.display import BARS, Drawing, Table, p_value, panels, plural
from repro.records.schema import RowResults, RunRecord
from repro.report.tables import CLASSIFIERS
from repro.stats import mcnemar

FEWEST = 3  # classifiers that make a comparison
LABEL = 0.1  # of F1: a point that has another so little above it is named below it


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Weighted F1 on validation and seconds from texts to a trained classifier, means over its runs, a seed each.

    `rows` are what the first run predicted; of a classifier that is scored after each epoch, after the last.
    """

    f1: float
    seconds: float
    runs: Sequence[RunRecord]
    rows: RowResults | None


Costs = tuple[str, dict[str, Cost]]  # of one recipe and corpus on one machine: a title, and each classifier


def costs_of(records: Sequence[RunRecord]) -> list[Costs]:
    """Return what can be compared in the records: at least three classifiers of one recipe, corpus and machine.

    A classifier's runs are those of its newest cohort there: one code, one set of libraries, one setup.
    """
    groups: dict[tuple[object, ...], dict[str, Cohort]] = {}
    for cohort in cohorts_of(records, by_machine=True):
        origin = cohort.records[0].provenance
        machine = (origin.processor, origin.threads, origin.accelerator)
        groups.setdefault((*cohort.material, *machine), {})[cohort.experiment] = cohort
    compared = []
    for newest in groups.values():
        costs: dict[str, Cost] = {}
        for name, (section, scored, phases) in CLASSIFIERS.items():
            runs = newest[section].records if section in newest else ()
            of = scored.format(epochs=runs[0].recipe.epochs) if runs else ""
            if runs and all(of in run.scores for run in runs):
                costs[name] = Cost(
                    f1=fmean(run.scores[of].weighted_f1 for run in runs),
                    seconds=sum(_seconds(phase, newest) for phase in phases),
                    runs=runs,
                    rows=runs[0].rows.get(of) or runs[0].rows.get("validation"),
                )
        if len(costs) >= FEWEST:
            first = next(iter(newest.values())).records[0]
            machine_name = f"{first.provenance.accelerator or first.provenance.processor}"
            threads = plural(first.provenance.threads, "thread")
            compared.append((f"{first.recipe.name} on {first.corpus.name}, {machine_name}, {threads}", costs))
    return compared


def _seconds(phase: str, cohorts: Mapping[str, Cohort]) -> float:
    """Return what a phase took: what sections share is made by the first of them, and takes the others no time."""
    return max(fmean(run.seconds.get(phase, 0.0) for run in cohort.records) for cohort in cohorts.values())


def cost_table(compared: Sequence[Costs]) -> Table:
    """One row a classifier: its F1, its seconds, and McNemar's p against the others on the first seed's rows."""
    rows = []
    for title, costs in compared:
        p_values: dict[str, list[str]] = {name: [] for name in costs}
        for one, other in combinations(costs, 2):
            first, second = costs[one].rows, costs[other].rows
            if first and second and (counts := pair(first, second)):
                p_values[one].append(f"{other} {counts[0]}:{counts[1]}, p {p_value(mcnemar(*counts))}")
        rows += [
            (title, name, f"{c.f1:.4f}", str(len(c.runs)), f"{c.seconds:.1f}", "; ".join(p_values[name]))
            for name, c in costs.items()
        ]
    head = ("on", "classifier", "weighted F1", "seeds", "seconds", "right alone : the other alone, McNemar")
    return Table(head, tuple(rows))


def cost_drawings(compared: Sequence[Costs]) -> Iterator[Drawing]:
    """Draw weighted F1 against seconds on a logarithmic axis, from the dummy to fine-tuning."""
    for i, (on, costs) in enumerate(compared):
        figure, (axes,) = panels(5.8, 3.4)
        points = {name: (max(cost.seconds, 1e-3), cost.f1) for name, cost in costs.items()}
        axes.scatter(*zip(*points.values(), strict=True), color=BARS)
        for name, (seconds, f1) in points.items():
            at = "right" if seconds == max(x for x, _ in points.values()) else "left"
            crowded = any(f1 < other <= f1 + LABEL for _, other in points.values())
            text = f"{name}, {costs[name].runs[0].settings.precision}: {f1:.3f}"
            axes.annotate(text, (seconds, f1), (-6 if at == "right" else 6, -14 if crowded else 6), fontsize=9, ha=at,
                          textcoords="offset points")  # fmt: skip
        axes.set(xscale="log", xlabel="seconds from texts to a trained classifier")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(ylim=(0, 1.05), ylabel="weighted F1 on validation")
        title = f"What F1 costs: {on}"
        said = ", ".join(f"{name} {f1:.3f} in {seconds:.1f} s" for name, (seconds, f1) in points.items())
        name = "f1-against-seconds" + (f"-{i + 1}" if i else "")
        yield Drawing(name=name, figure=figure, title=title, description=f"{said}.")
