"""The answer in one sentence, made from the records and the public runs."""

from __future__ import annotations

from collections.abc import Sequence

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Kind, Outcome
from repro.claims.corroboration import public_runs, version_span
from repro.claims.judge import Verdict


def headline(catalogue: Catalogue, verdicts: Sequence[Verdict]) -> str:
    """Return the answer in one sentence: what public runs give, and whether this suite has run it itself."""
    said = catalogue.headline
    if said is None:
        return ""
    verdict = next(v for v in verdicts if v.claim.id == said.claim)
    runs = public_runs(catalogue)
    figure = runs.figure(verdict.claim.figures[""].partition(":")[2])
    public = f"{figure.n} {runs.about} on transformers {version_span(runs)} give {figure.spread}"
    if verdict.outcome in (Outcome.NOT_RUN, Outcome.NOT_COMPARABLE):
        own = f"not yet run by this suite on the pinned weights ({said.command} does)"
    else:
        own = f"this suite: {verdict.label} with {verdict.shown}"
    return f"{said.said}: {public}; {own}"


def reference_line(catalogue: Catalogue, verdicts: Sequence[Verdict]) -> str:
    """Return whether this machine matches the suite's own runs; empty for a catalogue that has no such claims."""
    claims = [v for v in verdicts if v.claim.kind is Kind.REFERENCE]
    if not claims:
        return ""
    inside = sum(direction is None for v in claims for direction in v.placed.values())
    figures = sum(len(v.claim.figures) for v in claims)
    if not any(v.placed for v in claims):
        return f"this machine was not compared with the suite's reference ({catalogue.name}): {claims[0].why}"
    return (
        f"this machine {'matches' if inside == figures else 'does not match'} the suite's reference in {inside} of "
        f"{figures} figures ({catalogue.name}, n = {max(v.among for v in claims)})"
    )
