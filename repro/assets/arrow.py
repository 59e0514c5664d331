"""Rows in Arrow tables: millions of them fit into memory there, and are read again a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from repro.records.record import LABELS, CorpusStamp

if TYPE_CHECKING:
    from datasets import DatasetDict

CHUNK = 10_000  # rows that are Python objects at once
Row = tuple[str, int]


def to_table(rows: Iterable[Row]) -> Any:
    """Return the rows as a pyarrow Table with the columns text, label and label_text, a chunk of them at a time."""
    import pyarrow as pa

    schema = pa.schema([("text", pa.string()), ("label", pa.int64()), ("label_text", pa.string())])
    chunks, waiting = [], iter(rows)
    while chunk := list(islice(waiting, CHUNK)):
        texts, labels = zip(*chunk, strict=True)
        columns = [list(texts), list(labels), [LABELS[label] for label in labels]]
        chunks.append(pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema))
    return pa.Table.from_batches(chunks, schema)


def rows_of(table: Any) -> Iterator[Row]:
    """Give the rows of such a table again."""
    for chunk in table.select(["text", "label"]).to_batches(max_chunksize=CHUNK):
        yield from zip(chunk["text"].to_pylist(), chunk["label"].to_pylist(), strict=True)


def to_datasets(tables: Mapping[str, Any], stamp: CorpusStamp) -> DatasetDict:
    """Return the tables as datasets, known to the library by the fingerprint of their rows."""
    from datasets import Dataset, DatasetDict
    from datasets.table import InMemoryTable

    return DatasetDict(
        {
            split: Dataset(InMemoryTable(table), fingerprint=stamp.splits[split].ordered[:16])
            for split, table in tables.items()
        }
    )
