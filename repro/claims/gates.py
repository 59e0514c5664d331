"""What a run must hold for a claim to be comparable, and show before its scores are judged: that it is what it says.

A record that openly says something else (another corpus, batch, checkpoint) fails a claim's `needs` and is not
comparable; so is one that lacks what a gate looks at. A record that meets the needs and shows otherwise deviates,
loudly: something went wrong that its author does not know of. Neither is ever reproduced.

Records that somebody offers join the committed ones if they are whole, pinned, and as many as they declare.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Judgement, Need, Outcome
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.references import Figure
from repro.display import brief, number
from repro.errors import NotComparableError, RecordError
from repro.records.schema import RowResults, RunRecord, Scores
from repro.records.store import read_record

FRESH = 0.999  # confidence of the interval for a fresh start: one honest run of a thousand fails it
SEEDS = 5  # that are declared with a run whose claims are gated, and have all run
LOSS_SLACK = 1e-5  # the losses of the rows are rounded to six decimals
DAMAGED, NOT_COMPARABLE, NO = RecordError.exit_code, NotComparableError.exit_code, 1
Failure = tuple[Outcome, str]
Refusal = tuple[str, int]  # why a file is not admitted, and the exit code that says so


def unmet_need(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> str | None:
    """Return what the cohort lacks for the claim to be comparable, in words, or None."""
    for need, path, value in _other_values(claim, catalogue, cohort):
        if value not in need.stand_in.get(path, []):
            wanted = " or ".join(map(brief, need.holds[path]))
            return f"needs {need.text}; {path} is {brief(value)}, not {wanted}"
    return None


def on_stand_in(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> bool:
    """Tell whether a need of the claim is met by a stand-in only."""
    return any(_other_values(claim, catalogue, cohort))


def _other_values(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> Iterator[tuple[Need, str, Any]]:
    """Yield need, path and value of all that the cohort's records hold otherwise than the claim needs."""
    for need in map(catalogue.needs.__getitem__, claim.needs):
        for record in cohort.records:
            for path, wanted in need.holds.items():
                try:
                    value = record.at(path)
                except KeyError:
                    value = None
                if value not in wanted:
                    yield need, path, value


def failed_gate(claim: Claim, catalogue: Catalogue, records: Sequence[RunRecord]) -> Judgement | None:
    """Return the first gate that the claim's records fail and what follows from it, or None."""
    if claim.gated:
        fresh = [catalogue.figure(name) for need in claim.needs if (name := catalogue.needs[need].fresh_start)]
        for outcome, why in _failures(records, fresh):
            return Judgement(outcome=outcome, why=why)
    return None


def _failures(records: Sequence[RunRecord], fresh: Sequence[Figure]) -> Iterator[Failure]:
    for record in records:
        for outcome, why in _contradictions(record, fresh):
            yield outcome, f"no valid run: seed {record.settings.seed}: {why}"
    heads = [str(record.facts["head_seed"]) for record in records if record.facts.get("head_seed") is not None]
    if len(set(heads)) < len(heads):
        shared = f"{len(heads)} seeds share {len(set(heads))} head(s), so n is not {len(heads)}"
        yield Outcome.DEVIATES, f"no valid runs: {shared}"
    seen: dict[tuple[int, ...], int] = {}
    for record in records:
        if rows := record.rows.get("validation"):
            first = seen.setdefault(tuple(rows.predictions), record.settings.seed)
            if first != record.settings.seed:
                same = f"seeds {first} and {record.settings.seed} predict the same for every row, so that they are one"
                yield Outcome.DEVIATES, f"no valid runs: {same}"


def _contradictions(record: RunRecord, fresh: Sequence[Figure]) -> Iterator[Failure]:
    """Yield what a record lacks or says of itself that cannot be: steps, fresh start, device, rows."""
    recipe, train = record.recipe, record.corpus.splits.get("train")
    if train is None or recipe.batch_size < 1:
        yield Outcome.NOT_COMPARABLE, "it names no training split or no batch size"
    else:
        an_epoch = ceil(train.rows / recipe.batch_size)
        for name, expected in (("steps_per_epoch", an_epoch), ("steps", an_epoch * recipe.epochs)):
            steps = record.facts.get(name)
            if steps is None:
                yield Outcome.NOT_COMPARABLE, f"{name} is not recorded, expected {expected}"
            elif steps != expected:
                yield Outcome.DEVIATES, f"{name} is {brief(steps)}, the corpus and the recipe it names make {expected}"
    for low, high in (figure.prediction_interval(confidence=FRESH) for figure in fresh):
        if not record.epochs:
            yield Outcome.NOT_COMPARABLE, "no training loss is recorded"
        elif not low <= (loss := record.epochs[0].train_loss) <= high:
            expected_loss = f"a fresh start gives {number(low)} to {number(high)}"
            yield Outcome.DEVIATES, f"its training loss of epoch 1 is {number(loss)}, {expected_loss}"
    if record.settings.device == "cuda" and record.provenance.accelerator is None:
        yield Outcome.DEVIATES, "it says cuda, and no accelerator was seen"
    rows, final = record.rows.get("validation"), record.scores.get(f"epoch-{recipe.epochs}/validation")
    if rows and final:
        hits, n = sum(a == b for a, b in zip(rows.labels, rows.predictions, strict=False)), len(rows.predictions)
        if n != final.n or hits != round(final.accuracy * final.n):
            why = f"its rows hold {hits} right of {n}, scored {number(final.accuracy)} of {final.n}"
            yield Outcome.DEVIATES, why


def refusals(paths: Sequence[Path], catalogue: Catalogue) -> list[Refusal]:
    """Return what keeps records from being admitted, each in one line that names a file.

    Where a file is refused, nothing is said of several together.
    """
    offered: dict[Path, RunRecord] = {}
    refused: list[Refusal] = []
    for path in paths:
        try:
            offered[path] = read_record(path)
            refused += [(f"{path}: {why}", code) for why, code in _problems(path, offered[path])][:1]
        except RecordError as error:
            refused.append((error.what, error.exit_code))
    if refused:
        return refused
    oldest_first = sorted(offered, key=lambda path: offered[path].provenance.started)
    for cohort in cohorts_of([offered[path] for path in oldest_first]):
        first = next(path for path in oldest_first if offered[path] in cohort.records)
        refused += [(f"{first}: {why}", code) for why, code in _problems_of_all(cohort, catalogue)][:1]
    return refused


def _problems(path: Path, record: RunRecord) -> Iterator[Refusal]:
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


def _problems_of_all(cohort: Cohort, catalogue: Catalogue) -> Iterator[Refusal]:
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
