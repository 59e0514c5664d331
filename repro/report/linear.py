"""The linear baseline fitted three ways: what a figure is worth where the solver did not converge."""

from __future__ import annotations

from collections.abc import Sequence

from repro.display.table import Table
from repro.records.record import RunRecord


def fits_table(records: Sequence[RunRecord]) -> Table:
    """One row a fit of each record of `linear`: solver, iterations, the objective it ended at, and its scores."""
    rows = []
    for r in records:
        fits = r.facts.get("fits")
        for name in fits if isinstance(fits, dict) else ():
            scores, value = r.scores[f"{name}/validation"], r.at(f"facts.fits.{name}")
            rows.append(
                (
                    f"{r.recipe.name} on {r.corpus.name}", value["solver"], f"{value['max_iter']:,}",
                    ", ".join(map(str, value["n_iter"])), "yes" if value["converged"] else "no",
                    f"{value['objective']:.2f}", f"{scores.accuracy:.4f}", f"{scores.weighted_f1:.4f}",
                    f"{r.seconds[name]:.1f}",
                )
            )  # fmt: skip
    return Table(
        ("on", "solver", "at most", "iterations", "converged", "objective", "accuracy", "weighted F1", "seconds"),
        tuple(rows),
    )
