"""Records, verdicts and reports made by hand."""

from __future__ import annotations

from pathlib import Path

from repro.claims.catalogue import load_catalogue
from repro.claims.judge import Judged, Verdict, judge_all
from repro.records.schema import RunRecord, Scores
from repro.report.pages import write_report
from repro.sections import SECTIONS

CATALOGUE = load_catalogue()


def scored(f1: float, accuracy: float | None = None, *, n: int = 2000, loss: float = 0.2) -> Scores:
    """Scores of n rows with an interval of one point to either side; the accuracy is the F1 unless it is given."""
    right = round((f1 if accuracy is None else accuracy) * n)
    return Scores(
        n=n, accuracy=right / n, accuracy_interval=_beside(right / n), weighted_f1=f1, weighted_f1_interval=_beside(f1),
        macro_f1=f1, class_f1=[f1] * 6, confusion=[[right, n - right], [0, 0]], loss=loss,
    )  # fmt: skip


def _beside(share: float) -> tuple[float, float]:
    return max(share - 0.01, 0), min(share + 0.01, 1)


def report(records: list[RunRecord], folder: Path, readme: Path | None = None) -> list[Path]:
    """Write the seminar's report on these records into a folder, and into a README."""
    return write_report(Judged(CATALOGUE, judge_all(CATALOGUE, records, list(SECTIONS)), records), folder, readme)


def judged(claim: str, *records: RunRecord) -> Verdict:
    """The verdict of one claim of the seminar on these records."""
    return next(v for v in judge_all(CATALOGUE, records, list(SECTIONS)) if v.claim.id == claim)
