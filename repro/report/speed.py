"""What the benchmarks show, as tables: speed beside the Trainer, growth, and whether it is the same training."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, median

from repro.benchfiles import Benchmark
from repro.display.table import Table
from repro.report.processes import load_table, process_table
from repro.report.timings import commit_of, heading

OURS = ("packed-fp32", "packed-bf16")  # the variants that others are compared with


def speed_tables(timings: Sequence[Benchmark]) -> dict[str, Table]:
    """Return the tables by file name; one without rows is left out."""
    by_name = {
        "speed": _speed_table([t for t in timings if t.facts.get("unit") in ("step", "pass")]),
        "growth": _growth_table([t for t in timings if t.group.startswith("growth")]),
        "sameness": _sameness_table([t for t in timings if t.facts.keys() & {"equal_parameters", "gradients"}]),
        "processes": process_table(timings),
        "load": load_table(timings),
    }
    return {name: table for name, table in by_name.items() if table.rows}


def _speed_table(timings: Sequence[Benchmark]) -> Table:
    """One row a variant: medians over interleaved rounds, how often ours fits into it, and its share of the peak."""
    rows = []
    for group in dict.fromkeys(map(heading, timings)):
        run = [t for t in timings if heading(t) == group]
        ours = [next((t for t in run if _variant(t) == name), None) for name in OURS]
        for t in run:
            ratios = [f"{t.median / o.median:.2f}" if o else "" for o in ours]
            overall = [f"{_cost(t) / _cost(o):.2f}" if o else "" for o in ours]
            rows.append(
                (
                    group, _variant(t), str(len(t.rounds)), f"{t.median:.3f}",
                    f"{min(t.rounds):.3f}–{max(t.rounds):.3f}",
                    *ratios, *overall, _per_second(t), _share(t), _peak(t), commit_of(t),
                )
            )  # fmt: skip
    return Table(
        ("what", "variant", "rounds", "median s", "shortest–longest", "÷ packed fp32", "÷ packed bf16",
         "overall ÷ packed fp32", "overall ÷ packed bf16", "tweets/s", "share of peak", "peak MiB", "commit"),
        tuple(rows),
    )  # fmt: skip


def _growth_table(timings: Sequence[Benchmark]) -> Table:
    ordered = sorted(timings, key=lambda t: (heading(t), t.number("size") or 0))
    return Table(
        ("growth with", "size", "rounds", "median s", "ms a tweet", "peak MiB", "commit"),
        tuple(
            (
                heading(t).removeprefix("growth with "), f"{t.number('size') or 0:.0f}", str(len(t.rounds)),
                f"{t.median:.3f}",
                f"{1000 * t.median / (t.number('tweets') or 1):.3f}", _peak(t), commit_of(t),
            )
            for t in ordered
        ),
    )  # fmt: skip


def _sameness_table(timings: Sequence[Benchmark]) -> Table:
    rows = []
    for t in timings:
        f = t.facts
        if "steps" in f:
            what = f"{f['steps']} steps of {f['architecture']}, batch {f['batch']}, padded, fp32, dropout on"
            same = (
                f"parameters bit for bit: {_yes(f['equal_parameters'])}; rows in the same order: {_yes(f['same_rows'])}"
            )
            difference = f"parameters {f['parameters']}, losses {f['losses']}, learning rates {f['learning_rates']}"
            rows.append(("ours beside transformers' Trainer", what, same, difference, commit_of(t)))
        else:
            what = f"{f['texts']} texts through {f['architecture']}, {f['kind']}, fp32, dropout off"
            difference = f"logits {_exponent(f['logits'])}, gradients {_exponent(f['gradients'])} (relative)"
            rows.append(("packed beside padded batches", what, "within 1e-5 and 1e-4", difference, commit_of(t)))
    return Table(("what", "on", "same", "largest difference", "commit"), tuple(rows))


def _variant(timing: Benchmark) -> str:
    named = timing.facts.get("variant")  # else it stands in the name: test_step[notebook-packed-fp32]
    return str(named) if named else timing.name.partition("[")[2].rstrip("]").split("-", 1)[-1]


def _per_second(timing: Benchmark) -> str:
    tweets = timing.number("tweets")
    return f"{tweets / timing.median:,.1f}" if tweets else ""


def _cost(timing: Benchmark) -> float:
    """Return the mean of its seconds, over that of its useful arithmetic where it tells it: the batches may differ."""
    return timing.mean / mean(timing.series("useful_flop") or [1.0])


def _share(timing: Benchmark) -> str:
    """Return the useful arithmetic's share of the machine's multiplication speed, that of its fastest round."""
    flop, seconds = timing.series("useful_flop"), timing.series("calibration_seconds")
    size = timing.number("calibration_flop")
    if not flop or not seconds or not size:
        return ""
    reached = median(f / s for f, s in zip(flop, timing.rounds, strict=True))
    return f"{reached / (size / min(seconds)):.2f}"


def _peak(timing: Benchmark) -> str:
    peaks = timing.series("peak_mib")
    return f"{max(peaks):.0f}" if peaks else ""


def _exponent(value: object) -> str:
    return f"{value:.1e}" if isinstance(value, float) else str(value)


def _yes(value: object) -> str:
    return "yes" if value is True else "no"
