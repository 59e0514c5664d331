"""Several processes beside one, and large corpora and folders, as tables from the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from repro.benchfiles import Benchmark
from repro.display.table import Table
from repro.report.timings import commit_of, heading


def process_table(timings: Sequence[Benchmark]) -> Table:
    """One row a training and number of processes, beside one process; then how those with a killed one ended."""
    trained = [t for t in timings if "predictions_differing" in t.facts]
    alone = {t.facts["case"]: min(t.rounds) for t in trained if t.facts["processes"] == 1}
    rows = []
    for t in trained:
        f = t.facts
        base = alone.get(f["case"])
        rows.append(
            (
                str(f["case"]), _where(t), str(f["threads"]), f"{f['losses_difference']:.1e}",
                f"{f['row_losses_difference']:.1e}", f"{f['predictions_differing']} of {f['predictions']}",
                f"{(t.number('rows') or 0) / min(t.rounds):,.1f}", f"{base / min(t.rounds):.2f}" if base else "",
                commit_of(t),
            )
        )  # fmt: skip
    for t in (t for t in timings if t.facts.get("killed") is True):
        codes = t.facts["exit_codes"]
        shown = " and ".join(map(str, codes)) if isinstance(codes, list) else str(codes)
        what = f"one process killed before step {t.facts['step']}: ended after {t.median:.1f} s, exit code {shown}"
        rows.append((what, _where(t), "", "", "", "", "", "", commit_of(t)))
    return Table(
        ("training", "processes", "threads each", "losses differ by", "rows' losses differ by",
         "predictions that differ", "tweets/s", "of one process", "commit"),
        tuple(rows),
    )  # fmt: skip


def load_table(timings: Sequence[Benchmark]) -> Table:
    """One row a stage of a large corpus or folder: size, seconds and the most memory."""
    return Table(
        ("what", "size", "seconds", "a second", "peak MiB", "commit"),
        tuple(
            (
                str(t.facts["what"]), f"{(t.number('size') or 0):,.0f}", f"{t.median:.2f}",
                f"{(t.number('size') or 0) / t.median:,.0f}", f"{max(t.series('peak_mib'), default=0):.0f}",
                commit_of(t),
            )
            for t in timings
            if heading(t).startswith("load")
        ),
    )  # fmt: skip


def _where(timing: Benchmark) -> str:
    machines, between = timing.facts["machines"], timing.facts["between"]
    return str(timing.facts["processes"]) + (f" on {machines} machines ({between})" if machines != 1 else "")
