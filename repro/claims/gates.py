"""What a run must hold for a claim to be comparable, and show before its scores are judged: that it is what it says.

A record that openly says something else (another corpus, batch, checkpoint) fails a claim's `needs` and is not
comparable; so is one that lacks what a gate looks at. A record that meets the needs and shows otherwise deviates,
loudly: something went wrong that its author does not know of. Neither is ever reproduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Judgement, Need, Outcome
from repro.claims.cohorts import Cohort
from repro.claims.references import Figure
from repro.claims.wording import brief, number
from repro.records.schema import RunRecord

FRESH = 0.999  # confidence of the interval for a fresh start: one honest run of a thousand fails it
SHARED = ("corpus.", "recipe.")  # what one record of a cohort says of them all say
Failure = tuple[Outcome, str]


def unmet_need(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> str | None:
    """Return what the cohort lacks for the claim to be comparable, in words, or None."""
    for need, path, value in _other_values(claim, catalogue, cohort):
        if value not in _any_of(need.stand_in.get(path, [])):
            wanted = " or ".join(map(brief, _any_of(need.holds[path])))
            return f"needs {need.text}; {path} is {brief(value)}, not {wanted}"
    return None


def on_stand_in(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> bool:
    """Tell whether a need of the claim is met by a stand-in only."""
    return any(_other_values(claim, catalogue, cohort))


def _other_values(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> Iterator[tuple[Need, str, Any]]:
    """Yield need, path and value of all that the cohort's records hold otherwise than the claim needs."""
    for need in map(catalogue.needs.__getitem__, claim.needs):
        for i, record in enumerate(cohort.records):
            for path, wanted in need.holds.items():
                if i and path.startswith(SHARED):
                    continue
                try:
                    value = record.at(path)
                except KeyError:
                    value = None
                if value not in _any_of(wanted):
                    yield need, path, value


def _any_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


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
