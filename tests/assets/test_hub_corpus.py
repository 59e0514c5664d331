"""The tweets from the Hub: the same checks as for a checkpoint, and their fingerprints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from repro.assets.corpus import HUB_CORPUS, HUB_REVISION, Corpus, load_corpus, read_folder, stamp_of
from repro.errors import CorpusError
from tests.assets.hub_faults import status
from tests.assets.hub_server import HubServer, Repository


def served_corpus(hub: HubServer, folder: Path, **changed: bytes) -> None:
    files = {file.name: file.read_bytes() for file in folder.glob("*.jsonl")}
    files |= {f"{split}.jsonl": content for split, content in changed.items()}
    hub.repositories["dataset", HUB_CORPUS] = Repository(
        commit=HUB_REVISION, files={"README.md": b"# emotion", ".gitattributes": b"", **files}
    )


def from_hub(folder: Path) -> Corpus:
    return load_corpus("hub", expected=stamp_of("emotion", read_folder(folder)))


def test_the_corpus_comes_from_the_hub_and_then_out_of_the_cache(
    hub: HubServer, corpus_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served_corpus(hub, corpus_folder)
    hub.fault("train", status(500), times=1)
    assert from_hub(corpus_folder).texts("test")[0] == "test sentence 0"
    assert hub.count("README") == 0
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert from_hub(corpus_folder).texts("test")[0] == "test sentence 0"


def test_other_tweets_on_the_hub_are_refused_and_do_not_stay(hub: HubServer, corpus_folder: Path) -> None:
    line = json.dumps({"text": "another", "label": 0}).encode()
    served_corpus(hub, corpus_folder, test=line)
    with pytest.raises(CorpusError, match=r"SetFit/emotion is not the emotion corpus as published\. test: rows"):
        from_hub(corpus_folder)
    assert not list(Path(constants.HF_HUB_CACHE).rglob("*.jsonl"))
    served_corpus(hub, corpus_folder, test=line[:-3])
    with pytest.raises(CorpusError, match="not valid JSON"):
        from_hub(corpus_folder)


def test_a_corpus_that_the_hub_does_not_give_is_told_with_every_way(hub: HubServer, corpus_folder: Path) -> None:
    with pytest.raises(CorpusError, match=r"(?s)SetFit/emotion is not available .*answers 401.*--corpus DIR"):
        from_hub(corpus_folder)
