"""Keep of a results folder what the report shows: `python -m benchmarks.condense results`.

Of each section, recipe and corpus the newest cohort of records stays; of the older ones the F1 and seconds of each
classifier become a row of history.csv, which the report puts before those of the records. Of the files of benchmarks
the newest measurement of each thing stays, all in one file. The commits in history.csv hold what was removed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from repro.benchfiles import Benchmark
from repro.claims.cohorts import cohorts_of
from repro.display import Table
from repro.records.durable import write_whole
from repro.records.store import json_files, read_record
from repro.report.tables import history

NOTED = ("group", "name", "fullname", "extra_info", "datetime")  # of a benchmark, besides rounds, machine and commit
MACHINE = ("accelerator", "driver", "threads", "libraries")


def condense_records(runs: Path, table: Path) -> list[Path]:
    """Move the records that the newest cohorts don't hold into the table; return the files that were removed."""
    files = {path: read_record(path) for path in json_files(runs)}
    cohorts = cohorts_of(sorted(files.values(), key=lambda record: record.provenance.started))
    newest = {(c.experiment, c.setup.recipe, c.setup.corpus): c for c in cohorts}
    older = [cohort for cohort in cohorts if cohort not in newest.values()]
    if not older:
        return []
    moved = [record for cohort in older for record in cohort.records]
    before = Table.from_csv(table.read_text(encoding="utf-8")) if table.exists() else Table((), ())
    rows = history(moved)
    write_whole(table, Table(rows.columns, tuple(sorted({*before.rows, *rows.rows}))).to_csv().encode())
    removed = [path for path, record in files.items() if record in moved]
    for path in removed:
        path.unlink()
    return removed


def condense_benchmarks(folder: Path) -> int:
    """Write the newest of each thing that was timed into one file and remove the others; return how many stay."""
    latest: dict[Any, dict[str, Any]] = {}
    paths = json_files(folder) if folder.is_dir() else []
    read = sorted((json.loads(path.read_bytes()) for path in paths), key=lambda file: str(file["datetime"]))
    for file in read:
        for entry in ({**file, "group": "", **_stated(entry)} for entry in file["benchmarks"]):
            identity = Benchmark.model_validate(entry).identity
            latest.pop(identity, None)  # what was measured together stays together
            latest[identity] = {
                **{name: entry[name] for name in NOTED},
                "stats": {"data": entry["stats"]["data"]},
                "machine_info": {name: entry["machine_info"].get(name) for name in MACHINE},
                "commit_info": {name: entry["commit_info"].get(name) for name in ("id", "dirty")},
            }
    if len(paths) > 1:
        entries = ",\n".join(map(json.dumps, latest.values()))
        moment = str(read[-1]["datetime"])
        content = f'{{"datetime": {json.dumps(moment)}, "benchmarks": [\n{entries}\n]}}\n'
        write_whole(folder / "benchmarks.json", content.encode())
        for path in paths:
            if path != folder / "benchmarks.json":
                path.unlink()
    return len(latest)


def _stated(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def condense(results: Annotated[Path, typer.Argument(exists=True, file_okay=False)]) -> None:
    """Move superseded records into history.csv, and all benchmarks into one file."""
    while removed := condense_records(results / "runs", results / "history.csv"):  # again for what they superseded
        typer.echo(f"{len(removed)} records moved into history.csv")
    typer.echo(f"{condense_benchmarks(results / 'benchmarks')} benchmarks in one file")


if __name__ == "__main__":
    typer.run(condense)
