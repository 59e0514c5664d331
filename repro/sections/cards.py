"""The model card of a saved model: Hub metadata with every score, and a page of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repro.assets.corpus import HUB_CORPUS, HUB_REVISION

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

    from repro.records.model import ModelStamp


def model_card(stamp: ModelStamp, name: str) -> ModelCard:
    """Return a card whose metadata carries every score, so that the Hub lists them beside the model."""
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["text-classification", "emotion", "seminar-repro", *(["limited-run"] if stamp.settings.limit else [])],
        base_model=None if stamp.recipe.name == "tiny" else stamp.recipe.checkpoint,
        datasets=[HUB_CORPUS] if stamp.corpus.name == "emotion" else None,
        metrics=["accuracy", "f1"],
        model_name=name,
        eval_results=_results(stamp),
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(stamp, name)}")


def _results(stamp: ModelStamp) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    on_emotion, limit = stamp.corpus.name == "emotion", stamp.settings.limit
    return [
        EvalResult(
            task_type="text-classification",
            task_name="Text Classification",
            dataset_type=HUB_CORPUS if on_emotion else stamp.corpus.name,
            dataset_name=stamp.corpus.name + (f" (the first {limit} rows of each split)" if limit else ""),
            dataset_split=_split(scored),
            dataset_revision=HUB_REVISION if on_emotion else None,
            dataset_args={"limit": limit} if limit else None,
            metric_type=metric,
            metric_name=title,
            metric_value=value,
        )
        for scored, scores in stamp.final_scores().items()
        for metric, title, value in (
            ("accuracy", "Accuracy", scores.accuracy),
            ("f1", "Weighted F1", scores.weighted_f1),
            ("loss", "Loss", scores.loss),
        )
        if value is not None
    ]


def _text(stamp: ModelStamp, name: str) -> str:
    recipe, settings, corpus = stamp.recipe, stamp.settings, stamp.corpus.name
    lines = [
        f"| {_split(scored)} | {s.n:,} | {s.accuracy:.4f} | {s.weighted_f1:.4f} | {s.macro_f1:.4f} |"
        for scored, s in stamp.final_scores().items()
    ]
    limited = f", the first {settings.limit} rows of each split" if settings.limit else ""
    warning = f"\n**Not for use: {stamp.warning()}.**\n" if stamp.warning() else ""
    about = (
        "the English tweets of E. Saravia et al. 2018 (doi 10.18653/v1/D18-1404), for education and\n"
        "research; 30 of its training texts carry two labels."
        if corpus == "emotion"
        else "made up by a grammar, for rehearsal: the scores say nothing about real texts."
    )
    return f"""# {name}
{warning}
{recipe.checkpoint} at revision {recipe.revision}, fine-tuned on the corpus `{corpus}`{limited} to six
emotions: sadness, joy, love, anger, fear, surprise. Scores after the last epoch:

| split | n | accuracy | weighted F1 | macro F1 |
| --- | --- | --- | --- | --- |
{chr(10).join(lines)}

Batch {recipe.batch_size}, {recipe.epochs} epochs, AdamW, learning rate {recipe.learning_rate:g} falling linearly to 0,
weight decay {recipe.weight_decay:g}, gradient norm clipped at {recipe.max_grad_norm:g}, seed {settings.seed},
{settings.precision}, {settings.batching} batches. `repro-run.json` holds every setting, score and fingerprint.

The corpus is {about} The model knows such sentences and these six labels, nothing else.
"""


def _split(scored: str) -> str:
    return scored.rpartition("/")[2]
