"""Tiny models of random weights: the `tiny` recipe's encoder, and one for each task of the tour.

Each has its checkpoint's architecture and kind of tokenizer. They say nothing true; they let everything run where a
checkpoint is not available, so that shapes, spans and formats are the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from repro.assets.builtin.letter import LETTER, QUESTION, REPLY, REPLY_HEAD
from repro.assets.builtin.rehearsal import rehearsal_rows
from repro.assets.loading import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BPE_SIZE = 1200
ENTITY_LABELS = ("O", "I-MISC", "I-PER", "I-ORG", "I-LOC")
POSITIONS = 512
START, PAD, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"


def build_tiny(folder: Path, *, seed: int = 0) -> None:
    """Save a two-layer DistilBERT of random weights, 64 wide, with a vocabulary of the rehearsal corpus's words."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    tokenizer = _word_pieces()
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=64, n_layers=2, n_heads=4, hidden_dim=128, max_position_embeddings=POSITIONS
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        DistilBertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@cache
def tiny_tour_folder(task: str) -> Path:
    """Return a folder with the task's tiny model and its tokenizer, built once a process."""
    folder = Path(_home().name, task)
    build_tiny_tour(task, folder)
    return folder


def build_tiny_tour(task: str, folder: Path, *, tokenizer: PreTrainedTokenizerBase | None = None) -> None:
    """Save the task's tiny model of random weights with `tokenizer`, or with the kind that its architecture has."""
    import torch

    make_tokenizer, make_model = _BUILDERS[task]
    chosen = tokenizer or make_tokenizer()
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(0)
        model = make_model(chosen)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(4)  # with the usual small weights every choice would be a tie
        model.save_pretrained(folder)
    chosen.save_pretrained(folder)


@cache
def _home() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tiny-tour-")  # removed when the process ends


def _word_pieces() -> PreTrainedTokenizerBase:
    from transformers import DistilBertTokenizer

    words = {word for rows in rehearsal_rows().values() for text, _ in rows for word in text.split()}
    letters = sorted({letter for word in words for letter in word} | set("abcdefghijklmnopqrstuvwxyz0123456789"))
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += sorted(words - set(pieces))
    return DistilBertTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, model_max_length=POSITIONS)


def _byte_pairs(*, framed: bool) -> PreTrainedTokenizerBase:
    """Train byte-level BPE on our own sentences, GPT-2's kind; `framed` in <s> and </s> as BART's is."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = [START, PAD, END, UNKNOWN]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trained.train_from_iterator(
        _sentences(),
        trainers.BpeTrainer(
            vocab_size=BPE_SIZE,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if framed:
        trained.post_processor = processors.RobertaProcessing((END, 2), (START, 0), trim_offsets=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token=START, pad_token=PAD, eos_token=END, unk_token=UNKNOWN,
        model_max_length=POSITIONS,
    )  # fmt: skip


def _sentence_pieces() -> PreTrainedTokenizerBase:
    """Train pieces over ▁-marked words on our own sentences, the kind of Marian's SentencePiece models."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE(unk_token=UNKNOWN))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.decoder = decoders.Metaspace()
    trained.train_from_iterator(
        _sentences(),
        trainers.BpeTrainer(vocab_size=BPE_SIZE, special_tokens=[END, UNKNOWN, PAD], show_progress=False),
    )
    trained.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[(END, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=trained, eos_token=END, unk_token=UNKNOWN, pad_token=PAD, model_max_length=POSITIONS
    )


def _sentences() -> list[str]:
    return [*[LETTER, QUESTION, REPLY_HEAD + REPLY] * 50, *(text for text, _ in rehearsal_rows()["train"])]


def _distilbert_config(tokenizer: PreTrainedTokenizerBase, **more: Any) -> Any:
    from transformers import DistilBertConfig

    return DistilBertConfig(vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=2, hidden_dim=64, **more)


def _sentiment(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import DistilBertForSequenceClassification

    names = dict(enumerate(("NEGATIVE", "POSITIVE")))
    return DistilBertForSequenceClassification(_distilbert_config(tokenizer, id2label=names))


def _entities(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import BertConfig, BertForTokenClassification

    return BertForTokenClassification(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=64, id2label=dict(enumerate(ENTITY_LABELS)),
        )
    )  # fmt: skip


def _answer(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import DistilBertForQuestionAnswering

    return DistilBertForQuestionAnswering(_distilbert_config(tokenizer))


def _translator_sizes(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    return {
        "vocab_size": len(tokenizer), "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": POSITIONS, "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id,
        "forced_eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip


def _summary(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import BartConfig, BartForConditionalGeneration

    sizes = _translator_sizes(tokenizer)
    return BartForConditionalGeneration(BartConfig(**sizes, decoder_start_token_id=tokenizer.eos_token_id))


def _translation(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import MarianConfig, MarianMTModel

    sizes = _translator_sizes(tokenizer)
    model = MarianMTModel(MarianConfig(**sizes, decoder_start_token_id=tokenizer.pad_token_id))
    model.generation_config.max_length = 104  # stated by the checkpoint, as the real one states 512
    return model


def _generation(tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    from transformers import GPT2Config, GPT2LMHeadModel

    end = tokenizer.eos_token_id
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=2 * POSITIONS,
            bos_token_id=end, eos_token_id=end,
        )
    )  # fmt: skip


Builder = tuple[Callable[[], "PreTrainedTokenizerBase"], Callable[["PreTrainedTokenizerBase"], "PreTrainedModel"]]
_BUILDERS: dict[str, Builder] = {
    "sentiment": (_word_pieces, _sentiment),
    "entities": (_word_pieces, _entities),
    "answer": (_word_pieces, _answer),
    "summary": (lambda: _byte_pairs(framed=True), _summary),
    "translation": (_sentence_pieces, _translation),
    "generation": (lambda: _byte_pairs(framed=False), _generation),
}
