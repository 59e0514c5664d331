"""Tweets are shown on this machine alone: never where git takes them in, only for the corpus they come from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from repro.assets.corpus import read_rows, stamp_of
from repro.errors import ResultsError
from repro.records.schema import CorpusStamp, RowResults, RunRecord
from repro.report.texts import NAME, write_texts

MakeRecord = Callable[..., RunRecord]
ROWS = {
    "train": [("first <b>", 0), ("again", 1), ("again", 2)],
    "validation": [("calm", 0), ("bitter", 3), ("sweet", 1)],
    "test": [("again", 4)],
}
STAMP = stamp_of("emotion", ROWS)
CONTENT = {split: stamp.content for split, stamp in STAMP.splits.items()}


@pytest.fixture
def records(make_record: MakeRecord) -> list[RunRecord]:
    facts = {
        "longest_rows": [{"row": 0, "words": 2}],
        "two_labels_in_train": [[1, 2]],
        "also_in_train": {"validation": [], "test": [0]},
    }
    results = RowResults(labels=[0, 3, 1], predictions=[0, 1, 1], losses=[0.1, 4.0, 0.2])
    return [
        make_record("corpus-facts", corpus=STAMP, facts=facts),
        make_record("finetune", corpus=STAMP, rows={"validation": results}),
    ]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_a_folder_outside_of_git_gets_the_texts_and_markup_shows_as_text(
    records: list[RunRecord], tmp_path: Path
) -> None:
    page = write_texts(records, ROWS, CONTENT, tmp_path).read_text()
    assert page.index("bitter") < page.index("calm")  # 4.0 is the hardest
    assert "<td>1, 2</td><td>joy, love</td><td>again</td>" in page
    assert "<td>test</td><td>0</td><td>fear</td><td>again</td>" in page
    assert "first &lt;b&gt;" in page


def test_a_git_work_tree_gets_them_only_where_they_are_ignored(records: list[RunRecord], tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(ResultsError, match="where git takes it in"):
        write_texts(records, ROWS, CONTENT, tmp_path)
    assert not (tmp_path / NAME).exists()
    (tmp_path / ".gitignore").write_text(f"{NAME}\n")
    assert write_texts(records, ROWS, CONTENT, tmp_path).is_file()


def test_this_repository_ignores_the_page_wherever_it_lies() -> None:
    root = Path(__file__).parents[2]
    for folder in (root, root / "results", root / "build"):
        asked = subprocess.run(["git", "check-ignore", "-q", str(folder / NAME)], cwd=root, check=False)
        assert asked.returncode == 0, folder


def test_runs_on_another_corpus_are_not_shown(records: list[RunRecord], tmp_path: Path) -> None:
    other: CorpusStamp = stamp_of("emotion", {**ROWS, "validation": [("other", 0)] * 3})
    with pytest.raises(ResultsError, match="is of this corpus"):
        write_texts(records, ROWS, {split: s.content for split, s in other.splits.items()}, tmp_path)


def test_rows_of_a_folder_are_read_without_the_datasets_library(corpus_folder: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom repro.assets.corpus import read_folder, read_rows, stamp_of\n"
        "rows = read_folder(Path(sys.argv[1]))\n"
        "read_rows(sys.argv[1], expected=stamp_of('emotion', rows))\n"
        "sys.exit('datasets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(corpus_folder)], check=False)
    assert done.returncode == 0
    assert read_rows("rehearsal")[0] == "rehearsal"
