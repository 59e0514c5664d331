"""Claims x records -> verdicts: reproduced, deviates (low or high), inconclusive, not comparable, not run.

A claim is judged on one cohort of records. One that lacks what the claim needs is never judged, only shown.
Among those that have it the seminar's own recipe goes first, then the newest; others that come to another
answer are named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from repro.claims.catalogue import Catalogue, Claim, Direction, Kind, Outcome
from repro.claims.cohorts import Cohort, cohorts_of, unmet_need
from repro.claims.estimates import Estimate, estimates_of, over_seeds
from repro.claims.gates import failed_gate
from repro.claims.kinds import check_shape, judge_kind
from repro.claims.wording import brief, is_number, number
from repro.records.record import RunRecord

SEMINARS_RECIPE = "distilbert"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer to one claim, with what was measured (`shown`), on which seeds and basis, and why.

    `estimates` holds the figures behind it by part, `""` where the claim has one figure alone.
    """

    claim: Claim
    outcome: Outcome
    why: str
    side: Direction | None = None
    shown: str = ""
    seeds: tuple[int, ...] = ()
    basis: str = ""
    estimates: dict[str, Estimate] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """The number of seeds."""
        return len(self.seeds)

    @property
    def mean(self) -> float | None:
        """The mean over seeds of a claim of one figure."""
        return self.estimates[""].mean if "" in self.estimates else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of that mean; one seed has none."""
        return self.estimates[""].interval if "" in self.estimates else None

    @property
    def reference(self) -> str | None:
        """The name of the figure of the 98 reruns that it is held against: `reference(name).values`."""
        return self.estimates[""].reference if "" in self.estimates else None

    @property
    def label(self) -> str:
        """The outcome in words: `deviates (low)`."""
        return f"{self.outcome} ({self.side})" if self.side in ("low", "high") else str(self.outcome)

    def as_row(self) -> dict[str, Any]:
        """Return the verdict as flat JSON."""
        return {
            "claim": self.claim.id,
            "section": self.claim.section,
            "text": self.claim.text,
            "reported": self.claim.shown,
            "measured": self.shown,
            "seeds": list(self.seeds),
            "verdict": str(self.outcome),
            "side": self.side,
            "why": self.why,
            "basis": self.basis,
            "source": self.claim.source,
            "n": self.n,
            "mean": self.mean,
            "interval": None if self.interval is None else list(self.interval),
            "reference": self.reference,
            "parts": {part: estimate.as_row() for part, estimate in self.estimates.items() if part},
        }


def judge_all(catalogue: Catalogue, records: Sequence[RunRecord], runnable: Sequence[str]) -> list[Verdict]:
    """Judge every claim on records (oldest first); `runnable` names the experiments that this version has.

    RecordError where a record holds something of another shape than its experiment writes. A claim about seconds is
    judged on runs of one machine and number of threads.
    """
    by_result, by_seconds = cohorts_of(records), cohorts_of(records, by_machine=True)
    return [judge(c, catalogue, by_seconds if c.reads_seconds else by_result, runnable) for c in catalogue.claim]


def judge(claim: Claim, catalogue: Catalogue, cohorts: Sequence[Cohort], runnable: Sequence[str]) -> Verdict:
    """Judge one claim on the cohort that suits it best."""
    ran = [cohort for cohort in cohorts if cohort.experiment == claim.experiment]
    having = [cohort for cohort in ran if cohort.measured(claim) is not None]
    lacking_asset = not having and any(_lacked_its_asset(claim, r) for cohort in ran for r in cohort.records)
    if not ran or lacking_asset:
        return Verdict(claim=claim, outcome=Outcome.NOT_RUN, why=_how_to_run(claim, runnable))
    if not having:
        why = f"what was run holds no value for it; {_how_to_run(claim, runnable)}"
        return Verdict(claim=claim, outcome=Outcome.NOT_COMPARABLE, why=why, basis=ran[-1].setup.label)
    having.sort(key=lambda cohort: _rank(claim, catalogue, cohort))
    verdict = _judge_on(claim, catalogue, having[-1], cohorts)
    if verdict.outcome is Outcome.NOT_COMPARABLE:
        return verdict
    others = [_judge_on(claim, catalogue, cohort, cohorts) for cohort in having[:-1]]
    differing = [o for o in others if o.outcome not in (verdict.outcome, Outcome.NOT_COMPARABLE)]
    but = "".join(f"; but {o.label} with {o.shown} ({o.basis})" for o in differing)
    return replace(verdict, why=verdict.why + but)


def _rank(claim: Claim, catalogue: Catalogue, cohort: Cohort) -> tuple[bool, bool, str]:
    comparable = unmet_need(claim, catalogue, cohort) is None
    return comparable, cohort.setup.recipe == SEMINARS_RECIPE, cohort.newest


def _judge_on(claim: Claim, catalogue: Catalogue, cohort: Cohort, cohorts: Sequence[Cohort]) -> Verdict:
    measured = cohort.measured(claim) or []
    check_shape(claim, measured)
    estimates = estimates_of(claim, measured)
    draft = Verdict(
        claim=claim,
        outcome=Outcome.NOT_COMPARABLE,
        why="for information: " + (claim.note or "not judged"),
        shown=_show(claim, cohort, measured, estimates),
        estimates=estimates,
        seeds=cohort.seeds,
        basis=cohort.setup.label,
    )
    if claim.kind is Kind.INFORMATION:
        return draft
    if unmet := unmet_need(claim, catalogue, cohort):
        return replace(draft, why=unmet)
    judgement = failed_gate(claim, cohort.records) or judge_kind(claim, cohort, cohorts, measured)
    return replace(draft, outcome=judgement.outcome, side=judgement.direction, why=judgement.why)


def _show(claim: Claim, cohort: Cohort, measured: list[Any], estimates: dict[str, Estimate]) -> str:
    """Return what was measured for people: mean, spread and interval over seeds, or one seed's interval over rows."""
    of = f" of {len(claim.reported)} shared" if claim.kind is Kind.OVERLAP else ""
    if len(measured) > 1:
        return f"{over_seeds(measured, estimates)}{of}, n = {len(measured)} seeds"
    if of:
        return f"{estimates['']}{of}"
    if is_number(measured[0]) and isinstance(claim.measure, str):
        parent = claim.measure.rpartition(".")[0]
        interval, rows = cohort.values(claim.measure + "_interval"), cohort.values(parent + ".n")
        if interval and rows and isinstance(interval[0], tuple):
            low, high = interval[0]
            return f"{number(measured[0])} [{number(low)}, {number(high)}], n = {rows[0]:,} rows"
    return brief(measured[0])


def _lacked_its_asset(claim: Claim, record: RunRecord) -> bool:
    """Whether the record says that the part of the experiment that the claim reads did not run: `facts.PART…`."""
    not_run = record.facts.get("not_run")
    return isinstance(not_run, dict) and any(address.split(".")[1] in not_run for address in claim.addresses)


def _how_to_run(claim: Claim, runnable: Sequence[str]) -> str:
    if claim.experiment not in runnable:
        return f"this version of the suite has no experiment {claim.experiment!r} yet"
    padded = " --batching padded" if "padded" in claim.needs else ""
    return f"python -m repro run {claim.experiment} --recipe distilbert --corpus hub{padded}"
