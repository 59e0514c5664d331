"""Two results folders: scores on the same rows, claims, and (for information) benchmarks of different days.

Runs are compared that share section, recipe, corpus and setup; of each, the seeds that the newest code measured with
the newest libraries. Where a section was run on both sides but never alike, nothing is judged: NotComparableError
names the first thing that differs. What one side lacks fails, unless it is named new: a section or a classifier that is
renamed would else pass for ever.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.benchfiles import Benchmark, newest, read_benchmarks
from repro.claims.cohorts import cohorts_of
from repro.errors import NotComparableError, ResultsError
from repro.records.schema import RunRecord
from repro.records.store import read_records
from repro.regression.paired import MARGIN, Difference, differences
from repro.regression.verdict import Answer, Comparison, Selection
from repro.spec import RunSpec, differing

if TYPE_CHECKING:
    from repro.claims.judge import Verdict

HOLDING = ("reproduced", "holds", "matches")  # how the verdicts begin that can be lost
DIFFERENT_DAYS = "measured in different sessions: for information, fails nothing"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What one side measured: records (oldest first) and the newest benchmarks."""

    path: Path
    records: tuple[RunRecord, ...]
    benchmarks: tuple[Benchmark, ...]


def read_folder(path: Path) -> Folder:
    """Read a results folder, or one benchmark file; ResultsError where it holds nothing, RecordError for a bad file."""
    if path.is_file():
        return Folder(path=path, records=(), benchmarks=tuple(newest(read_benchmarks(path))))
    if not path.is_dir():
        raise ResultsError(f"there is no file or folder {path}", "Name a results folder or a benchmark file.")
    records = read_records(path) if (path / "runs").is_dir() else []
    benchmarks = read_benchmarks(path / "benchmarks") if (path / "benchmarks").is_dir() else []
    if not records and not benchmarks:
        raise ResultsError(
            f"{path} holds neither records (runs/) nor benchmarks (benchmarks/)",
            "Name a results folder that something was run into, or a benchmark file.",
        )
    return Folder(path=path, records=tuple(records), benchmarks=tuple(newest(benchmarks)))


def names_of(folder: Folder) -> list[str]:
    """Return what --only and --new can name: `section:classifier` of the records, and benchmarks."""
    classifiers = (f"{r.experiment}:{name}" for r in folder.records for name in _classifiers(r))
    return list(dict.fromkeys((*classifiers, *(b.fullname for b in folder.benchmarks))))


def compare_scores(
    before: Folder,
    after: Folder,
    selection: Selection,
    *,
    seeded: Mapping[str, bool],
    across: frozenset[str] = frozenset(),
) -> Iterator[Comparison]:
    """Compare every classifier's predictions of the same rows.

    `seeded` tells of each section whether another seed changes it; `across` names the settings that differ on purpose.
    """
    sides = [_by_setup(folder.records, selection, across) for folder in (before, after)]
    for section in dict.fromkeys(key.section for side in sides for key in side):
        ours = [{key: runs for key, runs in side.items() if key.section == section} for side in sides]
        if all(ours) and not ours[0].keys() & ours[1].keys():
            _refuse(section, ours[0], ours[1])
        for key in dict.fromkeys((*ours[0], *ours[1])):
            runs = [side.get(key, []) for side in ours]
            for name in dict.fromkeys(name for side in runs for r in side for name in _classifiers(r)):
                if selection.includes(f"{section}:{name}"):
                    yield from _compare_classifier(key, name, runs, selection, seeded=seeded.get(section, True))


def compare_claims(before: Sequence[Verdict], after: Sequence[Verdict], selection: Selection) -> Iterator[Comparison]:
    """Compare two sides' verdicts, claim by claim: only what held can be lost; the rest is for `repro verify`."""
    by_id = {verdict.claim.id: verdict for verdict in after}
    for old in before:
        name, new = old.claim.id, by_id[old.claim.id]
        outcomes = str(old.outcome), str(new.outcome)
        if not selection.includes(name) or outcomes == ("not run", "not run"):
            continue
        answer, why = Answer.HOLDS, "nothing that held is lost"
        if "not run" in outcomes:
            lacks_baseline = outcomes[0] == "not run"
            answer = selection.absent(name, from_baseline=lacks_baseline)
            why = f"the {'baseline' if lacks_baseline else 'candidate'} has no run of it"
        elif outcomes[0].startswith(HOLDING) and not outcomes[1].startswith(HOLDING):
            lost = {"deviates": Answer.REGRESSION, "not comparable": Answer.MISSING}
            answer, why = lost.get(outcomes[1], Answer.UNDECIDED), f"{new.label}: {new.why}"
        yield Comparison(
            section="claims", name=name, measure="verdict", setup=new.basis or old.basis, answer=answer, why=why,
            baseline=old.label, candidate=new.label,
        )  # fmt: skip


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


@dataclass(frozen=True, kw_only=True)
class _Setup:
    """What runs share that are compared: section and RunSpec (settings compared across left out), and both stamps."""

    section: str
    spec: RunSpec
    stamps: str


def _by_setup(
    records: Sequence[RunRecord], selection: Selection, across: frozenset[str]
) -> dict[_Setup, Sequence[RunRecord]]:
    """Return what counts by setup, oldest first: of each the cohort of the newest code and libraries."""
    usual: dict[str, Any] = {name: getattr(RunSpec(), name) for name in across}
    newest_cohorts: dict[_Setup, Sequence[RunRecord]] = {}
    counted = [r for r in records if any(selection.includes(f"{r.experiment}:{name}") for name in _classifiers(r))]
    for cohort in sorted(cohorts_of(counted), key=lambda cohort: cohort.newest):
        r = cohort.records[0]
        stamps = json.dumps([r.corpus.model_dump(mode="json"), r.recipe.model_dump(mode="json")], sort_keys=True)
        setup = _Setup(section=cohort.experiment, spec=replace(cohort.setup, **usual), stamps=stamps)
        newest_cohorts.pop(setup, None)
        newest_cohorts[setup] = cohort.records
    return newest_cohorts


def _classifiers(record: RunRecord) -> Iterable[str]:
    return dict.fromkeys((*record.rows, *record.scores))


def _refuse(section: str, before: Mapping[_Setup, object], after: Mapping[_Setup, object]) -> None:
    """Refuse a section that was never run alike on both sides, naming what differs between the two newest setups."""
    old, new = list(before)[-1], list(after)[-1]
    settings = {name: (getattr(old.spec, name), getattr(new.spec, name)) for name in old.spec.differing(new.spec)}
    if not settings:
        pairs = list(zip(("corpus", "recipe"), json.loads(old.stamps), json.loads(new.stamps), strict=True))
        names = [f"{kind}.{name}" for kind, a, b in pairs for name in differing(a, b)]
        what = f"{', '.join(names[:3])}{' …' if len(names) > 3 else ''} differ"  # noqa: PLR2004
    else:
        what = ", ".join(f"{name} is {a} there and {b} here" for name, (a, b) in settings.items())
    raise NotComparableError(
        f"{section} of the baseline can't be compared: {what}",
        "Run both sides alike, or name the settings that differ on purpose with --across.",
    )


def _compare_classifier(
    key: _Setup, name: str, runs: Sequence[Sequence[RunRecord]], selection: Selection, *, seeded: bool
) -> Iterator[Comparison]:
    full = f"{key.section}:{name}"
    common: dict[str, Any] = {"section": "quality", "name": full, "setup": key.spec.label}
    having = [[r for r in side if name in _classifiers(r)] for side in runs]
    rows = [[r.rows[name] for r in side if name in r.rows] for side in having]
    if not all(having):
        lacks_baseline = not having[0]
        why = f"the {'baseline' if lacks_baseline else 'candidate'} has none"
        yield Comparison(
            measure="scores", answer=selection.absent(full, from_baseline=lacks_baseline), why=why, **common
        )
    elif all(rows):
        for d in differences(rows[0], rows[1], seeded=seeded, where=f"{full} ({key.spec.label})"):
            yield _judged(d, common)
    elif any(rows):
        lacking = "candidate" if rows[0] else "baseline"
        yield Comparison(measure="scores", answer=Answer.MISSING, why=f"the {lacking} has no row results", **common)


def _judged(d: Difference, common: Mapping[str, Any]) -> Comparison:
    answer, why = Answer.HOLDS, "not worse by the margin"
    if d.holds is False:
        answer, why = Answer.REGRESSION, "worse, beyond chance, and a drop of the margin is not ruled out"
    elif d.holds is None:
        answer = Answer.UNDECIDED
        more = f"about {d.seeds_to_decide} seeds a side would decide" if d.seeded else "only more rows would decide"
        why = f"neither a drop of the margin nor no drop is ruled out; {more}"
    before, after = (sum(side) / len(side) for side in (d.before, d.after))
    return Comparison(
        measure=d.measure, answer=answer, why=why, baseline=f"{before:.4f} ({len(d.before)})",
        candidate=f"{after:.4f} ({len(d.after)})", difference=d.value, interval=d.interval, limit=-MARGIN, **common,
    )  # fmt: skip
