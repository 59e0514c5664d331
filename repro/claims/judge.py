"""Claims x records -> verdicts.

A claim is judged on one cohort of records. One that lacks what the claim needs is never judged, only shown. Among
those that have it the catalogue's own recipe goes first, then the newest; others that come to another answer are
named. What the verdict is called depends on what the claim rests on: see `Outcome`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from repro.claims.catalogue import Catalogue
from repro.claims.claim import POPULATION, Claim, Evidence, Judgement, Kind, Outcome
from repro.claims.cohorts import Cohort, cohorts_of
from repro.claims.distribution import judge_distribution, judge_placed
from repro.claims.gates import failed_gate, on_stand_in, unmet_need
from repro.claims.kinds import check_shape, judge_ordering, judge_overlap, judge_parts, shared_members
from repro.claims.references import Figure
from repro.display import brief, is_number, number
from repro.records.schema import RunRecord


@dataclass(frozen=True, kw_only=True)
class Verdict(Judgement):
    """The answer to one claim, with what was measured (`shown`), on which seeds and basis, and why.

    `estimates` holds the figures behind it over the seeds by part, `""` where the claim has one figure alone;
    `corroboration` what independent public runs say, beside the verdict and never part of it.
    """

    claim: Claim
    shown: str = ""
    seeds: tuple[int, ...] = ()
    basis: str = ""
    estimates: Mapping[str, Figure] = field(default_factory=dict)
    corroboration: str = ""

    @property
    def label(self) -> str:
        """The outcome in words: `deviates (low)`."""
        return f"{self.outcome} ({self.direction})" if self.direction in ("low", "high") else str(self.outcome)

    def as_row(self) -> dict[str, Any]:
        """Return the verdict as flat JSON."""
        figures = self.claim.figures
        parts = {part: {**e.as_row(), "reference": figures.get(part)} for part, e in self.estimates.items()}
        one = parts.pop("", {})
        return {
            "claim": self.claim.id,
            "version": self.claim.version,
            "section": self.claim.section,
            "text": self.claim.text,
            "reported": self.claim.shown,
            "measured": self.shown,
            "seeds": list(self.seeds),
            "verdict": str(self.outcome),
            "side": self.direction,
            "why": self.why,
            "corroboration": self.corroboration,
            "basis": self.basis,
            "source": self.claim.source,
            "n": len(self.seeds),
            **{name: one.get(name) for name in ("mean", "interval", "reference")},
            "parts": parts,
        }


class Judged(NamedTuple):
    """A catalogue, a verdict on each of its claims, and the records, oldest first, that they were judged on."""

    catalogue: Catalogue
    verdicts: Sequence[Verdict]
    records: Sequence[RunRecord]


def judge_all(catalogue: Catalogue, records: Sequence[RunRecord], runnable: Sequence[str]) -> list[Verdict]:
    """Judge every claim on records (oldest first); `runnable` names the experiments that this version has.

    RecordError where a record holds something of another shape than its experiment writes. A claim about seconds is
    judged on runs of one machine and number of threads.
    """
    by_result, by_seconds = cohorts_of(records), cohorts_of(records, by_machine=True)
    verdicts = []
    for claim in catalogue.claim:
        reads_seconds = any(":seconds." in address for address in claim.addresses)
        verdict = judge(claim, catalogue, by_seconds if reads_seconds else by_result, runnable)
        verdicts.append(replace(verdict, corroboration=corroborate(claim, catalogue)))
    return verdicts


def corroborate(claim: Claim, catalogue: Catalogue) -> str:
    """Return what all public runs together give for the claim's figures, and where the reported ones lie among them."""
    own = {name.partition(":")[0] for name in claim.figures.values()}
    if not own or not own <= set(catalogue.corroboration):
        return ""
    parts, outside = [], []
    for part, name in claim.figures.items():
        figure, reported = catalogue.public_runs.figure(name.partition(":")[2]), claim.reported_of(part)
        low, high = figure.prediction_interval()
        parts.append(f"{part} {figure.spread} (n = {figure.n})".lstrip())
        if not low <= reported <= high:
            outside.append(part or number(reported))
    place = f"outside their 95 % range: {', '.join(outside)}" if outside else "in their 95 % range"
    return f"{catalogue.public_runs.about}: {', '.join(parts)}; reported: {place}"


def judge(claim: Claim, catalogue: Catalogue, cohorts: Sequence[Cohort], runnable: Sequence[str]) -> Verdict:
    """Judge one claim on the cohort that suits it best."""
    ran = [cohort for cohort in cohorts if cohort.experiment == claim.experiment]
    having = [cohort for cohort in ran if cohort.measured(claim) is not None]
    parts = {address.split(".")[1] for address in claim.addresses if "." in address}
    not_run = [record.facts.get("not_run") for cohort in ran for record in cohort.records]  # parts that lacked an asset
    lacking = not having and any(isinstance(names, dict) and parts & names.keys() for names in not_run)
    if all(":facts." in address for address in claim.addresses):  # records older than the claim have no such facts
        lacking = lacking or not any(parts & record.facts.keys() for cohort in ran for record in cohort.records)
    if not ran or lacking:
        return Verdict(claim=claim, outcome=Outcome.NOT_RUN, why=_how_to_run(claim, catalogue, runnable))
    if not having:
        why = f"what was run holds no value for it; {_how_to_run(claim, catalogue, runnable)}"
        return Verdict(claim=claim, outcome=Outcome.NOT_COMPARABLE, why=why, basis=ran[-1].setup.label)
    having.sort(key=lambda c: (not unmet_need(claim, catalogue, c), c.setup.recipe == catalogue.recipe, c.newest))
    *others, cohort = having
    verdict = _judge_on(claim, catalogue, cohort, cohorts)
    if verdict.outcome in (Outcome.NOT_COMPARABLE, Outcome.INFORMATION):
        return verdict
    differing = [_judge_on(claim, catalogue, other, cohorts) for other in others]
    but = [
        f"; but {o.label} with {o.shown} ({o.basis})"
        for o in differing
        if o.outcome not in (verdict.outcome, Outcome.NOT_COMPARABLE)
    ]
    return replace(verdict, why=verdict.why + "".join(but))


def _judge_on(claim: Claim, catalogue: Catalogue, cohort: Cohort, cohorts: Sequence[Cohort]) -> Verdict:
    measured = cohort.measured(claim) or []
    check_shape(claim, measured)
    unmet = unmet_need(claim, catalogue, cohort)
    draft = Verdict(
        claim=claim, outcome=Outcome.NOT_COMPARABLE, why=unmet or "", seeds=cohort.seeds, basis=cohort.setup.label
    )
    if not unmet or claim.elsewhere:  # shapes, seconds and operations of another checkpoint say nothing of it
        estimates = _estimates(claim, measured)
        draft = replace(draft, estimates=estimates, shown=_show(claim, cohort, measured, estimates))
    if unmet:
        return draft
    if claim.kind is Kind.INFORMATION:
        return replace(draft, outcome=Outcome.INFORMATION, why=claim.note or "not judged")
    judgement = failed_gate(claim, catalogue, cohort.records)
    if not judgement and cohort.missing and claim.kind in POPULATION:  # the number of seeds is fixed beforehand
        n, declared = len(cohort.seeds), len(cohort.seeds) + len(cohort.missing)
        why = f"{n} of the {declared} seeds that were declared have run; the others decide with them"
        judgement = Judgement(outcome=Outcome.INCONCLUSIVE, why=why)
    judgement = judgement or judge_kind(claim, catalogue, cohort, cohorts, measured)
    word = _word(judgement, claim, stand_in=on_stand_in(claim, catalogue, cohort))
    return replace(draft, **{**vars(judgement), "outcome": word, "why": judgement.why + cohort.remarks})


def judge_kind(
    claim: Claim, catalogue: Catalogue, cohort: Cohort, cohorts: Sequence[Cohort], measured: Sequence[Any]
) -> Judgement:
    """Judge what the cohort measured, whose shape `check_shape` has passed."""
    match claim.kind:
        case Kind.ORDERING:
            return judge_ordering(claim, cohort, cohorts)
        case Kind.DISTRIBUTION:
            return judge_distribution(claim, catalogue, measured)
        case Kind.REFERENCE:
            return judge_placed(claim, catalogue, cohort.setup, measured)
        case Kind.OVERLAP:
            return judge_overlap(claim, measured)
    return judge_parts(claim, measured)


def _word(judgement: Judgement, claim: Claim, *, stand_in: bool) -> Outcome:
    """Return the word that the evidence allows."""
    if judgement.outcome is Outcome.REPRODUCED:
        if claim.evidence is Evidence.CONSTRUCTION:
            return Outcome.BY_CONSTRUCTION
        return Outcome.STAND_IN if stand_in else Outcome.REPRODUCED
    if judgement.outcome is Outcome.DEVIATES:
        if claim.evidence is Evidence.LIBRARY:
            return Outcome.NO_LONGER
        deviating = {part for part, direction in judgement.placed.items() if direction}
        if claim.known_deviation and deviating and deviating <= set(claim.known_deviation.parts):
            return Outcome.KNOWN
    return judgement.outcome


def _estimates(claim: Claim, measured: Sequence[Any]) -> dict[str, Figure]:
    """Return the claim's figures over seeds by part, `""` for a claim of one figure; none for words and tables."""
    if claim.kind is Kind.OVERLAP:
        return {"": Figure(tuple(shared_members(claim, measured)))}
    rows = [value if isinstance(value, dict) else {"": value} for value in measured]
    columns: dict[str, tuple[Any, ...]] = {key: tuple(row.get(key) for row in rows) for key in rows[0]}
    return {key: Figure(values) for key, values in columns.items() if all(map(is_number, values))}


def _show(claim: Claim, cohort: Cohort, measured: list[Any], estimates: Mapping[str, Figure]) -> str:
    """Return what was measured for people: mean, spread and interval over seeds, or one seed's interval over rows."""
    of = f" of {len(claim.reported)} shared" if claim.kind is Kind.OVERLAP else ""
    # counts have no interval, which would reach below nothing
    shown = ", ".join(map(number, estimates[""].values)) + of if of else _over_seeds(measured, estimates)
    if len(measured) > 1:
        return f"{shown}, n = {len(measured)} seeds"
    if is_number(measured[0]) and isinstance(claim.measure, str):
        parent = claim.measure.rpartition(".")[0]
        interval, rows = cohort.values(claim.measure + "_interval"), cohort.values(parent + ".n")
        if interval and rows and isinstance(interval[0], tuple):
            low, high = interval[0]
            return f"{shown} [{number(low)}, {number(high)}], n = {rows[0]:,} rows"
    return shown


def _over_seeds(measured: Sequence[Any], estimates: Mapping[str, Figure]) -> str:
    """Return several seeds' values in short: mean ± SD [interval] of numbers, words that differ side by side."""
    if "" in estimates:
        return str(estimates[""])
    if all(value == measured[0] for value in measured):
        return brief(measured[0])
    if all(isinstance(value, dict) for value in measured):
        parts = {key: estimates.get(key) or _over_seeds([v.get(key) for v in measured], {}) for key in measured[0]}
        return ", ".join(f"{key} {value}" for key, value in parts.items())
    if all(isinstance(value, list) for value in measured):
        return brief(measured[0]) + ", first seed"
    return " / ".join(dict.fromkeys(map(brief, measured)))


def _how_to_run(claim: Claim, catalogue: Catalogue, runnable: Sequence[str]) -> str:
    if claim.experiment not in runnable:
        return f"this version of the suite has no experiment {claim.experiment!r} yet"
    padded = " --batching padded" if "padded" in claim.needs else ""
    return catalogue.command.replace("{experiment}", claim.experiment) + padded


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
