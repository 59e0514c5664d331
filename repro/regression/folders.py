"""Two results folders: scores on the same rows, claims, and (for information) benchmarks of different days.

Runs are compared that share section, recipe, corpus and setup; of each, the seeds that the newest code measured with
the newest libraries. Where a section was run on both sides but never alike, nothing is judged. What one side lacks
fails, unless it is named new: a section or a classifier that is renamed would else pass for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.benchfiles import Benchmark, newest, read_benchmarks
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.judge import Verdict
from repro.errors import NotComparableError
from repro.records.schema import RowResults, RunRecord
from repro.records.store import read_records
from repro.regression.paired import MARGIN, Difference, differences
from repro.regression.verdict import SIDES, Answer, Comparison, Selection
from repro.spec import differing

HOLDING = ("reproduced", "holds", "matches")  # how the verdicts begin that can be lost
DIFFERENT_DAYS = "measured in different sessions: for information, fails nothing"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What one side measured: records (oldest first) and the newest benchmarks."""

    path: Path
    records: Sequence[RunRecord]
    benchmarks: Sequence[Benchmark]


def read_folder(path: Path) -> Folder:
    """Read a results folder; ResultsError where it holds no records, RecordError for a bad file."""
    benchmarks = newest(read_benchmarks(path / "benchmarks"))
    return Folder(path=path, records=read_records(path), benchmarks=benchmarks)


def names_of(folder: Folder) -> list[str]:
    """Return what --only and --new can name: `section:classifier` of the records, and benchmarks."""
    return [*(name for r in folder.records for name in _classifiers(r)), *(b.fullname for b in folder.benchmarks)]


def compare_scores(
    before: Folder, after: Folder, selection: Selection, *, seeded: Mapping[str, bool]
) -> Iterator[Comparison]:
    """Compare every classifier's predictions of the same rows; `seeded` tells whether another seed changes a section.

    NotComparableError where a section was never run alike on both sides.
    """
    sides = [
        _newest_cohorts(r for r in folder.records if any(map(selection.includes, _classifiers(r))))
        for folder in (before, after)
    ]
    for section in dict.fromkeys(section for side in sides for section, *_ in side):
        old, new = ({key: cohort for key, cohort in side.items() if key[0] == section} for side in sides)
        if old and new and not old.keys() & new.keys():
            _refuse(*(max(side.values(), key=lambda cohort: cohort.newest) for side in (old, new)))
        for key in {**old, **new}:
            rows, label = [_rows(side.get(key)) for side in (old, new)], key[1].label
            for name in filter(selection.includes, {**rows[0], **rows[1]}):
                common: dict[str, Any] = {"section": "quality", "name": name, "setup": label}
                both = rows[0].get(name), rows[1].get(name)  # None: no such score; []: one without rows
                absent: list[RowResults] | None = None if None in both else []
                if absent in both:
                    if both != ([], []):
                        yield selection.absent(SIDES[both.index(absent)], measure="scores", **common)
                    continue
                where, by_seed = f"{name} ({label})", seeded.get(section, True)
                for d in differences(rows[0][name], rows[1][name], seeded=by_seed, where=where):
                    yield _judge(d, common)


def compare_claims(before: Sequence[Verdict], after: Sequence[Verdict], selection: Selection) -> Iterator[Comparison]:
    """Compare two sides' verdicts, claim by claim: only what held can be lost; the rest is for `repro verify`."""
    by_id = {verdict.claim.id: verdict for verdict in after}
    for old in before:
        new = by_id[old.claim.id]
        outcomes = [str(old.outcome), str(new.outcome)]
        if not selection.includes(old.claim.id) or set(outcomes) == {"not run"}:
            continue
        common: dict[str, Any] = {
            "section": "claims", "name": old.claim.id, "measure": "verdict", "setup": new.basis or old.basis,
            "baseline": old.label, "candidate": new.label,
        }  # fmt: skip
        if "not run" in outcomes:
            yield selection.absent(SIDES[outcomes.index("not run")], **common)
        elif outcomes[0].startswith(HOLDING) and not outcomes[1].startswith(HOLDING):
            lost = {"deviates": Answer.REGRESSION, "not comparable": Answer.MISSING}
            answer = lost.get(outcomes[1], Answer.UNDECIDED)
            yield Comparison(answer=answer, why=f"{new.label}: {new.why}", **common)
        else:
            yield Comparison(answer=Answer.HOLDS, why="nothing that held is lost", **common)


def show_speed(before: Folder, after: Folder, selection: Selection) -> Iterator[Comparison]:
    """Show the medians of the benchmarks that both sides hold, judging none."""
    by_identity = {benchmark.identity: benchmark for benchmark in before.benchmarks}
    for new in after.benchmarks:
        old = by_identity.get(new.identity)
        if old is not None and selection.includes(new.fullname):
            yield Comparison(
                section="speed", name=new.name, measure="median time", setup=", ".join(new.setup.values()),
                answer=Answer.NOT_JUDGED, why=DIFFERENT_DAYS, baseline=f"{old.median:.4g} s ({len(old.rounds)})",
                candidate=f"{new.median:.4g} s ({len(new.rounds)})", difference=new.median / old.median,
            )  # fmt: skip


def _newest_cohorts(records: Iterable[RunRecord]) -> dict[Any, Cohort]:
    """Return of each section, setup, corpus and recipe the cohort of the newest code and libraries."""
    stamps = {"corpus", "recipe"}
    return {(c.experiment, c.setup, c.records[0].model_dump_json(include=stamps)): c for c in cohorts_of(records)}


def _rows(cohort: Cohort | None) -> dict[str, list[RowResults]]:
    """Return each classifier's predictions, a seed each; nothing for a score without rows."""
    rows: dict[str, list[RowResults]] = {}
    for record in cohort.records if cohort else ():
        for name, predicted in _classifiers(record).items():
            rows.setdefault(name, []).extend([predicted] if predicted else [])
    return rows


def _classifiers(record: RunRecord) -> dict[str, RowResults | None]:
    return {f"{record.experiment}:{name}": record.rows.get(name) for name in (*record.scores, *record.rows)}


def _refuse(old: Cohort, new: Cohort) -> None:
    """Refuse a section that was never run alike on both sides, naming what differs between the two newest setups."""
    before, after = (c.records[0].model_dump(mode="json", include={"corpus", "recipe"}) for c in (old, new))
    settings = [
        f"{name} is {getattr(old.setup, name)} there and {getattr(new.setup, name)} here"
        for name in old.setup.differing(new.setup)
    ]
    raise NotComparableError(
        f"{new.experiment} of the baseline can't be compared: "
        + (", ".join(settings) or f"{', '.join(differing(before, after))} differ"),
        "Run both sides alike.",
    )


def _judge(d: Difference, common: Mapping[str, Any]) -> Comparison:
    more = f"about {d.seeds_to_decide} seeds a side would decide" if d.seeded else "only more rows would decide"
    answer, why = {
        True: (Answer.HOLDS, "not worse by the margin"),
        False: (Answer.REGRESSION, "worse, beyond chance, and a drop of the margin is not ruled out"),
        None: (Answer.UNDECIDED, f"neither a drop of the margin nor no drop is ruled out; {more}"),
    }[d.holds]
    baseline, candidate = (f"{sum(side) / len(side):.4f} ({len(side)})" for side in (d.before, d.after))
    return Comparison(
        measure=d.measure, answer=answer, why=why, baseline=baseline, candidate=candidate, difference=d.value,
        interval=d.interval, limit=-MARGIN, **common,
    )  # fmt: skip
