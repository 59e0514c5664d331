"""Records that somebody offers: they join the committed ones if they are whole, pinned, and as many as they declare.

What is wrong with a file or with the runs of one section is one line that names a file, and an exit code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Outcome
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.gates import failed_gate, on_stand_in, unmet_need
from repro.errors import NotComparableError, RecordError
from repro.records.schema import RowResults, RunRecord, Scores
from repro.records.store import read_record

SEEDS = 5  # that are declared with a run whose claims are gated, and have all run
LOSS_SLACK = 1e-5  # the losses of the rows are rounded to six decimals
DAMAGED, NOT_COMPARABLE, NO = RecordError.exit_code, NotComparableError.exit_code, 1


class Refusal(NamedTuple):
    """Why a file is not admitted, in one line that names it, and the exit code that says so."""

    line: str
    exit_code: int


def refusals(paths: Sequence[Path], catalogue: Catalogue) -> list[Refusal]:
    """Return what keeps records from being admitted; where a file is refused, nothing is said of several together."""
    offered: dict[Path, RunRecord] = {}
    refused: list[Refusal] = []
    for path in paths:
        try:
            offered[path] = read_record(path)
            problems = _problems(path, offered[path])
            refused += [Refusal(f"{path}: {why}", code) for why, code in problems][:1]
        except RecordError as error:
            refused.append(Refusal(error.what, error.exit_code))
    if refused:
        return refused
    oldest_first = sorted(offered, key=lambda path: offered[path].provenance.started)
    for cohort in cohorts_of([offered[path] for path in oldest_first]):
        first = next(path for path in oldest_first if offered[path] in cohort.records)
        refused += [Refusal(f"{first}: {why}", code) for why, code in _problems_of_all(cohort, catalogue)][:1]
    return refused


def _problems(path: Path, record: RunRecord) -> Iterator[tuple[str, int]]:
    if path.absolute().parent.parts[-len(record.folder.parts) :] != record.folder.parts:
        yield f"it belongs into the folder {record.folder.as_posix()}", DAMAGED
    for name, scores in record.scores.items():
        epoch = re.fullmatch(r"epoch-([0-9]{1,4})/(.+)", name)
        if epoch is None or int(epoch[1]) >= record.recipe.epochs:  # of earlier epochs no rows are kept
            rows = record.rows.get(epoch[2] if epoch else name)
            split = record.corpus.splits.get(name.rpartition("/")[2])
            if why := _not_from_rows(scores, rows, split.labels if split else []):
                yield f"scores.{name}: {why}", DAMAGED
    if record.settings.limit is not None:
        yield f"a run of the first {record.settings.limit} rows of each split", NOT_COMPARABLE


def _not_from_rows(scores: Scores, rows: RowResults | None, labels: Sequence[int]) -> str:
    """Return why the scores are not what the rows give; a matrix gives the rest of them, as reading has shown."""
    if rows is None or len(rows.labels) != len(rows.predictions):
        return "its rows are missing"
    cells = {(i, j): n for i, row in enumerate(scores.confusion) for j, n in enumerate(row) if n}
    if cells != Counter(zip(rows.labels, rows.predictions, strict=True)):
        return "its rows give another confusion matrix"
    if [sum(row) for row in scores.confusion] != list(labels):
        return "its rows have other labels than the split"
    if scores.loss is not None:
        losses = rows.losses or []
        if len(losses) != scores.n or abs(sum(losses) / scores.n - scores.loss) > LOSS_SLACK:
            return "its rows give another loss"
    return ""


def _problems_of_all(cohort: Cohort, catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    """Yield what the runs of one section and setup are not: on the pinned files, what they say, as many as declared."""
    gated = [claim for claim in catalogue.claim if claim.gated]
    own = [claim for claim in catalogue.claim if claim.experiment == cohort.experiment]
    for claim in own or gated:  # a section without claims must still be on what the gated claims need
        if own and cohort.measured(claim) is None:
            if claim.gated:
                yield f"it holds no value for {claim.id}", DAMAGED
            continue
        needs = [n for n in claim.needs if not all(path.startswith("settings.") for path in catalogue.needs[n].holds)]
        pinned = claim.model_copy(update={"needs": needs})  # whether it was padded is no matter of files
        if on_stand_in(pinned, catalogue, cohort):
            yield unmet_need(pinned, catalogue, cohort) or "a stand-in's weights", NOT_COMPARABLE
        if claim in own and (failed := failed_gate(claim, catalogue, cohort.records)):
            yield failed.why, NOT_COMPARABLE if failed.outcome is Outcome.NOT_COMPARABLE else NO
    if any(claim in gated for claim in own):
        declared = len(cohort.seeds) + len(cohort.missing)
        if not all(record.declared_seeds for record in cohort.records):
            yield "no seeds are declared with it (--seeds 0-4)", NO
        if declared < SEEDS:
            yield f"{declared} seeds are declared, expected at least {SEEDS} (--seeds 0-4)", NO
        if cohort.missing:
            yield f"of the declared seeds {', '.join(map(str, cohort.missing))} are missing", NO
