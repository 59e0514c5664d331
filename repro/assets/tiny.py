"""Tiny models of random weights: the `tiny` recipe's encoder, and one for each task of the tour (tiny.toml).

Each has its checkpoint's architecture and kind of tokenizer. They say nothing true; they let everything run where a
checkpoint is not available, so that shapes, spans and formats are the real ones.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from repro.assets.corpus import read_rows
from repro.assets.loading import quiet
from repro.assets.notebook import LETTER, QUESTION, REPLY, REPLY_HEAD

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MODELS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
ENCODER = "encoder"
BPE_SIZE = 1200
POSITIONS = 512
START, PAD, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"


@cache
def tiny_folder(task: str = ENCODER) -> Path:
    """Return a folder with a task's tiny model and its tokenizer, built once a process and removed when it ends."""
    folder = Path(_home().name, task)
    build_tiny_tour(task, folder)
    return folder


def build_tiny_tour(task: str, folder: Path, *, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
    """Save the task's tiny model of random weights with `tokenizer`, or with the kind that its architecture has."""
    import torch
    import transformers

    about = MODELS[task]
    tokenizer = tokenizer or _tokenizer(about["tokenizer"])
    settings = {"vocab_size": len(tokenizer), **about["config"]}
    settings |= {name: tokenizer.convert_tokens_to_ids(piece) for name, piece in about.get("special", {}).items()}
    if labels := about.get("labels"):
        settings["id2label"] = dict(enumerate(labels))
    config = transformers.AutoConfig.for_model(about["architecture"], **settings)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        model = getattr(transformers, about["kind"]).from_config(config)
        with torch.no_grad():
            for parameter in model.parameters() if task != ENCODER else ():
                parameter.mul_(4)  # with the usual small weights every choice would be a tie
        if task == "translation":
            model.generation_config.max_length = 104  # stated by the checkpoint, as the real one states 512
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@cache
def _home() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tiny-models-")


def _tokenizer(kind: str) -> PreTrainedTokenizerBase:
    """Make the rehearsal corpus's word pieces, or train pieces on our own sentences.

    Those are GPT-2's byte-level BPE, the same framed in <s> and </s> as BART's, or pieces over ▁-marked words, the
    kind of Marian's SentencePiece models.
    """
    from tokenizers import Tokenizer, processors
    from tokenizers.implementations.byte_level_bpe import ByteLevelBPETokenizer
    from tokenizers.implementations.sentencepiece_bpe import SentencePieceBPETokenizer
    from transformers import DistilBertTokenizer, PreTrainedTokenizerFast

    _, rows = read_rows("rehearsal")
    if kind == "word pieces":
        words = {word for split in rows.values() for text, _ in split for word in text.split()}
        letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789"))
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
        pieces += sorted(words - set(pieces))
        return DistilBertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=POSITIONS)
    names, of_bytes = {"pad_token": PAD, "eos_token": END, "unk_token": UNKNOWN}, kind != "sentence pieces"
    tokenizer: Any = ByteLevelBPETokenizer() if of_bytes else SentencePieceBPETokenizer(unk_token=UNKNOWN)
    tokenizer.train_from_iterator(
        [*[LETTER, QUESTION, REPLY_HEAD + REPLY] * 50, *(text for text, _ in rows["train"])],
        special_tokens=[START, PAD, END, UNKNOWN] if of_bytes else [END, UNKNOWN, PAD],
        vocab_size=BPE_SIZE, min_frequency=0, show_progress=False,
    )  # fmt: skip
    if of_bytes:
        names["bos_token"] = START
    else:
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[(END, 0)])
    if kind == "framed byte pairs":
        tokenizer.post_processor = processors.RobertaProcessing((END, 2), (START, 0), trim_offsets=True)
    backend = Tokenizer.from_str(tokenizer.to_str())
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=POSITIONS, **names)
