"""Checkpoints that are published as a pickle only, made safetensors: tensors are read, and nothing of it is run."""

from __future__ import annotations

import shutil
from pathlib import Path

from repro.assets.checkpoints import HUB_FILES, WEIGHTS, disk_errors, file_sha256, locate_checkpoint
from repro.assets.hub import fetch_snapshot
from repro.assets.recipes import PinnedCheckpoint
from repro.errors import CheckpointError, HubError

PICKLE = "pytorch_model.bin"


def convert_checkpoint(pinned: PinnedCheckpoint, checkpoints: Path) -> tuple[Path, str]:
    """Write DIR/NAME with the checkpoint's weights as safetensors; return the folder and the weights' SHA-256.

    The pickle is that of DIR/NAME, else the Hub's at the pinned revision; its SHA-256 stands in the metadata of the
    weights. It is read by torch.load with weights_only=True, which knows tensors and containers and refuses all else.
    CheckpointError where that does, OSError where the disk refuses.
    """
    folder = checkpoints / pinned.checkpoint.split("/")[-1]
    if (folder / WEIGHTS).exists():
        raise CheckpointError(f"{folder} holds {WEIGHTS} already", "Nothing is to be converted.")
    source = folder
    if not (folder / PICKLE).is_file():
        try:
            source, _ = fetch_snapshot(pinned.checkpoint, revision=pinned.revision, files=[*HUB_FILES, PICKLE])
        except HubError as error:
            raise CheckpointError(
                f"{pinned.checkpoint} is not available ({error.what})",
                f"Put its files, {PICKLE} among them, into {folder}, or run where the Hub is reachable.",
            ) from None
    partial = folder / f".{WEIGHTS}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _convert(source / PICKLE, partial)
        if source != folder:
            for file in source.iterdir():
                if file.is_file() and file.name not in (PICKLE, WEIGHTS):
                    shutil.copyfile(file, folder / file.name)
        partial.replace(folder / WEIGHTS)  # which makes it whole, last
    finally:
        partial.unlink(missing_ok=True)
    return folder, locate_checkpoint(pinned, checkpoints, use_hub=False).weights_sha256


def _convert(pickle: Path, weights: Path) -> None:
    """Write the pickle's tensors as safetensors, each with memory of its own: tied ones are written twice."""
    import torch
    from safetensors.torch import save_file

    if not pickle.is_file():
        raise CheckpointError(f"{pickle} is missing", f"Convert only what is published as {PICKLE}.")
    try:
        state = torch.load(pickle, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 (torch raises whatever it meets in a damaged or hostile file)
        raise CheckpointError(
            f"{pickle} holds more than tensors, or is damaged ({type(error).__name__})",
            "It was not run. Fetch it again, from a source that you trust.",
        ) from None
    if not isinstance(state, dict) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        raise CheckpointError(f"{pickle} is not a table of tensors", "Fetch it again.")
    with disk_errors():
        tensors = {str(name): tensor.contiguous().clone() for name, tensor in state.items()}
        save_file(tensors, weights, metadata={"format": "pt", "pickle_sha256": file_sha256(pickle)})
