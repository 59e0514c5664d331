"""The corpora: a folder, the Hub at a pinned revision, or the built-in rehearsal corpus; read, checked, fingerprinted.

A folder holds one of three layouts: `train.jsonl, validation.jsonl, test.jsonl` (the Hub's SetFit/emotion),
`train.txt, val.txt, test.txt` (the authors', `text;label name` a line), or a parquet file for each split.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.assets.hub import discard, fetch_snapshot
from repro.errors import CorpusError, HubError
from repro.records.schema import LABELS, CorpusStamp, SplitStamp

if TYPE_CHECKING:
    from datasets import DatasetDict

CHUNK = 10_000  # rows that are Python objects at once
Row = tuple[str, int]
SPLITS = ("train", "validation", "test")
HUB_CORPUS, HUB_REVISION = "SetFit/emotion", "bdc6920e3ff793779d956d3b56b158e84216dc1d"
LOCAL_WAYS = (
    "give a folder with --corpus DIR (train.jsonl, validation.jsonl, test.jsonl), "
    "or rehearse on the built-in sentences with --corpus rehearsal."
)
WAYS = f"Download it with --corpus hub, {LOCAL_WAYS}"
WITHOUT_HUB = f"Run where the Hub is reachable, {LOCAL_WAYS}"

# Saravia et al. 2018 (doi 10.18653/v1/D18-1404) in the authors' order, as SetFit/emotion holds it
EMOTION = CorpusStamp(
    name="emotion",
    splits={
        "train": SplitStamp(
            rows=16_000,
            labels=[4666, 5362, 1304, 2159, 1937, 572],
            content="a696533b52aa0144ed32eb26d4dd92b5e26d64e7a218897d7ed1d578409deb00",
            ordered="16dae19e6ef8ed6ea382a0678d8da296eb47f498dfc628af3db0b8b575b66a49",
        ),
        "validation": SplitStamp(
            rows=2_000,
            labels=[550, 704, 178, 275, 212, 81],
            content="2cb95ae47761c77ea2df0ab5d94ca65a6e2117ae9b74a9c0434fdeeb6d5493f6",
            ordered="5bc18c295c18d5e2dc62ca2d5531ecc4d8170ad5178547c21f9031ed88ac8ee3",
        ),
        "test": SplitStamp(
            rows=2_000,
            labels=[581, 695, 159, 275, 224, 66],
            content="9f0081d6782d6acf5e778af941b9e0112a392077a0476798a83cf8e91d87f3f9",
            ordered="926b0c6cae8f261ad7bfafde1fc560b92e62378e4b15ed8eb9ea1894d1d93db2",
        ),
    },
)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Three splits with the columns `text`, `label` (0 to 5) and `label_text`, and the stamp that identifies them."""

    splits: DatasetDict
    stamp: CorpusStamp

    def texts(self, split: str) -> Sequence[str]:
        """Return the split's texts in order, read from Arrow when they are asked for; a slice of them is a list."""
        texts: Sequence[str] = self.splits[split]["text"]
        return texts

    def labels(self, split: str) -> list[int]:
        """Return the split's label ids in order."""
        return list(self.splits[split]["label"][:])


def load_corpus(source: str, *, limit: int | None = None, expected: CorpusStamp = EMOTION) -> Corpus:
    """Load `rehearsal`, `hub` or a folder; the last two must be the emotion tweets to the letter.

    `limit` keeps the first rows of every split, after the check. Raises CorpusError with file and line for a bad
    row, and with split, expected and found for another corpus. The rows of a folder go into Arrow one by one.
    """
    with _opened(source, expected) as (name, rows):
        tables = {split: _to_table(each) for split, each in rows.items()}
        stamp = stamp_of(name, {split: _rows_of(table) for split, table in tables.items()})
        _refuse_other_rows(stamp, expected, source)
    if limit is not None:
        tables = {split: table.slice(0, limit) for split, table in tables.items()}
        stamp = stamp_of(name, {split: _rows_of(table) for split, table in tables.items()})
    from datasets import Dataset, DatasetDict
    from datasets.table import InMemoryTable

    splits = {  # known to the library by the fingerprint of their rows
        split: Dataset(InMemoryTable(table), fingerprint=stamp.splits[split].ordered[:16])
        for split, table in tables.items()
    }
    return Corpus(splits=DatasetDict(splits), stamp=stamp)


def read_rows(source: str, *, expected: CorpusStamp = EMOTION) -> tuple[str, dict[str, list[Row]]]:
    """Return name and rows of a corpus by split, checked like `load_corpus`; neither pyarrow nor datasets is needed."""
    with _opened(source, expected) as (name, opened):
        splits = {split: list(rows) for split, rows in opened.items()}
        _refuse_other_rows(stamp_of(name, splits), expected, source)
    return name, splits


@contextmanager
def _opened(source: str, expected: CorpusStamp) -> Iterator[tuple[str, Mapping[str, Iterable[Row]]]]:
    """Yield name and rows; what of the Hub's files is refused is fetched again the next time."""
    if source == "rehearsal":
        from repro.assets.builtin.rehearsal import rehearsal_rows

        yield "rehearsal", rehearsal_rows()
        return
    if source != "hub":
        yield expected.name, open_folder(Path(source))
        return
    try:
        folder, _ = fetch_snapshot(HUB_CORPUS, revision=HUB_REVISION, files=["*.jsonl"], kind="dataset")
    except HubError as error:
        raise CorpusError(f"{HUB_CORPUS} is not available ({error.what})", WITHOUT_HUB) from None
    try:
        yield expected.name, open_folder(folder)
    except CorpusError:
        for file in folder.glob("*.jsonl"):
            discard(file)
        raise


def _to_table(rows: Iterable[Row]) -> Any:
    """Return the rows as a pyarrow Table with the columns text, label and label_text, a chunk of them at a time."""
    import pyarrow as pa

    schema = pa.schema([("text", pa.string()), ("label", pa.int64()), ("label_text", pa.string())])
    chunks, waiting = [], iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        texts, labels = zip(*chunk, strict=True)
        columns = [list(texts), list(labels), [LABELS[label] for label in labels]]
        chunks.append(pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema))
    return pa.Table.from_batches(chunks, schema)


def _rows_of(table: Any) -> Iterator[Row]:
    for chunk in table.select(["text", "label"]).to_batches(max_chunksize=CHUNK):
        yield from zip(chunk["text"].to_pylist(), chunk["label"].to_pylist(), strict=True)


def stamp_of(name: str, splits: Mapping[str, Iterable[Row]]) -> CorpusStamp:
    """Count and fingerprint each split: SHA-256 over `text<TAB>label<NEWLINE>` lines, sorted and as they come."""
    stamps = {}
    for split, rows in splits.items():
        lines, labels = [], [0] * len(LABELS)
        for text, label in rows:
            lines.append(row_line(text, label).encode())  # bytes sort as their characters do
            labels[label] += 1
        ordered, content = (hashlib.sha256(b"".join(each)).hexdigest() for each in (lines, sorted(lines)))
        stamps[split] = SplitStamp(rows=len(lines), labels=labels, content=content, ordered=ordered)
    return CorpusStamp(name=name, splits=stamps)


def row_line(text: str, label: int) -> str:
    """Return a row as the line that fingerprints are taken of."""
    return f"{text}\t{label}\n"


def read_folder(folder: Path) -> dict[str, list[Row]]:
    """Read the three splits of a folder in whichever of the known layouts it holds."""
    return {split: list(rows) for split, rows in open_folder(folder).items()}


def open_folder(folder: Path) -> dict[str, Iterable[Row]]:
    """Find the three splits of a folder; their rows are read and checked one by one, when they are asked for."""
    if folder.is_file():
        raise CorpusError(f"{folder} is a file", f"Name its folder: --corpus {folder.parent}")
    if not folder.is_dir():
        near = "Did you mean rehearsal? " if get_close_matches(str(folder), ["rehearsal"]) else ""
        raise CorpusError(f"no corpus folder {folder}", near + WAYS)
    for suffix, read, names in ((".jsonl", _read_jsonl, SPLITS), (".txt", _read_authors, ("train", "val", "test"))):
        files = {split: folder / f"{name}{suffix}" for split, name in zip(SPLITS, names, strict=True)}
        if any(file.exists() for file in files.values()):
            return {split: _not_empty(file, read(file)) for split, file in files.items()}
    shards = {split: sorted(folder.glob(f"**/{split}*.parquet")) for split in SPLITS}
    if any(shards.values()):
        return {split: _read_parquet(folder, split, files) for split, files in shards.items()}
    raise CorpusError(f"the folder {folder} holds no corpus: no train.jsonl, train.txt or train*.parquet", WAYS)


def _read_jsonl(file: Path) -> Iterable[Row]:
    for number, line in _lines(file):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise _bad(file, number, "not valid JSON") from None
        if not isinstance(row, dict) or not {"text", "label"} <= row.keys():
            raise _bad(file, number, "expected an object with the fields text and label")
        yield _checked(file, number, row)


def _read_authors(file: Path) -> Iterable[Row]:
    for number, line in _lines(file):
        text, separator, name = line.rpartition(";")
        if not separator or name not in LABELS:
            raise _bad(file, number, f"expected `text;label` with a label of {', '.join(LABELS)}")
        yield _checked(file, number, {"text": text, "label": LABELS.index(name)})


def _read_parquet(folder: Path, split: str, files: list[Path]) -> Iterable[Row]:
    if not files:
        raise CorpusError(f"{folder} has no {split}*.parquet", WAYS)
    import pyarrow
    from pyarrow import parquet

    for file in files:
        try:
            with parquet.ParquetFile(file) as opened:
                names = opened.schema_arrow.names
                if [names.count("text"), names.count("label")] != [1, 1] or names.count("label_text") > 1:
                    raise CorpusError(f"{file}: expected the columns text and label, each once", WAYS)
                batches = opened.iter_batches(CHUNK, columns=["text", "label", "label_text"])
                rows = enumerate((row for batch in batches for row in batch.to_pylist()), 1)
                yield from _not_empty(file, (_checked(file, number, row) for number, row in rows))
        except (OSError, pyarrow.ArrowException) as error:
            first = str(error).splitlines()[0]
            raise CorpusError(f"{file} cannot be read as parquet: {first}", "Download the file again.") from None


def _lines(file: Path) -> Iterable[tuple[int, str]]:
    try:
        # only the newline ends a row: a tweet may hold other characters that str.splitlines would break at
        with file.open(encoding="utf-8-sig") as opened:
            for number, line in enumerate(opened, 1):
                yield number, line.removesuffix("\n")
    except FileNotFoundError:
        raise CorpusError(f"{file} is missing", WAYS) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{file} cannot be read as UTF-8 text: {error}", "Download the file again.") from None


def _checked(file: Path, number: int, row: dict[str, Any]) -> Row:
    """Return text and label; CorpusError says what is wrong with them, and never what stands there."""
    text, label, label_text = row["text"], row["label"], row.get("label_text")
    if not isinstance(text, str) or not text.strip():
        raise _bad(file, number, "the text is empty, or is no text")
    if type(label) is not int or not 0 <= label < len(LABELS):
        raise _bad(file, number, f"the label is no whole number from 0 to {len(LABELS) - 1}")
    if label_text is not None and label_text != LABELS[label]:
        raise _bad(file, number, f"label_text is not {LABELS[label]!r}, which label {label} stands for")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise _bad(file, number, "the text holds half a surrogate pair, which is no character")
    return text, label


def _not_empty(file: Path, rows: Iterable[Row]) -> Iterable[Row]:
    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 (counted for after the loop)
        yield row
    if not number:
        raise CorpusError(f"{file} is empty", "Download the file again.")


def _bad(file: Path, number: int, problem: str) -> CorpusError:
    return CorpusError(
        f"{file}, line {number}: {problem}", "Fix that line or download the file again; nothing was run."
    )


def _refuse_other_rows(found: CorpusStamp, expected: CorpusStamp, source: str) -> None:
    for split, want in expected.splits.items() if source != "rehearsal" else ():
        have = found.splits[split]
        for what, wanted, seen in (
            ("rows", want.rows, have.rows),
            ("rows a label", want.labels, have.labels),
            ("content fingerprint", want.content[:12], have.content[:12]),
            ("order of rows, fingerprint", want.ordered[:12], have.ordered[:12]),
        ):
            if wanted != seen:
                name = HUB_CORPUS if source == "hub" else source
                raise CorpusError(
                    f"{name} is not the emotion corpus as published. {split}: {what} expected {wanted}, found {seen}",
                    f"Download the files again. {WAYS}",
                )
