"""Checkpoints in memory: models in fp32 from safetensors, tokenizers, and what they do (`behaviour_of`).

No weight that should have been read is drawn at random, no code that lies beside a checkpoint runs, and a tokenizer
must behave as its recipe pins it, whichever of the files beside the pinned ones it was read from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from repro.assets.recipes import PinnedCheckpoint
from repro.errors import CheckpointError
from repro.records.schema import LABELS

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Cases in which tokenizers differ: case, accents, scripts, control characters, unknown and special pieces, long words
PROBES = (
    "I didnt feel humiliated", "HAPPY! happy!", "café déjà-vu ÀÉÎÕÜ", "日本語 and ελληνικά",
    "can't won't 3.14 #tag @user", "[CLS] [MASK] <s> </s> [PAD]", "😀 ﬁ\u200b\u00ad\ttab\u2028line", "un" * 60, "",
)  # fmt: skip
NOT_BEHAVIOUR = {"_name_or_path", "architectures", "transformers_version"}  # of a configuration
_SAFE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def load_encoder(folder: Path) -> PreTrainedModel:
    """Load the encoder without any head, ready for inference."""
    return load_model("AutoModel", folder)


def load_classifier(folder: Path) -> PreTrainedModel:
    """Load the encoder with a classification head of six labels; a head the checkpoint lacks is drawn at random."""
    names: dict[str, Any] = {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: i for i, label in enumerate(LABELS)},
    }
    problem = "single_label_classification"  # else the first step sets it, which a resumed run may not take
    kind = "AutoModelForSequenceClassification"
    return load_model(kind, folder, draw_head=True, num_labels=len(LABELS), problem_type=problem, **names)


def load_model(
    kind: str, folder: Path, device: torch.device | None = None, *, draw_head: bool = False, **config: Any
) -> PreTrainedModel:
    """Load the model by `kind`, an auto class of transformers, in fp32, on the device and ready for inference.

    CheckpointError where the folder lacks weights (of the head: unless `draw_head`), or holds another architecture.
    """
    import torch
    import transformers

    with _usable(folder):
        model, report = getattr(transformers, kind).from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, use_safetensors=True, **_SAFE, **config
        )
        body = f"{model.base_model_prefix}."
        missing = [name for name in sorted(report["missing_keys"]) if not draw_head or name.startswith(body)]
        if missing:
            raise ValueError(f"it has no weights for {missing[0]}{' and others' if missing[1:] else ''}")
    loaded: PreTrainedModel = model.to(device).eval()
    return loaded


def load_tokenizer(folder: Path, recipe: PinnedCheckpoint | None = None) -> PreTrainedTokenizerBase:
    """Load the folder's own tokenizer; CheckpointError where it is damaged or not the one that the recipe pins."""
    from transformers import AutoTokenizer

    if (folder / "source.spm").is_file() and find_spec("sentencepiece") is None:
        raise CheckpointError(
            f"{folder.name}: its tokenizer needs the package sentencepiece, which is not installed",
            "Install it: pip install sentencepiece",
        )
    with _usable(folder):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **_SAFE)
    if recipe is not None and recipe.behaviour:
        behaviour = tokenizer_behaviour(tokenizer)
        if differing := [name for name, pinned in recipe.behaviour.items() if behaviour[name] != pinned]:
            read = sorted(file.name for file in folder.glob("*token*.json") if file.name not in recipe.sha256)
            raise CheckpointError(
                f"{folder}: its tokenizer is not that of {recipe.checkpoint} (another {' and '.join(differing)}); "
                f"beside the pinned files it read {', '.join(read) or 'none'}",
                f"Take the tokenizer files of {recipe.checkpoint} at revision {recipe.revision}, and no others.",
            )
    return tokenizer


def behaviour_of(folder: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Return what a checkpoint does, each as a SHA-256: `tokenizer`, `probes` and `config` (loaded, with its dtype)."""
    from transformers import AutoConfig

    with _usable(folder):
        config = AutoConfig.from_pretrained(folder, **_SAFE)
    fields = {name: value for name, value in config.to_dict().items() if name not in NOT_BEHAVIOUR}
    return {**tokenizer_behaviour(tokenizer), "config": _canonical_sha256({**fields, "dtype": str(config.dtype)})}


def tokenizer_behaviour(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """Return the SHA-256 of the tokenizer's state, without what each call sets, and of its ids of `PROBES`."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    state = json.loads(backend.to_str()) if backend is not None else {"vocab": tokenizer.get_vocab()}
    state |= {"truncation": tokenizer.truncation_side, "padding": tokenizer.padding_side}
    ids = [tokenizer(text, truncation=False, verbose=False)["input_ids"] for text in PROBES]
    return {"tokenizer": _canonical_sha256(state), "probes": _canonical_sha256(ids)}


def vocabulary_sha256(vocabulary: dict[str, int]) -> str:
    """Return the SHA-256 of the vocabulary as a vocab.txt: one piece a line, in the order of ids."""
    lines = (f"{piece}\n" for piece in sorted(vocabulary, key=vocabulary.__getitem__))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _canonical_sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        with quiet():
            yield
    except Exception as error:  # noqa: BLE001 (transformers raises whatever it meets in a damaged folder)
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"the checkpoint {folder.name} cannot be used: {why}", "Fetch its files again, all of them."
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' load report and bars, which tell of heads that are meant to be new, off the screen."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
