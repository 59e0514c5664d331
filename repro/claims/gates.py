"""What a fine-tuning run must show before its scores are judged: that it is what its record says.

A record that openly says something else (another corpus, batch, checkpoint) fails a claim's `needs` and is not
comparable; so is one that lacks what is looked at here. A record that meets the needs and shows otherwise
deviates, loudly: something went wrong that its author does not know of. Neither is ever reproduced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Claim, Outcome
from repro.claims.references import Figure
from repro.claims.seeds import Judgement
from repro.claims.wording import brief, number
from repro.records.schema import RunRecord

FRESH = 0.999  # confidence of the interval for a fresh start: one honest run of a thousand fails it


def failed_gate(claim: Claim, catalogue: Catalogue, records: Sequence[RunRecord]) -> Judgement | None:
    """Return the first gate that the claim's records fail and what follows from it, or None."""
    if not claim.gated:
        return None
    fresh = [catalogue.needs[need].fresh_start for need in claim.needs]
    return next(_failures(records, [catalogue.figure(name) for name in fresh if name]), None)


def _failures(records: Sequence[RunRecord], fresh: Sequence[Figure]) -> Iterator[Judgement]:
    for record in records:
        starts = [failure for figure in fresh for failure in _start(record, figure)]
        for failure in (*_steps(record), *starts, *_device(record), *_rows(record)):
            yield replace(failure, why=f"no valid run: seed {record.settings.seed}: {failure.why}")
    heads = [str(record.facts["head_seed"]) for record in records if record.facts.get("head_seed") is not None]
    if len(set(heads)) < len(heads):
        yield _deviates(f"no valid runs: {len(heads)} seeds share {len(set(heads))} head(s), so n is not {len(heads)}")
    seen: dict[tuple[int, ...], int] = {}
    for record in records:
        if rows := record.rows.get("validation"):
            first = seen.setdefault(tuple(rows.predictions), record.settings.seed)
            if first != record.settings.seed:
                same = f"no valid runs: seeds {first} and {record.settings.seed} predict the same for every row"
                yield _deviates(f"{same}, so that they are one")


def _steps(record: RunRecord) -> Iterator[Judgement]:
    train = record.corpus.splits.get("train")
    if train is None or record.recipe.batch_size < 1:
        yield _not_comparable("it names no training split or no batch size")
        return
    an_epoch = ceil(train.rows / record.recipe.batch_size)
    for name, expected in (("steps_per_epoch", an_epoch), ("steps", an_epoch * record.recipe.epochs)):
        steps = record.facts.get(name)
        if steps is None:
            yield _not_comparable(f"{name} is not recorded, expected {expected}")
        elif steps != expected:
            yield _deviates(f"{name} is {brief(steps)}, the corpus and the recipe it names make {expected}")


def _start(record: RunRecord, fresh: Figure) -> Iterator[Judgement]:
    low, high = fresh.prediction_interval(confidence=FRESH)
    if not record.epochs:
        yield _not_comparable("no training loss is recorded")
    elif not low <= record.epochs[0].train_loss <= high:
        loss = number(record.epochs[0].train_loss)
        yield _deviates(f"its training loss of epoch 1 is {loss}, a fresh start gives {number(low)} to {number(high)}")


def _device(record: RunRecord) -> Iterator[Judgement]:
    if record.settings.device == "cuda" and record.provenance.accelerator is None:
        yield _deviates("it says cuda, and no accelerator was seen")


def _rows(record: RunRecord) -> Iterator[Judgement]:
    rows, final = record.rows.get("validation"), record.scores.get(f"epoch-{record.recipe.epochs}/validation")
    if rows is None or final is None:
        return
    hits = sum(a == b for a, b in zip(rows.labels, rows.predictions, strict=False))
    if len(rows.predictions) != final.n or hits != round(final.accuracy * final.n):
        yield _deviates(
            f"its rows hold {hits} right of {len(rows.predictions)}, scored {number(final.accuracy)} of {final.n}"
        )


def _deviates(why: str) -> Judgement:
    return Judgement(outcome=Outcome.DEVIATES, why=why)


def _not_comparable(why: str) -> Judgement:
    return Judgement(outcome=Outcome.NOT_COMPARABLE, why=why)
