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
