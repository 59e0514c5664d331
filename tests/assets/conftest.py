"""A Hub with one small checkpoint, and a client that asks it and hardly waits between its tries."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from huggingface_hub import constants, set_client_factory
from huggingface_hub.utils._http import default_client_factory
from safetensors.numpy import save

from repro.assets import hub as asking
from repro.assets.recipes import PinnedCheckpoint
from repro.assets.watch import Bounds
from tests.assets.hub_server import HubServer, Repository

COMMIT, NAME = "5" * 40, "someone/small"
WEIGHTS = save({"weight": np.arange(3_000_000, dtype=np.float32)})  # 12 MB: the client keeps each 10 that came
FILES = {
    "config.json": b'{"model_type": "small"}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"\x80\x04.",
    "README.md": b"# small",
}
SMALL = PinnedCheckpoint(
    name="small",
    why="for tests",
    checkpoint=NAME,
    revision=COMMIT,
    sha256={name: hashlib.sha256(FILES[name]).hexdigest() for name in ("model.safetensors", "config.json")},
)
# for what is to fail by the clock; what is to succeed has the time that users have, on a busy machine too
QUICK = Bounds(answer_seconds=0.2, asset_seconds=1.5, command_seconds=3.5)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub with one checkpoint, asked by a client with an empty cache and no token."""
    repository = Repository(commit=COMMIT, files=FILES)
    with HubServer(repositories={("model", NAME): repository}) as server:
        use_hub(server, monkeypatch, tmp_path)
        yield server
    set_client_factory(default_client_factory)


def use_hub(server: HubServer, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    template = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in {
        "ENDPOINT": server.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": template,
        "HF_HUB_OFFLINE": False,
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_TOKEN_PATH": str(folder / "token"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(asking, "_seconds_spent", 0.0)
    shorter = SimpleNamespace(sleep=lambda seconds, sleep=time.sleep: sleep(seconds / 50), time=time.time)
    for module in ("huggingface_hub.utils._http", "huggingface_hub.file_download"):  # between tries of the client
        monkeypatch.setattr(f"{module}.time", shorter)
