"""What independent public runs say, as a table and two figures: by library version, and epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Kind
from repro.claims.judge import Verdict
from repro.claims.references import Figure, drifts, ordered, out_of_sample, version_span
from repro.display import BARS, INK, SECOND, Drawing, Table, number, panels, plural
from repro.report.tables import NOTES, headlined

NAMES = {"train_loss": "training loss", "weighted_f1": "weighted F1"}


def rerun_table(catalogue: Catalogue) -> Table:
    """One row a figure: the runs that are judged by, the later ones, how many of these fit, all, and any drift."""
    if not catalogue.corroboration:
        return Table((), ())
    first, *others = (catalogue.populations[name] for name in catalogue.corroboration)
    runs, rows = catalogue.public_runs, []
    drift = {of: f"{rho:+.2f} (p = {p:.2g}, n = {n})" for of, (rho, p, n) in drifts(runs).items()}
    for name in first.figures:
        low, high = first.figure(name).prediction_interval()
        later = [run[name] for other in others for run in other.runs if name in run]
        inside = f"{sum(low <= value <= high for value in later)} of {len(later)}"
        rows.append(
            (name, _spread(first.figure(name)), f"{number(low)} to {number(high)}",
             *(_spread(other.figure(name)) for other in others), inside, _spread(runs.figure(name)),
             drift.get(("transformers", name), ""), drift.get(("month", name), ""))
        )  # fmt: skip
    head = (
        "figure", first.about, "95 % interval of one run", *(other.about for other in others), "of these inside",
        "all", "drift over versions", "drift over months",
    )  # fmt: skip
    note = f"{len(first.runs)} distinct {first.about} ({first.rows} cards, of which copies count once)"
    for other in others:
        within, figures, unlikely = out_of_sample(first, other)
        odd = ", ".join(f"run {run} (p = {p:.1g})" for run, p in unlikely.items()) or "none"
        note += (
            f"; {len(other.runs)} {other.about}, of whose figures {within} of {figures} ({within / figures:.1%}) lie "
            f"inside the 95 % intervals of the first; jointly odd: {odd}, kept"
        )
    return Table(head, tuple(rows), note=f"{note}. On transformers {version_span(runs)}. {NOTES['reruns']}")


def rerun_drawings(catalogue: Catalogue, verdicts: Sequence[Verdict]) -> Iterator[tuple[str, Drawing]]:
    """Yield the two figures with the section of their claims, as far as the catalogue has such claims."""
    logged = [v for v in verdicts if v.claim.kind is Kind.DISTRIBUTION and len(v.claim.figures) > 1]
    if logged:
        yield logged[0].claim.section, _epoch_drawing(logged, catalogue)
    if ours := headlined(catalogue, verdicts):
        yield ours.claim.section, _version_drawing(ours, catalogue)


def _version_drawing(ours: Verdict, catalogue: Catalogue) -> Drawing:
    """Draw the headline's figure of every public run by library version, with what is reported and what we measured."""
    claim = ours.claim
    tables = [catalogue.populations[key] for key in catalogue.corroboration]
    column = claim.figures[""].partition(":")[2]
    named = claim.addresses[0].rpartition(".")[2].replace("_", " ").replace("f1", "F1")
    stated = {run["transformers"] for table in tables for run in table.runs}
    versions = sorted(stated, key=lambda version: (not version, ordered(version)))
    figure, (axes,) = panels(12.0, 3.3)
    low, high = tables[0].figure(column).prediction_interval()
    axes.axhspan(low, high, color=BARS, alpha=0.12, label=f"95 % interval of one run, from {len(tables[0].runs)} runs")
    for table, marker, color in zip(tables, "o^s", (BARS, SECOND, INK), strict=False):
        points = [(versions.index(run["transformers"]), run[column]) for run in table.runs if column in run]
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, marker=marker, s=22, color=color, alpha=0.75, label=f"{len(points)} {table.about}")
    if ours.estimates:
        mine = ours.estimates[""].values
        axes.scatter([len(versions)] * len(mine), mine, marker="D", s=26, color=INK, label=f"ours: {ours.basis}")
    claims = [(c, part) for c in catalogue.claim for part, of in c.figures.items() if of == claim.figures[""]]
    sources = {c.reported_of(part): c.source for c, part in claims if c.reported is not None}
    for reported, source in sorted(sources.items()):
        axes.axhline(reported, color=INK, linestyle="--", linewidth=1)
        axes.annotate(f"reported {number(reported)} ({source})", (len(versions) + 5.2, reported), (0, 2),
                      textcoords="offset points", ha="right", fontsize=9)  # fmt: skip
    names = [version or "not stated" for version in versions] + ["ours"] * bool(ours.estimates)
    axes.set_xticks(range(len(names)), names, rotation=60, fontsize=9)
    axes.set(xlim=(-0.7, len(versions) + 5.3), xlabel="transformers", ylabel=named)
    axes.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    all_runs = catalogue.public_runs.figure(column)
    title = f"{named[0].upper()}{named[1:]} of {all_runs.n} public runs by library version"
    said = f"{title}. Mean ± SD (n): {_spread(all_runs)}."
    return Drawing(name="reruns-by-version", figure=figure, title=title, description=said)


def _spread(figure: Figure) -> str:
    return f"{figure.spread} ({figure.n})"


def _epoch_drawing(logged: Sequence[Verdict], catalogue: Catalogue) -> Drawing:
    """Draw what the log shows after each epoch: every seed, the reported value, and where a public rerun lies."""
    parts = list(logged[0].claim.figures)
    figure, row = panels(12.0, 2.8, len(parts))
    epochs = range(1, len(logged) + 1)
    for axes, part in zip(row, parts, strict=True):
        reruns = [catalogue.figure(v.claim.figures[part]) for v in logged]
        low, high = zip(*(figure.prediction_interval() for figure in reruns), strict=True)
        label = f"95 % of {reruns[0].n} public reruns"
        axes.fill_between(epochs, low, high, color=BARS, alpha=0.25, linewidth=0, label=label)
        reported = [v.claim.reported_of(part) for v in logged]
        axes.plot([*epochs], reported, "--", color=INK, linewidth=1, marker="_", label="reported")
        ours = [(i, x) for i, v in enumerate(logged, 1) if part in v.estimates for x in v.estimates[part].values]
        x, y = zip(*ours, strict=True) if ours else ((), ())
        axes.scatter(x, y, color=SECOND, s=22, zorder=3, label="ours, a point a seed")
        axes.set_xticks(epochs, [f"epoch {i}" for i in epochs])
        axes.margins(x=0.15)
        axes.set_title(NAMES.get(part, part.replace("_", " ")))
    shown = next((v for v in logged if v.estimates), None)
    measured = f"ours: {plural(len(shown.seeds), 'seed')}, {shown.basis}" if shown else "not yet run by this suite"
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    said = "; ".join(f"epoch {i}: measured {v.shown or 'nothing'}" for i, v in enumerate(logged, 1))
    return Drawing(
        name="epochs",
        figure=figure,
        title=f"Epoch by epoch over the public reruns ({measured})",
        description=f"Losses, accuracy and weighted F1 after each epoch. {said}.",
    )
