"""Records and verdicts as tables: rows of text once, written as CSV for programs and Markdown for people."""

from __future__ import annotations

from collections.abc import Sequence

from repro.claims.claim import Outcome
from repro.claims.judge import Verdict
from repro.display.table import Table
from repro.records.schema import RunRecord

SIGNS = {
    Outcome.REPRODUCED: "✓",
    Outcome.BY_CONSTRUCTION: "≡",
    Outcome.STAND_IN: "≈",
    Outcome.MATCHES: "=",
    Outcome.DEVIATES: "✗",
    Outcome.KNOWN: "!",
    Outcome.NO_LONGER: "†",
    Outcome.INCONCLUSIVE: "?",
    Outcome.INFORMATION: "i",
    Outcome.NOT_COMPARABLE: "≠",
    Outcome.NOT_RUN: "·",
}


EXPLAINED = (Outcome.DEVIATES, Outcome.KNOWN, Outcome.NO_LONGER, Outcome.INCONCLUSIVE)  # with the reason beside


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """One row a claim."""
    return Table(
        ("claim", "version", "what", "reported", "measured", "verdict", "why", "public runs", "measured on", "source"),
        tuple(
            (v.claim.id, str(v.claim.version), v.claim.text, v.claim.shown, v.shown, f"{SIGNS[v.outcome]} {v.label}",
             v.why, v.corroboration, v.basis, v.claim.source)
            for v in verdicts
        ),
    )  # fmt: skip


def answer_table(verdicts: Sequence[Verdict]) -> Table:
    """The answer in five rows, for the README: two sections counted, and one claim for each classifier."""
    rows = [
        _counted("corpus and tokenizer", [v for v in verdicts if v.claim.section in ("Dataset", "Tokenizer")]),
        _counted("calls of the libraries", [v for v in verdicts if v.claim.section == "Libraries"]),
    ]
    shown = {"dummy.accuracy": "dummy", "linear.accuracy": "linear on frozen states", "finetune.f1": "fine-tuned"}
    for v in verdicts:
        if v.claim.id in shown:
            ours = f"{v.shown} ({v.basis})" if v.shown else ""
            rows.append((shown[v.claim.id], v.claim.shown, v.corroboration, ours, f"{SIGNS[v.outcome]} {v.label}"))
    return Table(("what", "reported", "public reruns", "ours", "verdict"), tuple(rows))


def _counted(what: str, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    counts = {outcome: sum(v.outcome is outcome for v in verdicts) for outcome in Outcome}
    return (
        what,
        f"{len(verdicts)} claims",
        "",
        "",
        ", ".join(f"{SIGNS[outcome]} {count} {outcome}" for outcome, count in counts.items() if count),
    )


def score_table(records: Sequence[RunRecord]) -> Table:
    """One row a classifier, split and run; intervals are 95 % over the n rows."""
    return Table(
        ("corpus", "recipe", "experiment", "scored", "seed", "protocol", "precision", "batching", "n",
         "accuracy", "95 % interval", "weighted F1", "95 % interval of F1", "macro F1", "loss", "started", "commit"),
        tuple(
            (
                r.corpus.name, r.recipe.name, r.experiment, name, str(r.settings.seed), r.settings.protocol,
                r.settings.precision, r.settings.batching, str(s.n), f"{s.accuracy:.4f}",
                _interval(s.accuracy_interval), f"{s.weighted_f1:.4f}", _interval(s.weighted_f1_interval),
                f"{s.macro_f1:.4f}", "" if s.loss is None else f"{s.loss:.4f}", r.provenance.started, _commit(r),
            )
            for r in records
            for name, s in r.scores.items()
        ),
    )  # fmt: skip


def timing_table(records: Sequence[RunRecord]) -> Table:
    """One row a run and phase; evaluation and test scoring stand apart from training."""
    return Table(
        ("corpus", "recipe", "experiment", "seed", "precision", "batching", "phase", "seconds", "peak MiB", "on",
         "started", "commit"),
        tuple(
            (
                r.corpus.name, r.recipe.name, r.experiment, str(r.settings.seed), r.settings.precision,
                r.settings.batching, phase, f"{seconds:.3f}", f"{r.peak_mib:.0f}",
                r.provenance.accelerator or f"{r.provenance.processor}, {r.provenance.threads} threads",
                r.provenance.started, _commit(r),
            )
            for r in records
            for phase, seconds in r.seconds.items()
        ),
    )  # fmt: skip


def environment_table(records: Sequence[RunRecord]) -> Table:
    """One row a fact that the records' machines and libraries have, with every value that occurs."""
    facts: dict[str, dict[str, None]] = {}
    for r in records:
        p = r.provenance
        values = {
            "suite": p.suite,
            "commit": _commit(r),
            "Python": p.python,
            **p.versions,
            "system": p.system,
            "processor": f"{p.processor}, {p.cores} cores, {p.threads} threads",
            "accelerator": f"{p.accelerator} ({p.driver})" if p.accelerator else "none",
            "started": p.started[:10],
        }
        for name, value in values.items():
            facts.setdefault(name, {})[value] = None
    return Table(("what", "value"), tuple((name, "; ".join(values)) for name, values in facts.items()))


def outcome_counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Count the verdicts by outcome, in the fixed order of outcomes."""
    return {str(outcome): sum(v.outcome is outcome for v in verdicts) for outcome in Outcome}


def _commit(record: RunRecord) -> str:
    p = record.provenance
    return "unknown" if p.commit is None else p.commit[:12] + (" with changes" if p.dirty else "")


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.4f}–{bounds[1]:.4f}"
