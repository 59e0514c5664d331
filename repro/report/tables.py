"""The report's tables of verdicts and records; report.toml says what their columns hold."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from statistics import fmean
from typing import Any

from repro.claims.catalogue import Catalogue
from repro.claims.claim import Outcome
from repro.claims.cohorts import cohorts_of
from repro.claims.judge import Verdict, reference_line
from repro.claims.references import Figure, version_span
from repro.display import Table, plural
from repro.records.schema import RunRecord

_TEXTS = tomllib.loads(files("repro.report").joinpath("report.toml").read_text(encoding="utf-8"))
SIGNS: Mapping[str, str] = _TEXTS["signs"]
MEANINGS: Mapping[str, str] = _TEXTS["meanings"]
RULES: Mapping[str, str] = _TEXTS["rules"]
COLUMNS: Mapping[str, Mapping[str, str]] = _TEXTS["columns"]
SETTINGS: Mapping[str, str] = _TEXTS["settings"]
SIZES: Mapping[str, str] = _TEXTS["sizes"]
MEASURED: Mapping[str, str] = _TEXTS["measured"]
NAMES: Mapping[str, str] = _TEXTS["names"]
NOTES: Mapping[str, str] = _TEXTS["notes"]
NOTEBOOKS: Mapping[str, str] = _TEXTS["notebooks"]
CLASSIFIERS: Mapping[str, tuple[str, str, Sequence[str]]] = _TEXTS["classifiers"]
ANSWER: Mapping[str, Mapping[str, Any]] = _TEXTS["answer"]
MEANS = ("accuracy", "weighted_f1", "macro_f1")
EXPLAINED = (Outcome.DEVIATES, Outcome.KNOWN, Outcome.NO_LONGER, Outcome.INCONCLUSIVE)  # with the reason beside


def commit_of(commit: str | None, dirty: bool | None) -> str:
    """Return the beginning of the commit, and whether the code differed from it."""
    return "unknown" if commit is None else commit[:12] + (" with changes" if dirty else "")


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """One row a claim."""
    return Table.of(COLUMNS["verdicts"], ({"v": v, "sign": SIGNS[v.outcome]} for v in verdicts))


def record_tables(records: Sequence[RunRecord], superseded: Table | None) -> dict[str, Table]:
    """Return scores, their history after that of superseded records, and environments by file name."""
    scores = [
        {"r": r, "commit": commit_of(r.provenance.commit, r.provenance.dirty), "name": name, "s": s}
        for r in records
        for name, s in r.scores.items()
    ]
    return {
        "scores": Table.of(COLUMNS["scores"], scores),
        "history": superseded + history(records) if superseded else history(records),
        "environment": environment_table(records),
    }


def seed_scores(records: Sequence[RunRecord]) -> Table:
    """Return the scores of a section's newest runs of each setup, one row for all seeds."""
    cohorts = {(c.experiment, c.setup): c for c in cohorts_of(records)}
    rows = []
    for cohort in cohorts.values():
        for name in cohort.records[0].scores:
            scored = [r.scores[name] for r in cohort.records if name in r.scores]
            means = {of: Figure(tuple(getattr(s, of) for s in scored)) for of in MEANS}
            rows.append({"c": cohort, "name": name, "n": scored[0].n, "seeds": len(scored), **means})
    return Table.of(COLUMNS["seed scores"], rows, "One row for all seeds: mean ± SD [95 % interval of the mean].")


def history(records: Sequence[RunRecord]) -> Table:
    """Return what the runs of each commit gave, superseded ones too: the F1 of each section's classifier."""
    classifiers = {section: scored for section, scored, *_ in CLASSIFIERS.values()}
    rows = []
    for cohort in cohorts_of(records):
        newest = max(cohort.records, key=lambda record: record.provenance.started)
        name = classifiers.get(cohort.experiment, "").format(epochs=newest.recipe.epochs)
        if scored := [record.scores[name].weighted_f1 for record in cohort.records if name in record.scores]:
            seconds = fmean(sum(record.seconds.values()) for record in cohort.records)
            commit = commit_of(newest.provenance.commit, newest.provenance.dirty)
            of_seeds = {"f1": Figure(tuple(scored)), "seconds": seconds}
            rows.append({"r": newest, "commit": commit, "setup": cohort.setup, "name": name, **of_seeds})
    return Table.of(COLUMNS["history"], rows, "The newest last; F1 and seconds are means over the seeds.")


def source_cells(source: str) -> list[tuple[str, str]]:
    """Return the parts of a claim's source, each with the address of its published notebook, if it has one."""
    parts = re.split(r"(\b[bi]-\d+)", source)
    return [(part, NOTEBOOKS[part[0]] if i % 2 else "") for i, part in enumerate(parts) if part]


def environment_table(records: Sequence[RunRecord]) -> Table:
    """One row a fact that the records' machines and libraries have, with every value that occurs."""
    facts: dict[str, dict[str, None]] = {}
    for r in records:
        p = r.provenance
        values = {
            "suite": p.suite,
            "commit": commit_of(p.commit, p.dirty),
            "Python": p.python,
            **p.versions,
            "system": p.system,
            "processor": f"{p.processor}, {plural(p.cores, 'core')}, {plural(p.threads, 'thread')}",
            "accelerator": f"{p.accelerator} ({p.driver})" if p.accelerator else "none",
            **p.gpu,
            "started": p.started[:10],
        }
        for name, value in values.items():
            facts.setdefault(name, {})[value] = None
    return Table(("what", "value"), tuple((name, "; ".join(values)) for name, values in facts.items()))


def answers(catalogue: Catalogue, verdicts: Sequence[Verdict]) -> list[str]:
    """Return the answer as sentences: that of the headline, and whether this machine matches the suite's own runs."""
    matches = reference_line(catalogue, verdicts)
    lines = headline(catalogue, verdicts), f"{matches[0].upper()}{matches[1:]}." if matches else ""
    return list(filter(None, lines))


def headline(catalogue: Catalogue, verdicts: Sequence[Verdict]) -> str:
    """Return what public runs give for the headline's claim, and whether this suite has run it itself."""
    asked, verdict = catalogue.headline, headlined(catalogue, verdicts)
    if asked is None or verdict is None:
        return ""
    runs = catalogue.public_runs
    figure = runs.figure(verdict.claim.figures[""].partition(":")[2])
    low, high = figure.prediction_interval()
    holds = "yes" if low <= verdict.claim.reported_of("") <= high else "no"
    public = f"{figure.n} {runs.about}, which others published, give {figure.spread} (mean and standard deviation)"
    if verdict.outcome in (Outcome.NOT_RUN, Outcome.NOT_COMPARABLE):
        own = f"it is not known: this suite has not run that model ({asked.command} would run it)"
    else:
        own = f"this suite says: {verdict.label}, with {verdict.shown}"
    before = f"With transformers {version_span(runs)}, {holds}: {public}."
    return f"{asked.question} {before} With the versions pinned here, {own}."


def headlined(catalogue: Catalogue, verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the verdict of the headline's claim; None where the catalogue has no headline."""
    said = catalogue.headline and catalogue.headline.claim
    return next((v for v in verdicts if v.claim.id == said), None)


def answer_table(verdicts: Sequence[Verdict]) -> Table:
    """The answer in five rows, for the README: two sections counted, and one claim for each classifier."""
    rows = []
    for what, sections in ANSWER["counted"].items():
        members = [v for v in verdicts if v.claim.section in sections]
        counts = ", ".join(f"{n} {name}" for name, n in outcome_counts(members).items() if n)
        rows.append((what, f"{len(members)} statements", "", "", counts))
    for v in verdicts:
        if name := ANSWER["shown"].get(v.claim.id):
            ours = f"{v.shown} ({v.basis.partition(',')[0]})" if v.shown else ""
            rows.append((name, v.claim.shown, v.corroboration, ours, v.label))
    return Table(("what", "reported", "public reruns", "this suite", "verdict"), tuple(rows))


def outcome_counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Count the verdicts by outcome, in the fixed order of outcomes."""
    counts = Counter(v.outcome for v in verdicts)
    return {str(outcome): counts[outcome] for outcome in Outcome}
