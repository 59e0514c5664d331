"""Corpora: every layout gives the same rows, and nothing damaged or different passes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from huggingface_hub import constants
from pyarrow import parquet

from repro.assets.corpus import HUB_CORPUS, HUB_REVISION, SPLITS, load_corpus, read_folder, read_rows, stamp_of
from repro.errors import CorpusError
from repro.records.schema import LABELS, CorpusStamp
from tests.assets.hub_server import Fault, HubServer, Repository
from tests.files import contents
from tests.running import cases


def test_all_three_layouts_give_the_same_rows(corpus_folder: Path, tmp_path: Path) -> None:
    expected = read_folder(corpus_folder)
    authors, parquets = tmp_path / "authors", tmp_path / "parquet" / "data"
    authors.mkdir()
    parquets.mkdir(parents=True)
    for split, found in expected.items():
        name = "val" if split == "validation" else split
        (authors / f"{name}.txt").write_text("".join(f"{text};{LABELS[label]}\n" for text, label in found))
        table = pyarrow.table({"text": [t for t, _ in found], "label": [y for _, y in found]})
        parquet.write_table(table, parquets / f"{split}-00000-of-00001.parquet")
    assert expected["test"][7] == ("test sentence 7", 1)
    assert read_folder(authors) == read_folder(parquets.parent) == expected


def test_the_fingerprints_are_the_documented_ones(corpus_folder: Path) -> None:
    found = read_folder(corpus_folder)
    lines = [f"{text}\t{label}\n" for text, label in found["train"]]
    stamp = stamp_of("x", found).splits["train"]
    assert stamp.ordered == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert stamp.content == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert stamp.labels == [2] * 6


Change = Callable[[list[str]], list[str]]


def fifth(line: str) -> Change:
    line = line.replace("LONG", "9" * 5000).replace("DEEP", "[" * 100_000)
    return lambda lines: [*lines[:4], line, *lines[5:]]


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("train", lambda lines: lines[:-1], "train: rows expected 12, found 11"),
        ("test", fifth('{"text":"x","label":4}'), "test: content expected"),
        ("test", fifth('{"text":"test sentence 4","label":1}'), "test: rows a label expected"),
        ("validation", lambda lines: lines[::-1], "validation: order of rows"),
        ("test", None, r"test\.jsonl is missing"),
        ("test", lambda _: [], r"test\.jsonl is empty"),
        ("test", lambda _: ["\udcff\udcfe\x00"], r"test\.jsonl cannot be read as UTF-8"),
        *(
            ("validation", fifth(case["line"]), rf"validation\.jsonl, line 5: {case['problem']}")
            for case in cases("assets/bad_rows.csv")
        ),
    ],
)
def test_a_damaged_or_different_corpus_is_named_and_its_text_never_shown(
    split: str, change: Change | None, message: str, corpus_folder: Path
) -> None:
    expected = stamp_of("emotion", read_folder(corpus_folder))
    file = corpus_folder / f"{split}.jsonl"
    lines = file.read_text().splitlines()
    file.unlink()
    if change is not None:
        content = "".join(f"{line}\n" for line in change(lines))
        file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CorpusError, match=message) as refused:
        load_corpus(str(corpus_folder), expected=expected)
    assert "SECRET" not in str(refused.value)


def test_a_bad_row_of_the_authors_layout_is_named_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("i feel SECRET;joyful\n")
    with pytest.raises(CorpusError, match=r"train\.txt, line 1: expected `text;label`") as refused:
        read_folder(tmp_path)
    assert "SECRET" not in str(refused.value)


def test_a_tweet_may_hold_line_separators_of_unicode(corpus_folder: Path) -> None:
    file = corpus_folder / "train.jsonl"
    lines = file.read_text().split("\n")
    lines[0] = json.dumps({"text": "one\u2028row\x85still", "label": 0}, ensure_ascii=False)
    file.write_text("\n".join(lines))
    assert read_folder(corpus_folder)["train"][0] == ("one\u2028row\x85still", 0)


def test_the_rehearsal_corpus_is_the_same_everywhere_and_keeps_the_real_proportions() -> None:
    stamp, splits = read_rows("rehearsal")
    assert {split: (len(rows), stamp.splits[split].ordered) for split, rows in splits.items()} == {
        "train": (600, "79280967f9657404defd9ea562aa3ba1e8e444e5fc26c029b75269923e32aa26"),
        "validation": (150, "a80fbff5261c76a428ab75ba35ea29719f5b4bef6a35cb76ff2715b6473d61e8"),
        "test": (150, "f9bb6dc7e5f2298a26978d91ef94bc01cc250893077739c43b25a9ae20e6ffc7"),
    }
    texts = [text for rows in splits.values() for text, _ in rows]
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


def test_a_damaged_parquet_or_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    column = pyarrow.array(["a", "b"])
    table = pyarrow.Table.from_arrays([column, column, pyarrow.array([0, 1])], names=["text", "text", "label"])
    for split in SPLITS:
        parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(CorpusError, match="expected the columns text and label, each once"):
        read_folder(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(CorpusError, match="cannot be read as parquet"):
        read_folder(tmp_path)


def served_corpus(hub: HubServer, folder: Path, **changed: bytes) -> CorpusStamp:
    files = contents(folder, "*.jsonl")
    files |= {f"{split}.jsonl": content for split, content in changed.items()} | {"README.md": b"# emotion"}
    hub.repositories["dataset", HUB_CORPUS] = Repository(commit=HUB_REVISION, files=files)
    return stamp_of("emotion", read_folder(folder))


def test_the_corpus_comes_from_the_hub_and_then_out_of_the_cache(
    hub: HubServer, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = served_corpus(hub, corpus_folder)
    hub.fault("train", Fault(500), times=1)
    corpus = load_corpus("hub", expected=expected)
    assert (corpus.stamp, corpus.texts("test")[0]) == (expected, "test sentence 0")
    assert corpus.splits["train"].column_names == ["text", "label", "label_text"]
    assert hub.count("README") == 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_corpus("hub", expected=expected).texts("test")[0] == "test sentence 0"


def test_other_tweets_on_the_hub_are_refused_and_do_not_stay(hub: HubServer, corpus_folder: Path) -> None:
    line = json.dumps({"text": "another", "label": 0}).encode()
    expected = served_corpus(hub, corpus_folder, test=line)
    with pytest.raises(CorpusError, match=r"SetFit/emotion is not the emotion corpus as published\. test: rows"):
        load_corpus("hub", expected=expected)
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.jsonl"))
    served_corpus(hub, corpus_folder, test=line[:-3])
    with pytest.raises(CorpusError, match="not valid JSON"):
        load_corpus("hub", expected=expected)
