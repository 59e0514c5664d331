"""Corpora: every layout gives the same rows, and nothing damaged or different passes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from repro.assets.builtin.rehearsal import rehearsal_rows
from repro.assets.corpus import SPLITS, Row, load_corpus, read_folder, stamp_of
from repro.errors import CorpusError
from repro.records.schema import LABELS


def rows(folder: Path) -> dict[str, list[Row]]:
    found = {}
    for split in SPLITS:
        lines = map(json.loads, (folder / f"{split}.jsonl").read_text().splitlines())
        found[split] = [(line["text"], line["label"]) for line in lines]
    return found


def test_all_three_layouts_give_the_same_rows(corpus_folder: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    expected = rows(corpus_folder)
    authors, parquets = tmp_path / "authors", tmp_path / "parquet" / "data"
    authors.mkdir()
    parquets.mkdir(parents=True)
    for split, found in expected.items():
        name = "val" if split == "validation" else split
        (authors / f"{name}.txt").write_text("".join(f"{text};{LABELS[label]}\n" for text, label in found))
        table = pyarrow.table({"text": [t for t, _ in found], "label": [y for _, y in found]})
        parquet.write_table(table, parquets / f"{split}-00000-of-00001.parquet")
    assert read_folder(corpus_folder) == read_folder(authors) == read_folder(parquets.parent) == expected


def test_a_folder_with_the_expected_fingerprints_loads_and_is_stamped(corpus_folder: Path) -> None:
    expected = stamp_of("emotion", rows(corpus_folder))
    corpus = load_corpus(str(corpus_folder), expected=expected)
    assert corpus.stamp == expected
    assert corpus.texts("test")[0] == "test sentence 0"
    assert corpus.splits["train"].column_names == ["text", "label", "label_text"]


def test_the_fingerprints_are_the_documented_ones(corpus_folder: Path) -> None:
    found = rows(corpus_folder)
    lines = [f"{text}\t{label}\n" for text, label in found["train"]]
    stamp = stamp_of("x", found).splits["train"]
    assert stamp.ordered == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert stamp.content == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert stamp.labels == [2] * 6


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: {**r, "train": r["train"][:-1]}, "train: rows expected 12, found 11"),
        (lambda r: {**r, "test": [("x", 0), *r["test"][1:]]}, "test: content fingerprint"),
        (lambda r: {**r, "test": [(t, (y + 1) % 2) for t, y in r["test"]]}, "test: rows a label expected"),
        (lambda r: {**r, "validation": r["validation"][::-1]}, "validation: order of rows"),
    ],
)
def test_another_corpus_names_the_split_what_was_expected_and_what_found(
    change: object, told: str, corpus_folder: Path
) -> None:
    assert callable(change)
    real = rows(corpus_folder)
    expected = stamp_of("emotion", real)
    for split, found in change(real).items():
        lines = (json.dumps({"text": text, "label": label}) for text, label in found)
        (corpus_folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(CorpusError, match=told):
        load_corpus(str(corpus_folder), expected=expected)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text":"cut', "not valid JSON"),
        ('{"text":"","label":0}', "the text is empty"),
        ('{"text":"   ","label":0}', "the text is empty"),
        ('{"text":"a","label":6}', "the label is 6, expected a whole number from 0 to 5"),
        ('{"text":"a","label":-1}', "the label is -1"),
        ('{"text":"a","label":"0"}', "the label is of the type str"),
        ('{"text":"a","label":true}', "the label is of the type bool"),
        ('{"text":"a","label":1,"label_text":"anger"}', "label_text is not 'joy', which label 1"),
        ('{"label":1}', "expected an object with the fields text and label"),
        ("[1]", "expected an object"),
        ("", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"text":"a","label":' + "9" * 5000 + "}", "not valid JSON"),
        ('{"text":"a \\ud800","label":1}', "the text holds half a surrogate pair"),
    ],
)
def test_a_bad_row_names_file_and_line(line: str, told: str, corpus_folder: Path) -> None:
    file = corpus_folder / "validation.jsonl"
    lines = file.read_text().splitlines()
    lines[4] = line
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorpusError, match=rf"validation\.jsonl, line 5: {told}"):
        load_corpus(str(corpus_folder))


def test_missing_empty_and_truncated_files_are_named(corpus_folder: Path) -> None:
    file = corpus_folder / "test.jsonl"
    whole = file.read_text()
    file.write_text(whole[: len(whole) - 20])
    with pytest.raises(CorpusError, match=r"test\.jsonl, line 12: not valid JSON"):
        load_corpus(str(corpus_folder))
    file.write_text("")
    with pytest.raises(CorpusError, match=r"test\.jsonl is empty"):
        load_corpus(str(corpus_folder))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="cannot be read as UTF-8"):
        load_corpus(str(corpus_folder))
    file.unlink()
    with pytest.raises(CorpusError, match=r"test\.jsonl is missing"):
        load_corpus(str(corpus_folder))


def test_no_folder_an_empty_one_and_a_broken_parquet_say_every_way_to_get_the_corpus(tmp_path: Path) -> None:
    for source in (tmp_path / "none", tmp_path):
        with pytest.raises(CorpusError, match=r"(?s)corpus.*--corpus hub.*--corpus rehearsal"):
            load_corpus(str(source))
    for split in SPLITS:
        (tmp_path / f"{split}.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(CorpusError, match="cannot be read as parquet"):
        load_corpus(str(tmp_path))


def test_a_file_and_a_misspelt_name_say_what_to_name(corpus_folder: Path) -> None:
    with pytest.raises(CorpusError, match="Name its folder"):
        load_corpus(str(corpus_folder / "train.jsonl"))
    with pytest.raises(CorpusError, match="Did you mean rehearsal"):
        load_corpus("rehersal")


def test_an_unreachable_hub_is_one_clear_error_that_names_the_ways() -> None:
    with pytest.raises(CorpusError, match=r"(?s)SetFit/emotion is not available.*--corpus DIR"):
        load_corpus("hub")


def test_a_tweet_may_hold_line_separators_of_unicode(corpus_folder: Path) -> None:
    file = corpus_folder / "train.jsonl"
    lines = file.read_text().split("\n")
    lines[0] = json.dumps({"text": "one\u2028row\x85still", "label": 0}, ensure_ascii=False)
    file.write_text("\n".join(lines))
    assert read_folder(corpus_folder)["train"][0] == ("one\u2028row\x85still", 0)


def test_the_rehearsal_corpus_is_the_same_everywhere_and_keeps_the_real_proportions() -> None:
    found = rehearsal_rows()
    assert {split: len(rows) for split, rows in found.items()} == {"train": 600, "validation": 150, "test": 150}
    stamp = load_corpus("rehearsal").stamp
    assert stamp.splits["train"].ordered == "79280967f9657404defd9ea562aa3ba1e8e444e5fc26c029b75269923e32aa26"
    texts = [text for rows in found.values() for text, _ in rows]
    assert len(set(texts)) == len(texts)
    shares = [count / 600 for count in stamp.splits["train"].labels]
    assert shares == pytest.approx(
        [4666 / 16e3, 5362 / 16e3, 1304 / 16e3, 2159 / 16e3, 1937 / 16e3, 572 / 16e3], abs=2e-3
    )
    assert stamp.splits["validation"].labels[1] / 150 == pytest.approx(0.352, abs=0.005)  # the dummy's accuracy


def test_a_limit_changes_the_stamp_so_that_no_claim_takes_it_for_the_whole() -> None:
    whole, part = load_corpus("rehearsal"), load_corpus("rehearsal", limit=10)
    assert part.texts("train") == whole.texts("train")[:10]
    assert part.stamp.splits["train"].content != whole.stamp.splits["train"].content


@pytest.mark.parametrize(
    "line",
    [
        '{"text": ["i feel SECRET"], "label": 0}',
        '{"text": "i feel fine", "label": "i feel SECRET"}',
        '{"text": "i feel fine", "label": 0, "label_text": "i feel SECRET"}',
        '{"text": "i feel SECRET, "label": 0}',
        '{"text": "i feel SECRET"}',
        '{"text": "i feel SECRET \\ud800", "label": 0}',
        '"i feel SECRET"',
        "i feel SECRET;joyful",
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".txt"])
def test_no_row_of_a_corpus_stands_in_an_error(line: str, suffix: str, tmp_path: Path) -> None:
    for name in ("train", "validation" if suffix == ".jsonl" else "val", "test"):
        (tmp_path / f"{name}{suffix}").write_text(line + "\n")
    with pytest.raises(CorpusError) as refused:
        read_folder(tmp_path)
    assert "SECRET" not in str(refused.value)


def test_a_parquet_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    column = pyarrow.array(["a", "b"])
    table = pyarrow.Table.from_arrays([column, column, pyarrow.array([0, 1])], names=["text", "text", "label"])
    for split in SPLITS:
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(CorpusError, match="a column stands there twice: label, text, text"):
        read_folder(tmp_path)
