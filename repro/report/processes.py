"""Several processes beside one, and large corpora and folders, as tables from the benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from repro.display.table import Table
from repro.report.timings import Timing


def process_table(timings: Sequence[Timing]) -> Table:
    """One row a training and number of processes, beside one process; then how those with a killed one ended."""
    trained = [t for t in timings if "predictions_differing" in t.facts]
    alone = {t.facts["case"]: t.shortest for t in trained if t.facts["processes"] == 1}
    rows = []
    for t in trained:
        f = t.facts
        base = alone.get(f["case"])
        rows.append(
            (
                str(f["case"]), _where(t), str(f["threads"]), f"{f['losses_difference']:.1e}",
                f"{f['row_losses_difference']:.1e}", f"{f['predictions_differing']} of {f['predictions']}",
                f"{_number(f['rows']) / t.shortest:,.1f}", f"{base / t.shortest:.2f}" if base else "", t.commit,
            )
        )  # fmt: skip
    for t in (t for t in timings if t.facts.get("killed") is True):
        codes = t.facts["exit_codes"]
        shown = " and ".join(map(str, codes)) if isinstance(codes, list) else str(codes)
        what = f"one process killed before step {t.facts['step']}: ended after {t.median:.1f} s, exit code {shown}"
        rows.append((what, _where(t), "", "", "", "", "", "", t.commit))
    return Table(
        ("training", "processes", "threads each", "losses differ by", "rows' losses differ by",
         "predictions that differ", "tweets/s", "of one process", "commit"),
        tuple(rows),
    )  # fmt: skip


def load_table(timings: Sequence[Timing]) -> Table:
    """One row a stage of a large corpus or folder: size, seconds and the most memory."""
    found = [t for t in timings if t.group.startswith("load")]
    return Table(
        ("what", "size", "seconds", "a second", "peak MiB", "commit"),
        tuple(
            (
                str(t.facts["what"]), f"{_number(t.facts['size']):,.0f}", f"{t.median:.2f}",
                f"{_number(t.facts['size']) / t.median:,.0f}", f"{max(t.series('peak_mib'), default=0):.0f}", t.commit,
            )
            for t in found
        ),
    )  # fmt: skip


def _where(timing: Timing) -> str:
    machines, between = timing.facts["machines"], timing.facts["between"]
    return str(timing.facts["processes"]) + (f" on {machines} machines ({between})" if machines != 1 else "")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
