"""Fine-tuned models with the head that they were trained with: a weight that is missing is never drawn at random."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.assets.checkpoints import quiet
from repro.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_complete(kind: Any, folder: Path, device: torch.device | None = None) -> PreTrainedModel:
    """Load the model by `kind`, an auto class, in fp32, on the device and ready for inference.

    CheckpointError where the folder lacks weights of that class, or holds another architecture.
    """
    import torch

    try:
        with quiet():
            model, told = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                output_loading_info=True,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise _unusable(folder, (str(error).strip() or type(error).__name__).splitlines()[0]) from None
    missing = sorted(told["missing_keys"])
    if missing:
        raise _unusable(folder, f"it has no weights for {missing[0]}" + (" and others" if len(missing) > 1 else ""))
    loaded: PreTrainedModel = model.to(device).eval()
    return loaded


def load_its_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the folder's own tokenizer; CheckpointError where it is damaged or needs a package that is not here."""
    from importlib.util import find_spec

    from transformers import AutoTokenizer

    if (folder / "source.spm").is_file() and find_spec("sentencepiece") is None:
        raise CheckpointError(
            f"{folder.name}: its tokenizer needs the package sentencepiece, which is not installed",
            "Install it: pip install sentencepiece",
        )
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # noqa: BLE001 (each tokenizer class has errors of its own; the way out is the same)
        raise _unusable(folder, (str(error).strip() or type(error).__name__).splitlines()[0]) from None
    return tokenizer


def _unusable(folder: Path, why: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint {folder.name} cannot be used: {why}", "Fetch its files again, all of them.")
