"""What each classifier gives and costs: weighted F1 against seconds on one machine, and which beats which."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.kinds import pair
from repro.display import BARS, Drawing, Table, p_value, panels, plural
from repro.records.schema import RunRecord
from repro.report.tables import CLASSIFIERS
from repro.stats import mcnemar

FEWEST = 3  # classifiers that make a comparison
LABEL = 0.1  # of F1: a point that has another so little above it is named below it


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The classifiers of one recipe and corpus on one machine; of each the runs of its newest setup, a seed each."""

    title: str
    runs: Mapping[str, Sequence[RunRecord]]

    def f1(self, name: str) -> float:
        """Return a classifier's weighted F1 on validation, the mean over its seeds."""
        return fmean(run.scores[_scored(name, run)].weighted_f1 for run in self.runs[name])

    def seconds(self, name: str) -> float:
        """Return the seconds from texts to the trained classifier, the mean over its seeds."""
        phases = CLASSIFIERS[name][2]
        return fmean(sum(run.seconds.get(phase, 0.0) for phase in phases) for run in self.runs[name])


def _scored(name: str, run: RunRecord) -> str:
    return CLASSIFIERS[name][1].format(epochs=run.recipe.epochs)


def _rows(name: str) -> str:
    return CLASSIFIERS[name][1].removeprefix("epoch-{epochs}/")  # of all epochs the last one's rows are kept


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
        runs = {name: newest[of[0]].records for name, of in CLASSIFIERS.items() if of[0] in newest}
        runs = {name: of for name, of in runs.items() if all(_scored(name, run) in run.scores for run in of)}
        if len(runs) >= FEWEST:
            first = next(iter(newest.values())).records[0]
            machine_name = f"{first.provenance.accelerator or first.provenance.processor}"
            threads = plural(first.provenance.threads, "thread")
            title = f"{first.recipe.name} on {first.corpus.name}, {machine_name}, {threads}"
            compared.append(Costs(title=title, runs=runs))
    return compared


def cost_table(compared: Sequence[Costs]) -> Table:
    """One row a classifier: its F1, its seconds, and McNemar's p against the others on the first seed's rows."""
    rows = []
    for costs in compared:
        p_values: dict[str, list[str]] = {name: [] for name in costs.runs}
        for one, other in combinations(costs.runs, 2):
            first, second = (costs.runs[name][0].rows.get(_rows(name)) for name in (one, other))
            if first and second and (counts := pair(first, second)):
                p_values[one].append(f"{other} {counts[0]}:{counts[1]}, p {p_value(mcnemar(*counts))}")
        rows += [
            (costs.title, name, f"{costs.f1(name):.4f}", str(len(runs)), f"{costs.seconds(name):.1f}",
             "; ".join(p_values[name]))
            for name, runs in costs.runs.items()
        ]  # fmt: skip
    head = ("on", "classifier", "weighted F1", "seeds", "seconds", "right alone : the other alone, McNemar")
    return Table(head, tuple(rows))


def cost_drawings(compared: Sequence[Costs]) -> Iterator[Drawing]:
    """Draw weighted F1 against seconds on a logarithmic axis, from the dummy to fine-tuning."""
    for i, costs in enumerate(compared):
        figure, (axes,) = panels(5.8, 3.4)
        points = {name: (max(costs.seconds(name), 1e-3), costs.f1(name)) for name in costs.runs}
        axes.scatter(*zip(*points.values(), strict=True), color=BARS)
        for name, (seconds, f1) in points.items():
            at = "right" if seconds == max(x for x, _ in points.values()) else "left"
            crowded = any(f1 < other <= f1 + LABEL for _, other in points.values())
            text = f"{name}, {costs.runs[name][0].settings.precision}: {f1:.3f}"
            axes.annotate(text, (seconds, f1), (-6 if at == "right" else 6, -14 if crowded else 6), fontsize=9, ha=at,
                          textcoords="offset points")  # fmt: skip
        axes.set(xscale="log", xlabel="seconds from texts to a trained classifier")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set(ylim=(0, 1.05), ylabel="weighted F1 on validation")
        title = f"What F1 costs: {costs.title}"
        said = ", ".join(f"{name} {f1:.3f} in {seconds:.1f} s" for name, (seconds, f1) in points.items())
        name = "f1-against-seconds" + (f"-{i + 1}" if i else "")
        yield Drawing(name=name, figure=figure, title=title, description=f"{said}.")
