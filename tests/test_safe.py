"""Safe by default: nothing that was downloaded runs, nothing is written outside the results, hostile text is text."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from markdown_it import MarkdownIt
from pydantic import ValidationError

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.loading import load_classifier, load_encoder, load_model, load_tokenizer
from repro.assets.recipes import TINY
from repro.errors import CheckpointError, RecordError, ReproError, ResultsError
from repro.records.schema import RunRecord
from repro.records.store import prepare_results, read_records, write_record
from repro.report.pages import BEGIN, END
from repro.sections.inference import load_finetuned
from tests.claims.builders import report
from tests.conftest import MakeRecord
from tests.running import ROOT, cases

UNPICKLERS = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def sources() -> Iterator[tuple[str, ast.AST]]:
    for folder in ("repro", "benchmarks", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text())
    yield "noxfile.py", ast.parse((ROOT / "noxfile.py").read_text())


def unsafe_calls(tree: ast.AST) -> list[str]:
    """What may run a stranger's code: torch.load without weights_only=True, and trust_remote_code unless False."""
    calls: list[str] = []
    for node in ast.walk(tree):
        words: dict[str | None, str] = {}
        match node:
            case ast.Call(func=func, keywords=keywords):
                words = {word.arg: ast.unparse(word.value) for word in keywords}
                if ast.unparse(func) == "torch.load" and words.get("weights_only") != "True":
                    calls.append("torch.load")
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                words = {str(key.value): ast.unparse(value) for key, value in pairs if isinstance(key, ast.Constant)}
            case ast.ImportFrom(module="torch", names=names) if any(alias.name == "load" for alias in names):
                calls.append("torch.load")  # under a name of its own its calls would be overlooked
            case ast.Import(names=names):
                calls += sorted({alias.name.split(".")[0] for alias in names} & UNPICKLERS)
            case ast.ImportFrom(module=str() as module):
                calls += sorted({module.split(".")[0]} & UNPICKLERS)
        if words.get("trust_remote_code", "False") != "False":
            calls.append("trust_remote_code")
    return calls


def test_no_code_of_ours_unpickles_or_trusts_remote_code() -> None:
    found = {path: calls for path, tree in sources() if (calls := unsafe_calls(tree))}
    assert found.pop("tests/test_safe.py") == ["pickle"]  # which makes the hostile file of these tests
    assert found == {}


@pytest.mark.parametrize("case", cases("unsafe_calls.csv"), ids=lambda case: case["source"])
def test_each_unsafe_call_would_be_found(case: dict[str, str]) -> None:
    assert unsafe_calls(ast.parse(case["source"])) == case["calls"].split()


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.write_text, (self.mark, "taken")


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint whose weights are a pickle that writes a file, and that file, which must never be there."""
    folder, mark = tmp_path / "checkpoint", tmp_path / "taken"
    shutil.copytree(locate_checkpoint(TINY).folder, folder)
    (folder / "model.safetensors").unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump(Hostile(mark), file)
    return folder, mark


@pytest.mark.parametrize(
    "load", [load_encoder, load_classifier, load_finetuned, partial(load_model, "AutoModelForSequenceClassification")]
)
def test_no_loader_reads_a_pickle(load: Callable[[Path], object], hostile: tuple[Path, Path]) -> None:
    folder, mark = hostile
    with pytest.raises((ReproError, OSError), match=r"model\.safetensors"):
        load(folder)
    assert not mark.exists()


def test_code_that_lies_beside_a_checkpoint_does_not_run(tmp_path: Path) -> None:
    folder, mark = tmp_path / "checkpoint", tmp_path / "taken"
    shutil.copytree(locate_checkpoint(TINY).folder, folder)
    (folder / "theirs.py").write_text(f"open({str(mark)!r}, 'w').write('taken')\n")
    for name, model in (("config.json", True), ("tokenizer_config.json", False)):
        written = json.loads((folder / name).read_text())
        theirs = {"AutoConfig": "theirs.C", "AutoModel": "theirs.M"} if model else {"AutoTokenizer": ["theirs.T", None]}
        (folder / name).write_text(json.dumps({**written, "auto_map": theirs}))
    expected = load_encoder(locate_checkpoint(TINY).folder)
    found = load_encoder(folder)  # the library's own class of that name
    assert torch.equal(next(found.parameters()), next(expected.parameters()))
    assert load_tokenizer(folder, TINY).get_vocab()
    assert load_tokenizer(folder).get_vocab()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "theirs"}))
    with pytest.raises((ReproError, ValueError)):  # and there is no such class
        load_encoder(folder)
    with pytest.raises(CheckpointError):
        load_finetuned(folder)
    assert not mark.exists()


@pytest.mark.parametrize("part", ["experiment", "corpus", "recipe"])
@pytest.mark.parametrize("name", ["../../outside", "/outside", "..", "a/b", "a\\b", ""])
def test_no_name_in_a_record_leads_out_of_the_results(
    part: str, name: str, make_record: MakeRecord, tmp_path: Path
) -> None:
    path = write_record(make_record("linear"), tmp_path)
    written = json.loads(path.read_text())
    written |= {part: name if part == "experiment" else {**written[part], "name": name}}
    with pytest.raises(ValidationError):
        RunRecord.model_validate(written)
    path.write_text(json.dumps(written))
    with pytest.raises(RecordError, match="no valid record"):
        read_records(tmp_path)


@pytest.mark.parametrize("link", ["runs", "runs/emotion", "runs/emotion/distilbert/linear"])
def test_a_link_that_leads_out_of_the_results_is_not_written_through(
    link: str, make_record: MakeRecord, tmp_path: Path
) -> None:
    results, outside = tmp_path / "results", tmp_path / "outside"
    outside.mkdir()
    (results / link).parent.mkdir(parents=True)
    (results / link).symlink_to(outside)
    with pytest.raises(ResultsError, match="leads out of the results folder"):
        write_record(make_record("linear"), results)
    if link == "runs":
        with pytest.raises(ResultsError, match="leads out of the results folder"):
            prepare_results(results)
    assert list(outside.iterdir()) == []


def test_results_may_be_a_link_themselves(make_record: MakeRecord, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "results").symlink_to(tmp_path / "disk")
    write_record(make_record("linear"), tmp_path / "results")
    assert len(read_records(tmp_path / "disk")) == 1


def test_a_report_does_not_write_through_a_link(make_record: MakeRecord, tmp_path: Path) -> None:
    facts = {"class_counts": dict.fromkeys(("sadness", "joy", "love", "anger", "fear", "surprise"), 1)}
    record = make_record("corpus-facts", facts=facts)
    results, outside = tmp_path / "results", tmp_path / "outside"
    report([record], results)
    outside.mkdir()
    (outside / "mine").write_text("mine")
    for file in [file for file in results.rglob("*.*") if file.is_file()]:
        file.unlink()
        file.symlink_to(outside / "mine")
    report([record], results)
    assert (outside / "mine").read_text() == "mine"
    assert not any(file.is_symlink() for file in results.rglob("*.*"))
    for name in ("tables", "figures"):
        shutil.rmtree(results / name, ignore_errors=True)
        (results / name).symlink_to(outside)
        with pytest.raises(ResultsError, match=f"{name} leads out of the results folder"):
            report([record], results)
        (results / name).unlink()
    assert [file.name for file in outside.iterdir()] == ["mine"]


HOSTILE = (
    "<script>alert(1)</script> | ![x](https://x.example/p.png) [x](javascript:1) `y` **z** <img src=x onerror=1>\n# h"
)


def test_hostile_text_makes_no_link_no_picture_no_html_and_no_cell(make_record: MakeRecord, tmp_path: Path) -> None:
    texts = dict.fromkeys(("processor", "accelerator", "python", "commit"), HOSTILE)
    provenance = make_record("linear").provenance.model_copy(update=texts)
    six = dict.fromkeys(("anger", "fear", "love", "surprise"), HOSTILE)
    record = make_record("linear", facts={"most_often_taken_for": six}, provenance=provenance)
    (tmp_path / "README.md").write_text(f"{BEGIN}\n{END}\n")
    report([record], tmp_path, tmp_path / "README.md")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<script") == 2  # the page's own, and the verdicts as JSON
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for text in ((tmp_path / name).read_text() for name in ("REPORT.md", "README.md")):
        blocks = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
        parts = [part for block in blocks for part in (block, *(block.children or []))]
        assert "html_inline" not in {part.type for part in parts}
        bold = {after.content for part, after in pairwise(parts) if part.type == "strong_open"}
        assert bold <= {"The answer.", "What to change in the notebook"}  # the page's own words
        assert all("script" not in part.content for part in parts if part.type == "html_block")
        shown = [part.attrs.get("src", part.attrs.get("href")) for part in parts if part.type in ("image", "link_open")]
        assert all(str(target).startswith(("figures/", "tables/", "results/REPORT.md")) for target in shown)
        assert "<script>alert(1)</script> | ![x]" in "".join(part.content for part in parts if part.type == "text")
        heads = [part.map for part in parts if part.type == "heading_open"]
        assert all(text.splitlines()[place[0]] != "# h" for place in heads if place)
