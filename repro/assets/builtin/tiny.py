"""Tiny models of random weights: the `tiny` recipe's encoder, and one for each task of the tour.

Each has its checkpoint's architecture and kind of tokenizer. They say nothing true; they let everything run where a
checkpoint is not available, so that shapes, spans and formats are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from repro.assets.builtin.letter import LETTER, QUESTION, REPLY, REPLY_HEAD
from repro.assets.builtin.rehearsal import rehearsal_rows
from repro.assets.loading import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BPE_SIZE = 1200
POSITIONS = 512
START, PAD, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"


def build_tiny(folder: Path) -> None:
    """Save a two-layer DistilBERT of random weights, 64 wide, with a vocabulary of the rehearsal corpus's words."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    tokenizer = _word_pieces()
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=64, n_layers=2, n_heads=4, hidden_dim=128, max_position_embeddings=POSITIONS
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@cache
def tiny_folder() -> Path:
    """Return the folder of the tiny checkpoint, built once a process and removed when it ends."""
    folder = Path(_home().name, "encoder")
    build_tiny(folder)
    return folder


@cache
def tiny_tour_folder(task: str) -> Path:
    """Return a folder with the task's tiny model and its tokenizer, built once a process."""
    folder = Path(_home().name, task)
    build_tiny_tour(task, folder)
    return folder


def build_tiny_tour(task: str, folder: Path, *, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
    """Save the task's tiny model of random weights with `tokenizer`, or with the kind that its architecture has."""
    import torch
    import transformers

    kind, architecture, make_tokenizer = _TASKS[task]
    chosen = tokenizer or make_tokenizer()
    settings = {"vocab_size": len(chosen), **_sizes(architecture, chosen)}
    if task in _LABELS:
        settings["id2label"] = dict(enumerate(_LABELS[task]))
    config = transformers.AutoConfig.for_model(architecture, **settings)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        model = getattr(transformers, kind).from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)  # with the usual small weights every choice would be a tie
        if task == "translation":
            model.generation_config.max_length = 104  # stated by the checkpoint, as the real one states 512
        model.save_pretrained(folder)
    chosen.save_pretrained(folder)


@cache
def _home() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tiny-models-")  # removed when the process ends


def _sizes(architecture: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    if architecture == "distilbert":
        return {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    if architecture == "bert":
        return {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    if architecture == "gpt2":
        sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 2 * POSITIONS}
        return {**sizes, "bos_token_id": end, "eos_token_id": end}
    return {
        "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": POSITIONS, "pad_token_id": pad, "eos_token_id": end,
        "bos_token_id": tokenizer.bos_token_id, "forced_eos_token_id": end,
        "decoder_start_token_id": end if architecture == "bart" else pad,
    }  # fmt: skip


def _word_pieces() -> PreTrainedTokenizerBase:
    from transformers import DistilBertTokenizer

    words = {word for rows in rehearsal_rows().values() for text, _ in rows for word in text.split()}
    letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += sorted(words - set(pieces))
    return DistilBertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=POSITIONS)


def _byte_pairs(*, framed: bool = False) -> PreTrainedTokenizerBase:
    """Train byte-level BPE on our own sentences, GPT-2's kind; `framed` in <s> and </s> as BART's is."""
    from tokenizers import decoders, pre_tokenizers, processors

    parts = {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=False), "decoder": decoders.ByteLevel()}
    if framed:
        parts["post_processor"] = processors.RobertaProcessing((END, 2), (START, 0), trim_offsets=True)
    letters = pre_tokenizers.ByteLevel.alphabet()
    return _trained([START, PAD, END, UNKNOWN], parts, initial_alphabet=letters, bos_token=START)


def _sentence_pieces() -> PreTrainedTokenizerBase:
    """Train pieces over ▁-marked words on our own sentences, the kind of Marian's SentencePiece models."""
    from tokenizers import decoders, pre_tokenizers, processors

    ending = processors.TemplateProcessing(single="$A </s>", special_tokens=[(END, 0)])
    parts = {"pre_tokenizer": pre_tokenizers.Metaspace(), "decoder": decoders.Metaspace(), "post_processor": ending}
    return _trained([END, UNKNOWN, PAD], parts)


def _trained(
    special: list[str], parts: dict[str, Any], *, initial_alphabet: Sequence[str] = (), **more: str
) -> PreTrainedTokenizerBase:
    from tokenizers import Tokenizer, models, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    trainer = trainers.BpeTrainer(
        vocab_size=BPE_SIZE, special_tokens=special, show_progress=False, initial_alphabet=list(initial_alphabet)
    )
    sentences = [*[LETTER, QUESTION, REPLY_HEAD + REPLY] * 50, *(text for text, _ in rehearsal_rows()["train"])]
    tokenizer.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN, model_max_length=POSITIONS, **more
    )


_LABELS = {"sentiment": ("NEGATIVE", "POSITIVE"), "entities": ("O", "I-MISC", "I-PER", "I-ORG", "I-LOC")}
_TASKS: dict[str, tuple[str, str, Callable[[], PreTrainedTokenizerBase]]] = {
    "sentiment": ("AutoModelForSequenceClassification", "distilbert", _word_pieces),
    "entities": ("AutoModelForTokenClassification", "bert", _word_pieces),
    "answer": ("AutoModelForQuestionAnswering", "distilbert", _word_pieces),
    "summary": ("AutoModelForSeq2SeqLM", "bart", partial(_byte_pairs, framed=True)),
    "translation": ("AutoModelForSeq2SeqLM", "marian", _sentence_pieces),
    "generation": ("AutoModelForCausalLM", "gpt2", _byte_pairs),
}
