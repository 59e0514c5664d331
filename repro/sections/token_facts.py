"""The walk over the tokenizer (seed, "From Text to Tokens" and "Tokenizing the Whole Dataset").

Its class comes from the installed library, its vocabulary from the recipe's checkpoint; a claim is comparable only
where both are the seminar's, DistilBertTokenizer over bert-base-uncased's word pieces.
"""

from __future__ import annotations

from collections.abc import Sequence

from repro.assets.corpus import SPLITS
from repro.assets.loading import vocabulary_sha256
from repro.display import Table
from repro.records.schema import Measurements, RunRecord
from repro.sections.context import Context, Section

SENTENCE = "Tokenizing text is a core task of NLP."  # the seminar's own


def run(context: Context, _seed: int) -> Measurements:
    """Tokenize the seminar's sentence, a padded pair and the whole corpus; another seed changes nothing."""
    from datasets import disable_progress_bars, enable_progress_bars
    from transformers import DistilBertTokenizer

    with context.timed("walk"):
        tokenizer = DistilBertTokenizer.from_pretrained(context.checkpoint.folder, local_files_only=True)
        ids = tokenizer(SENTENCE)["input_ids"]
        pieces, vocabulary = tokenizer.convert_ids_to_tokens(ids), tokenizer.get_vocab()
        pair = tokenizer(context.corpus.texts("train")[:2], padding=True, truncation=True)
        few = context.corpus.splits["train"].select(range(len(pair["input_ids"])))
        disable_progress_bars()  # for two rows
        encoded = few.map(lambda batch: tokenizer(batch["text"], padding=True, truncation=True), batched=True)
        enable_progress_bars()
    with context.timed("tokenize"):
        tokens = {split: context.examples[split].tokens for split in SPLITS}
        lengths = {split: tokens[split].lengths for split in SPLITS}
    special = sorted(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    return Measurements(
        facts={
            "tokenizer": {"class": type(tokenizer).__name__, "vocabulary_sha256": vocabulary_sha256(vocabulary)},
            "ids": list(ids),
            "pieces": list(pieces),
            "string": tokenizer.convert_tokens_to_string(pieces),
            "vocabulary_size": tokenizer.vocab_size,
            "max_length": tokenizer.model_max_length,
            "input_names": list(tokenizer.model_input_names),
            "special_tokens": {token: number for number, token in special},
            "padded_pair": {
                "pieces": [sum(mask) for mask in pair["attention_mask"]],
                "zeros": sum(mask.count(0) for mask in pair["attention_mask"]),
            },
            "columns": sorted(encoded.column_names),
            "longest_tweet": max(int(n.max()) for n in lengths.values()),
            "mean_pieces": float(lengths["train"].double().mean()),
            "tweets_by_pieces": {split: n.bincount().tolist() for split, n in lengths.items()},
            "truncated": sum(tokens[split].truncated for split in SPLITS),
        },
    )


def tables(runs: Sequence[RunRecord]) -> dict[str, Table]:
    """Return the seminar's walk over the tokenizer, of the newest record."""
    rows = [
        (name.replace("_", " "), str(value))
        for record in runs[-1:]
        for name, value in record.facts.items()
        if name != "tweets_by_pieces"
    ]
    return {"tokenizer": Table(("tokenizer", ""), tuple(rows))}


SECTION = Section.of(globals(), heading="Tokenizer", what="the walk over the tokenizer")
