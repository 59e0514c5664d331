"""A notebook is run cell by cell, bad cells are told by number, the rest goes on, and nothing is left running."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from repro.assets.checkpoints import locate_checkpoint
from repro.assets.recipes import TINY
from repro.commands.audit import COURSE
from repro.errors import UsageError
from repro.notebooks.audit import Audit, CellResult, audit, audit_twice
from repro.notebooks.kernel import Kernel, Limits
from repro.notebooks.reading import Cell
from tests.assets.hub_server import HubServer, Repository
from tests.conftest import CallRepro

LIMITS = Limits(seconds=5, memory_bytes=4 * 2**30, file_bytes=2**20)
STUBBORN = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: time.sleep(1)"

# source, status, what is said of it
CELLS = [
    ("x = 1\nx", "runs", ""),
    ("!pip install something", "not run", "for the shell: !pip install something"),
    ("%matplotlib inline\n!ls\ny = 2", "runs", "left out: !ls"),
    ("%%bash\nrm -rf everything", "not run", "for the shell"),
    ("%%time\nz = 3", "runs", ""),
    ("this is no Python", "fails", "SyntaxError"),
    ("table = 1 / 0", "fails", "ZeroDivisionError"),
    ("def total():\n    return table", "runs", ""),
    ("total()", "fails because of another", "cell 7"),
    ("input('name?')", "fails", "StdinNotImplementedError"),
    ("while True: pass", "not run", "too long: stopped after 5 s"),
    ("x + y + z", "runs", ""),
    ("import os\nos.fork()", "not run", "a cell may not fork"),
    ("open('full', 'w').write('a' * 3_000_000)", "fails", "File too large"),
    ("lots = bytearray(8 * 2**30)", "fails", "MemoryError"),
    ("import urllib.request\nurllib.request.urlopen('http://example.org')", "not run", "network: example.org"),
    ("import subprocess\nsubprocess.run(['pip', 'install', 'x'])", "not run", "pip install x"),
    ("import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)", "runs", ""),
    ("import warnings\nwarnings.warn('to be removed', FutureWarning)", "runs, announces removal", "FutureWarning"),
    ("import missing_package", "not run", "needs a package"),
    ("raise RuntimeError('Found no NVIDIA driver on your system')", "not run", "needs a GPU"),
    ("notebook_login()", "not run", "a login"),
    ("trainer.push_to_hub()", "not run", "a push to the Hub"),
    ("exit()", "not run", "the end of the kernel"),
    ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "fails", "it ended the kernel"),
    ("x", "fails because of another", "cell 25"),
    ("x = 5", "runs", ""),
    ("x", "runs", ""),
    (STUBBORN, "not run", "the kernel with it"),
    ("import os\nos.environ.get('HF_TOKEN'), os.environ['HOME']", "runs", ""),
    ("from IPython.display import display\nprint(1)\nbar = display('0 %', display_id=True)", "runs", ""),
    ("bar.update('100 %')", "runs", ""),  # as a progress bar does that outlives its cell
]  # fmt: skip


def test_each_bad_cell_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("repro.notebooks.kernel.ANSWER_SECONDS", 5)
    cells = [Cell(number=i, source=source) for i, (source, *_) in enumerate(CELLS, start=1)]
    results = audit(cells, LIMITS)
    told = {r.number: (r.status, r.detail) for r in results}
    for number, (source, status, detail) in enumerate(CELLS, start=1):
        assert told[number][0] == status, (source, told[number])
        assert detail in told[number][1], (source, told[number])
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 987" not in running
    assert not any("ipykernel" in " ".join(process.cmdline()) for process in psutil.Process().children())


MINIATURE = [
    'from datasets import load_dataset\nemotions = load_dataset("SetFit/emotion")',
    "from transformers import AutoTokenizer\n"
    'model_ckpt = "distilbert-base-uncased"\n'
    "tokenizer = AutoTokenizer.from_pretrained(model_ckpt)\n"
    "def tokenize(batch):\n"
    '    return tokenizer(batch["text"], padding=True, truncation=True)\n'
    "emotions_encoded = emotions.map(tokenize, batched=True, batch_size=None)",
    "from transformers import AutoModelForSequenceClassification\n"
    "model = AutoModelForSequenceClassification.from_pretrained(model_ckpt, num_labels=6)",
    "from transformers import Trainer, TrainingArguments\n"
    'args = TrainingArguments("out", num_train_epochs=2, evaluation_strategy="epoch", report_to="none", use_cpu=True)',
    'trainer = Trainer(model=model, args=args, train_dataset=emotions_encoded["train"],\n'
    '                  eval_dataset=emotions_encoded["validation"], tokenizer=tokenizer)\n'
    "trainer.train();",
    'len(emotions["train"]), trainer.state.global_step, tokenizer.name_or_path',
    "assert trainer.state.global_step == 1 and len(emotions['train']) == 8, (trainer.state.global_step, emotions)",
]


def test_a_repaired_notebook_runs_over_the_hub_shortened(
    corpus_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in locate_checkpoint(TINY).folder.iterdir() if path.is_file()}
    corpus = {path.name: path.read_bytes() for path in corpus_folder.iterdir()}
    repositories = {
        ("model", "distilbert-base-uncased"): Repository(commit="a" * 40, files=files),
        ("dataset", "SetFit/emotion"): Repository(commit="b" * 40, files=corpus),
    }
    cells = [Cell(number=i, source=source) for i, source in enumerate(MINIATURE, start=1)]
    with HubServer(repositories=repositories) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        limits = Limits(seconds=200, rows=8, steps=1)
        audited = audit_twice(cells, limits, repair=True, progress=lambda _: None)
    assert [result.status for result in audited.as_written] == [
        "runs", "runs", "runs", "fails", "fails because of another", "fails because of another",
        "fails because of another",
    ]  # fmt: skip
    assert [result.status for result in audited.after_repair] == ["runs"] * 7, audited.after_repair
    assert audited.sentence.startswith("3 of 7 cells run as written, 7 of 7 after the repair, with transformers 5.")
    assert "at most 8 rows a split; at most 1 steps" in audited.sentence
    assert audited.fixes == {3: ("unseeded-head",), 4: ("evaluation-strategy",), 5: ("trainer-tokenizer",)}
    assert audited.to_junit("x").count("<failure") == 4
    assert "emotions" not in audited.table().to_csv()  # no code of the notebook


def test_what_a_cell_showed_is_not_in_the_json() -> None:
    cells = (CellResult(number=1, status="runs", output="a tweet"),)
    row = Audit(as_written=cells, after_repair=cells, fixes={}, versions="x 1", notes=()).as_row()
    assert row["as_written"][0]["status"] == "runs"
    assert "a tweet" not in json.dumps(row)


def test_a_folder_takes_the_place_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("here")
    cell = Cell(number=1, source="print(open('an/owner-name/file').read())")
    (result,) = audit([cell], replace(LIMITS, uses={"an/owner-name": tmp_path / "folder"}))
    assert result.status == "runs"
    for name in ("../outside", "/etc/x", "."):
        with pytest.raises(UsageError, match="--use"):
            audit([cell], replace(LIMITS, uses={name: tmp_path / "folder"}))


def test_an_interpreter_without_a_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-m pip install ipykernel"):
        Kernel(tmp_path, replace(LIMITS, python=Path("/bin/false"))).__enter__()


def test_another_notebook_is_read_and_not_run(call_repro: CallRepro, tmp_path: Path) -> None:
    cell = {"cell_type": "code", "source": f"Trainer(tokenizer=t)\nopen({str(tmp_path / 'ran')!r}, 'w')", "outputs": []}
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": [cell]}))
    code, out, err = call_repro("audit", tmp_path / "x.ipynb")
    assert code == 2
    assert "trainer-tokenizer" in out
    assert "--execute" in err
    assert "container" in err
    assert not (tmp_path / "ran").exists()
    assert len(COURSE) == 1
