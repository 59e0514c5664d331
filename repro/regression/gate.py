"""Baseline against candidate: quality, speed and claims, judged together.

Quality (`quality`, `paired`): every classifier's predictions of the same rows, of runs of one corpus, recipe and
settings. Speed (`speed`, `rounds`): every benchmark's rounds, the newest of its name. Claims: what was reproduced must
not deviate. And nothing may vanish: what the baseline has and the candidate lacks fails, and so does what the
candidate measures and the baseline lacks, unless it is named new. A benchmark that is renamed, or held against a
baseline that nobody renewed, would else pass for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import Verdict, judge_all
from repro.errors import ResultsError, unknown
from repro.regression.findings import Finding, Rules, Ruling, matches, why_absent
from repro.regression.quality import compare_quality
from repro.regression.sources import Source
from repro.regression.speed import compare_speed


def compare(
    baseline: Source, candidate: Source, *, rules: Rules, catalogue: Catalogue, experiments: Mapping[str, bool]
) -> list[Finding]:
    """Compare all that the two sides measured; `experiments` tells of each whether another seed changes it.

    Where a side is a benchmark file, speed alone. ResultsError where they are of another corpus or recipe, or hold
    nothing to compare; RecordError where a record does not hold what it should; UsageError where a name is given that
    nothing has.
    """
    speed_only = baseline.speed_only or candidate.speed_only
    claims = [] if speed_only else [claim.id for claim in catalogue.claim]
    for given, sides in ((rules.only, (baseline, candidate)), (rules.new, (candidate,))):
        known = [*claims, *(name for side in sides for name in side.names)]
        for pattern in given:
            if not matches(known, [pattern]):
                raise unknown("name", pattern, list(dict.fromkeys(known)))
    found: list[Finding] = []
    if not speed_only:
        found += compare_quality(baseline.records, candidate.records, rules=rules, experiments=experiments)
        verdicts = [judge_all(catalogue, side.records, list(experiments)) for side in (baseline, candidate)]
        found += compare_claims(*verdicts, rules=rules)
    found += compare_speed(baseline.benchmarks, candidate.benchmarks, rules=rules)
    if not found:
        raise ResultsError(
            f"{baseline.path} and {candidate.path} hold nothing that can be compared",
            "Name two results folders with records or benchmarks, or two benchmark files.",
        )
    return found


def compare_claims(before: Sequence[Verdict], after: Sequence[Verdict], *, rules: Rules) -> Iterator[Finding]:
    """Compare two sides' verdicts, claim by claim; those that neither side measured are left out."""
    now_by_id = {verdict.claim.id: verdict for verdict in after}
    for was in before:
        now = now_by_id[was.claim.id]
        if rules.counts(was.claim.id) and {was.outcome, now.outcome} != {Outcome.NOT_RUN}:
            ruling, why = _rule(was, now, rules)
            yield Finding(
                section="claims",
                names=(was.claim.id,),
                measure="verdict",
                basis=now.basis or was.basis,
                ruling=ruling,
                why=why,
                baseline=was.label,
                candidate=now.label,
            )


def _rule(was: Verdict, now: Verdict, rules: Rules) -> tuple[Ruling, str]:
    """Rule on a claim: only what was reproduced can be lost; what deviates on both sides is for `repro verify`."""
    if was.outcome is Outcome.NOT_RUN:
        return rules.on_absent(was.claim.id, lacking="baseline"), why_absent("baseline", ())
    if now.outcome is Outcome.NOT_RUN:
        return rules.on_absent(was.claim.id, lacking="candidate"), why_absent("candidate", ())
    if was.outcome is not Outcome.REPRODUCED or now.outcome is Outcome.REPRODUCED:
        return Ruling.HOLDS, "nothing that was reproduced is lost"
    lost = {Outcome.DEVIATES: Ruling.REGRESSION, Outcome.NOT_COMPARABLE: Ruling.MISSING}
    return lost.get(now.outcome, Ruling.UNDECIDED), f"{now.label}: {now.why}"
