"""The corpora: a folder, the Hub at a pinned revision, or the built-in rehearsal corpus; read, checked, fingerprinted.

A folder holds one of three layouts: `train.jsonl, validation.jsonl, test.jsonl` (the Hub's SetFit/emotion),
`train.txt, val.txt, test.txt` (the authors', `text;label name` a line), or a parquet file for each split.

`rehearsal/` holds 600, 150 and 150 lower-case, tweet-like sentences in the class proportions of the real corpus, which
a grammar made once. Most name two feelings: one that is over, denied or merely expected, which is never the label, and
the present one, which is. An encoder read without training mixes both; a trained one can learn which counts. A tenth
name no clear present feeling, so that no classifier reaches every label.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.assets.hub import discard, fetch_snapshot
from repro.assets.recipes import PINS
from repro.errors import CorpusError, HubError
from repro.records.schema import LABELS, CorpusStamp, SplitStamp

if TYPE_CHECKING:
    from datasets import DatasetDict

Row = tuple[str, int]
SPLITS = ("train", "validation", "test")
FINGERPRINTS = {"rows": "rows", "labels": "rows a label", "content": "content", "ordered": "order of rows"}  # in words
EMOTION = CorpusStamp(name="emotion", **PINS["emotion"])
REHEARSAL = Path(__file__).parent / "rehearsal"
HUB_CORPUS, HUB_REVISION = "SetFit/emotion", "bdc6920e3ff793779d956d3b56b158e84216dc1d"
LOCAL_WAYS = (
    "give a folder with --corpus DIR (train.jsonl, validation.jsonl, test.jsonl), "
    "or rehearse on the built-in sentences with --corpus rehearsal."
)
WAYS = f"Download it with --corpus hub, {LOCAL_WAYS}"


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

    `limit` takes the first rows of each split after that check. Raises CorpusError, which names file and line.
    """
    import pyarrow as pa
    from datasets import Dataset, DatasetDict
    from datasets.table import InMemoryTable

    stamp, rows = read_rows(source, expected=expected)
    if limit is not None:
        rows = {split: each[:limit] for split, each in rows.items()}
        stamp = stamp_of(stamp.name, rows)
    schema = pa.schema([("text", pa.string()), ("label", pa.int64()), ("label_text", pa.string())])
    splits = {}
    for split, each in rows.items():
        columns = ([text for text, _ in each], [label for _, label in each], [LABELS[label] for _, label in each])
        table = InMemoryTable(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))
        # known to the library by the fingerprint of its rows
        splits[split] = Dataset(table, fingerprint=stamp.splits[split].ordered[:16])
    return Corpus(splits=DatasetDict(splits), stamp=stamp)


def read_rows(source: str, *, expected: CorpusStamp = EMOTION) -> tuple[CorpusStamp, dict[str, list[Row]]]:
    """Return a corpus's stamp and its rows by split, checked like `load_corpus`, without pyarrow and datasets.

    What of the Hub's files is refused is fetched again the next time.
    """
    if source == "rehearsal":
        rows = read_folder(REHEARSAL)
        return stamp_of(source, rows), rows
    try:
        folder = Path(source)
        if source == "hub":
            folder, _ = fetch_snapshot(HUB_CORPUS, revision=HUB_REVISION, files=["*.jsonl"], kind="dataset")
        rows = read_folder(folder)
        stamp = stamp_of(expected.name, rows)
        _refuse_other_rows(stamp, expected, HUB_CORPUS if source == "hub" else source)
        return stamp, rows
    except HubError as error:
        ways = f"Run where the Hub is reachable, {LOCAL_WAYS}"
        raise CorpusError(f"{HUB_CORPUS} is not available ({error.what})", ways) from None
    except CorpusError:
        for file in folder.glob("*.jsonl") if source == "hub" else ():
            discard(file)
        raise


def stamp_of(name: str, splits: Mapping[str, Iterable[Row]]) -> CorpusStamp:
    """Count and fingerprint each split: SHA-256 over `text<TAB>label<NEWLINE>` lines, sorted and as they come.

    The lines are held once, to be sorted: about 60 bytes a row beside its text.
    """
    stamps = {}
    for split, rows in splits.items():
        ordered, content, lines, labels = hashlib.sha256(), hashlib.sha256(), [], [0] * len(LABELS)
        for text, label in rows:
            lines.append(row_line(text, label).encode())
            ordered.update(lines[-1])
            labels[label] += 1
        lines.sort()  # bytes sort as their characters do
        for line in lines:
            content.update(line)
        stamps[split] = SplitStamp(
            rows=len(lines), labels=labels, content=content.hexdigest(), ordered=ordered.hexdigest()
        )
    return CorpusStamp(name=name, splits=stamps)


def row_line(text: str, label: int) -> str:
    """Return a row as the line that fingerprints are taken of."""
    return f"{text}\t{label}\n"


def read_folder(folder: Path) -> dict[str, list[Row]]:
    """Read the three splits of a folder in whichever of the known layouts it holds."""
    if folder.is_file():
        raise CorpusError(f"{folder} is a file", f"Name its folder: --corpus {folder.parent}")
    if not folder.is_dir():
        near = "Did you mean rehearsal? " if get_close_matches(str(folder), ["rehearsal"]) else ""
        raise CorpusError(f"no corpus folder {folder}", near + WAYS)
    for suffix, parse, names in LAYOUTS:
        files = {split: folder / f"{name}{suffix}" for split, name in zip(SPLITS, names, strict=True)}
        if any(file.exists() for file in files.values()):
            return {split: list(_checked(file, _lines(file), parse)) for split, file in files.items()}
    shards = {split: sorted(folder.glob(f"**/{split}*.parquet")) or [folder / f"{split}.parquet"] for split in SPLITS}
    if not any(files[0].exists() for files in shards.values()):
        raise CorpusError(f"the folder {folder} holds no corpus: no train.jsonl, train.txt or train*.parquet", WAYS)
    return {
        split: [row for file in files for row in _checked(file, _parquet_rows(file), dict)]
        for split, files in shards.items()
    }


def _checked(file: Path, parts: Iterable[Any], parse: Callable[[Any], dict[str, Any]]) -> Iterator[Row]:
    """Yield a file's rows; CorpusError names file and line and says what is wrong, never what stands there."""
    number = 0
    for number, part in enumerate(parts, 1):
        try:
            row = parse(part)
            text, label, label_text = row["text"], row["label"], row.get("label_text")
            if not isinstance(text, str) or not text.strip():
                raise ValueError("the text is empty, or is no text")
            if type(label) is not int or not 0 <= label < len(LABELS):
                raise ValueError(f"the label is no whole number from 0 to {len(LABELS) - 1}")
            if label_text is not None and label_text != LABELS[label]:
                raise ValueError(f"label_text is not {LABELS[label]!r}, which label {label} stands for")
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError("the text holds half a surrogate pair, which is no character")
        except ValueError as error:
            remedy = "Fix that line or download the file again; nothing was run."
            raise CorpusError(f"{file}, line {number}: {error}", remedy) from None
        yield text, label
    if not number:
        raise CorpusError(f"{file} is empty", "Download the file again.")


def _from_json(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("not valid JSON") from None
    if not isinstance(row, dict) or not {"text", "label"} <= row.keys():
        raise ValueError("expected an object with the fields text and label")
    return row


def _from_authors(line: str) -> dict[str, Any]:
    text, separator, name = line.rpartition(";")
    if not separator or name not in LABELS:
        raise ValueError(f"expected `text;label` with a label of {', '.join(LABELS)}")
    return {"text": text, "label": LABELS.index(name)}


LAYOUTS: Sequence[tuple[str, Callable[[str], dict[str, Any]], Sequence[str]]] = (
    (".jsonl", _from_json, SPLITS),
    (".txt", _from_authors, ("train", "val", "test")),
)


def _lines(file: Path) -> Iterator[str]:
    try:
        # only the newline ends a row: a tweet may hold other characters that str.splitlines would break at
        with file.open(encoding="utf-8-sig") as opened:
            for line in opened:
                yield line.removesuffix("\n")
    except FileNotFoundError:
        raise CorpusError(f"{file} is missing", WAYS) from None
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{file} cannot be read as UTF-8 text: {error}", "Download the file again.") from None


def _parquet_rows(file: Path) -> Iterator[dict[str, Any]]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as opened:
            names = opened.schema_arrow.names
            if [names.count("text"), names.count("label")] != [1, 1] or names.count("label_text") > 1:
                raise CorpusError(f"{file}: expected the columns text and label, each once", WAYS)
            for batch in opened.iter_batches(columns=["text", "label", "label_text"]):
                yield from batch.to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        first = str(error).splitlines()[0]
        raise CorpusError(f"{file} cannot be read as parquet: {first}", "Download the file again.") from None


def _refuse_other_rows(stamp: CorpusStamp, expected: CorpusStamp, name: str) -> None:
    for split, wanted in expected.splits.items():
        for field, words in FINGERPRINTS.items():
            want, have = getattr(wanted, field), getattr(stamp.splits[split], field)
            if want != have:
                difference = f"{words} expected {str(want)[:40]}, found {str(have)[:40]}"
                raise CorpusError(
                    f"{name} is not the emotion corpus as published. {split}: {difference}",
                    f"Download the files again. {WAYS}",
                )
