"""`repro assets fetch` and `repro run` as a user starts them, in a process of their own, against a local Hub."""

from __future__ import annotations

import json
import re
from pathlib import Path

from repro.assets.corpus import HUB_CORPUS, HUB_REVISION, read_rows
from repro.assets.recipes import DISTILBERT, MINILM
from tests.assets.hub_server import Fault, HubServer, Repository
from tests.files import contents
from tests.forked import drive, minilm_folder, write_tweets

LOAD = f"""python from datasets import disable_progress_bars, load_dataset
disable_progress_bars()
splits = load_dataset({HUB_CORPUS!r}, revision={HUB_REVISION!r})
rows = {{split: [rows["text"][:], rows["label"][:]] for split, rows in splits.items()}}
Path("rows.json").write_text(json.dumps(rows))"""
HUB_ALONE = "python from repro.assets.recipes import MINILM; object.__setattr__(MINILM, 'package', None)"
LIGHT = "python assert not {'torch', 'datasets'} & sys.modules.keys()"


def hub_with(tweets: Path) -> HubServer:
    """The real all-MiniLM-L6-v2 at its revision, a DistilBERT of other weights under its new name, and a corpus."""
    other = {"config.json": b"{}", "vocab.txt": b"", "model.safetensors": b"other weights"}
    return HubServer(
        repositories={
            ("model", MINILM.checkpoint): Repository(MINILM.revision, contents(minilm_folder())),
            ("model", "distilbert/distilbert-base-uncased"): Repository(DISTILBERT.revision, other),
            ("dataset", HUB_CORPUS): Repository(HUB_REVISION, {"README.md": b"# emotion", **contents(tweets)}),
        },
        renamed={DISTILBERT.checkpoint: "distilbert/distilbert-base-uncased"},
    )


def test_fetch_and_run_take_what_the_hub_has_and_refuse_the_rest(tmp_path: Path) -> None:
    tweets, home = write_tweets(tmp_path / "tweets"), str(tmp_path / "hf")
    run = "run corpus-facts token-facts --corpus hub --recipe"
    with hub_with(tweets) as hub:
        hub.fault(f"GET /stored/{MINILM.sha256['model.safetensors']}", Fault(stop=50_000_000), times=1)
        hub.fault("HEAD .*jsonl", Fault(503), times=1)
        commands = HUB_ALONE, "assets fetch", LIGHT, LOAD, f"{run} minilm", f"{run} distilbert"
        codes, out, err = drive(tmp_path, tweets, *commands, HF_ENDPOINT=hub.endpoint, HF_HOME=home)
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
    assert codes == [5, 0, 2]
    assert [asked.range for asked in hub.asked if asked.range] == [f"bytes={40 * 2**20}-"]  # what is whole is kept
    rows = {
        split: [list(column) for column in zip(*rows[:64], strict=True)]
        for split, rows in read_rows("rehearsal")[1].items()
    }
    assert json.loads((tmp_path / "rows.json").read_text()) == rows  # the notebook's own call, with datasets, agrees
    assert len(list((tmp_path / "results" / "runs" / "emotion" / "minilm").rglob("*.json"))) == 2
