"""The fine-tuned model in use (seed, "Saving and sharing the model"): a probability for each class, by its own name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

from repro.assets.checkpoints import WEIGHTS
from repro.assets.loading import load_model, load_tokenizer, tokenizer_behaviour
from repro.claims.cohorts import Cohort
from repro.display import Drawing, bars
from repro.errors import CheckpointError, UsageError
from repro.records.schema import Measurements
from repro.sections.context import Context, Section
from repro.sections.models import model_folder, read_stamp, trained_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TWEET = "I saw a movie today and it was really good."  # the seminar's own
LONGEST_TITLE = 70  # characters of a text


class FinetunedModel(NamedTuple):
    """A loaded classifier of the six emotions; the note says where it is no better than a dummy."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    note: str


class Prediction(NamedTuple):
    """Probabilities by label, in the order of the model's outputs, and whether the model saw only the text's begin."""

    text: str
    probabilities: dict[str, float]
    cut: bool

    @property
    def label(self) -> str:
        """The most probable label."""
        return max(self.probabilities, key=lambda label: self.probabilities[label])


def run(context: Context, seed: int) -> Measurements:
    """Classify the seminar's tweet with the model fine-tuned from `seed`; MissingAssetError where there is none."""
    folder = trained_model(context, seed)
    with context.timed("load"):
        loaded = load_finetuned(folder)
    with context.timed("predict"):
        prediction = predict(loaded, [TWEET])[0]
    return Measurements(
        facts={
            "text": TWEET,
            "predicted_label": prediction.label,
            "joy_probability": prediction.probabilities["joy"],
            "probabilities": dict(prediction.probabilities),
        },
    )


def load_finetuned(folder: Path) -> FinetunedModel:
    """Load a model that the suite saved, as it was then, tokenizer included; CheckpointError for any other."""
    stamp = read_stamp(folder)
    model, tokenizer = load_model("AutoModelForSequenceClassification", folder), load_tokenizer(folder)
    if tokenizer_behaviour(tokenizer)["probes"] != stamp.behaviour.get("probes"):
        raise CheckpointError(
            f"{folder}: its tokenizer gives other word pieces here than when it was saved",
            "Use the library versions of its record, or train and save the model again.",
        )
    return FinetunedModel(model, tokenizer, stamp.warning())


def predict(loaded: FinetunedModel, texts: Sequence[str]) -> list[Prediction]:
    """Return the probabilities for each text, one at a time as the pipeline does; UsageError for an empty text."""
    import torch

    tokenizer = loaded.tokenizer
    config: Any = loaded.model.config
    limit = min(tokenizer.model_max_length, config.max_position_embeddings)
    predictions = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise UsageError(f"text {number} is empty", "Give the text between quotation marks.")
        whole = tokenizer(text, truncation=False, verbose=False)["input_ids"]
        inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            shares = loaded.model(**inputs).logits[0].double().softmax(dim=-1).tolist()
        by_label = {config.id2label[i]: share for i, share in enumerate(shares)}
        predictions.append(Prediction(text, by_label, cut=len(whole) > limit))
    return predictions


def figures(cohort: Cohort) -> Iterator[Drawing]:
    """Draw the seminar's bar plot for one seed, each bar under its own label; any text shows as it is."""
    record = cohort.records[0]
    probabilities: Any = record.facts.get("probabilities")
    if not probabilities:
        return
    spec, percentages = record.spec, {label: 100 * p for label, p in probabilities.items()}
    figure, axes = bars(percentages, [f"{p:.1f}" for p in percentages.values()])
    axes.set(ylim=(0, 108), ylabel="class probability (%)")
    text = shorten(str(record.facts.get("text", "")), LONGEST_TITLE, placeholder="…")
    caption = f"n = 1 text, {spec.label}, seed {spec.seed}"
    axes.set_title(f"“{text}”\n{caption}", parse_math=False)
    listed = ", ".join(f"{label} {p:.1f} %" for label, p in percentages.items())
    yield Drawing(name="probabilities", figure=figure, title=f"{text}: {caption}", description=listed)


SECTION = Section.of(
    globals(),
    heading="Inference and sharing",
    what="the fine-tuned model on the seminar's tweet",
    seeded=True,
    reads=lambda context, seed: context.save and model_folder(context, seed) / WEIGHTS,  # if it was saved by name
)
