"""The folder of records: append-only, each file sealed, written whole or not at all, and never overwritten."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, mkdtemp
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from repro.errors import RecordError, ResultsError
from repro.records.durable import make_folder, sealed, unsealed, write_whole
from repro.records.schema import SCHEMA_VERSION, RunRecord

Model = TypeVar("Model", bound=BaseModel)


def inside(results: Path, path: Path) -> Path:
    """Return the path, which must lie in the results folder; ResultsError where a link leads out of it."""
    if not path.resolve().is_relative_to(results.resolve()):
        raise ResultsError(
            f"{path} leads out of the results folder {results}",
            "Replace the link by a folder; nothing was written there.",
        )
    return path


def prepare_results(results: Path) -> None:
    """Make the results folder and prove that a record can be written there, before anything is measured."""
    try:
        make_folder(inside(results, results / "runs"))
        with NamedTemporaryFile(dir=results / "runs"):
            pass
    except OSError as error:
        raise ResultsError(
            f"cannot write to the results folder {results}: {error.strerror or error}",
            "Name a folder you may write to with --results or REPRO_RESULTS; nothing was run.",
        ) from None


def write_record(record: RunRecord, results: Path) -> Path:
    """Write the record below `results/runs` durably, without overwriting, and return its path.

    ResultsError where the disk refuses it.
    """
    # one line for each list of plain numbers: 2,000 predictions read, diff and pack better that way
    # (no string of JSON holds a raw newline, so none is touched)
    numbers, text = r"\[\n[\s\d.,eE+-]*\]", record.model_dump_json(indent=1)
    text = re.sub(numbers, lambda match: re.sub(r"\s+", "", match.group()), text)
    folder = inside(results, results / "runs" / record.folder)
    path = folder / f"{name_of(record)}-{secrets.token_hex(4)}.json"
    try:
        return write_whole(path, sealed(text).encode())
    except OSError as error:
        raise ResultsError(
            f"cannot write the record {path}: {error.strerror or error}",
            "Free space or choose another --results folder; records already written are untouched.",
        ) from None


def name_of(record: RunRecord) -> str:
    """Return how the name of a record's file begins; what follows keeps it from being another's."""
    return re.sub("[-:]", "", record.provenance.started) + f"-seed{record.settings.seed}"


def keep_record(record: RunRecord, results: Path) -> Path:
    """Write the record; ResultsError where the folder refuses it says where among the temporary files it is kept."""
    try:
        return write_record(record, results)
    except ResultsError as error:
        with suppress(ResultsError, OSError):
            error.what += f"; it is kept as {write_record(record, Path(mkdtemp(prefix='seminar-repro-record-')))}"
            kept_for = results / "runs" / record.folder
            error.remedy = f"Free space, then move it to {kept_for}, or start the same command again."
        raise


def read_record(path: Path) -> RunRecord:
    """Read and check one record; RecordError names the file and the first thing that is wrong with it."""
    remedy = "Move the file out of the folder, or restore it; no other file was touched."
    what = f"valid record (schema {SCHEMA_VERSION})"
    record = read_json(path, RunRecord, what, remedy, lambda path: unsealed(path.read_bytes()))
    for name, scores in record.scores.items():
        if others := scores.differing():
            raise RecordError(
                f"{path}: scores.{name}: the {others[0]} is not that of the confusion matrix beside it",
                "Restore the file or run the section again; a score is what its matrix gives to 1e-6.",
            )
    return record


def read_json(
    path: Path, kind: type[Model], what: str, remedy: str, content: Callable[[Path], bytes] = Path.read_bytes
) -> Model:
    """Read and validate a file; RecordError names the file and the first thing that is wrong with it."""
    try:
        return kind.model_validate_json(content(path))
    except OSError as error:
        problem = error.strerror or str(error)
    except RecordError as error:
        problem = error.what
    except ValidationError as error:
        details = error.errors()
        of_schema = [detail for detail in details if detail["loc"] == ("schema_version",)]
        first = [*of_schema, *details][0]
        if of_schema:
            remedy = "Use the version of the suite that wrote it; no other file was touched."
        problem = ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    raise RecordError(f"{path} is no {what}: {problem}", remedy)


def json_files(folder: Path) -> list[Path]:
    """Return every JSON file below a folder; RecordError where a part of it cannot be read."""

    def refuse(error: OSError) -> None:
        remedy = "Make it readable, or move it out: unread, it would count as not run."
        raise RecordError(f"cannot read {error.filename}: {error.strerror}", remedy) from None

    paths = (Path(parent, name) for parent, _, names in os.walk(folder, onerror=refuse) for name in names)
    return sorted(path for path in paths if path.suffix == ".json")


def read_records(results: Path) -> list[RunRecord]:
    """Read every record below `results/runs`, oldest first; a results folder without the `runs` folder is an error."""
    runs = results / "runs"
    if not runs.is_dir():
        raise ResultsError(
            f"{results} holds no records (no folder {runs})",
            "Run something first: python -m repro run --results " + str(results),
        )
    records = [read_record(path) for path in json_files(runs)]
    return sorted(records, key=lambda record: record.provenance.started)


def find_finished(results: Path, folder: Path, key: str) -> Path | None:
    """Return the newest complete record of this key in a record's folder, None where there is none.

    One that cannot be read, or whose section lacked an asset for a part of it, is not complete.
    """
    for path in sorted((results / "runs" / folder).glob("*.json"), reverse=True):
        with suppress(RecordError):  # `verify` refuses it by name
            record = read_record(path)
            if record.run_key == key and not record.facts.get("not_run"):
                return path
    return None


def newest_runs(records: Sequence[RunRecord], section: str) -> list[RunRecord]:
    """Return the newest record of each setup and seed of a section, in the order of the first of each."""
    return list({record.spec: record for record in records if record.experiment == section}.values())
