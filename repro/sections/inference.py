"""The fine-tuned model in use (seed, "Saving and sharing the model"): a probability for each class, by its own name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any

from repro.assets.checkpoints import REDIRECTING, WEIGHTS
from repro.assets.loading import load_model, load_tokenizer, tokenizer_behaviour
from repro.display.figure import BARS, Drawing, caption_of, plain_axes
from repro.display.table import Table
from repro.errors import CheckpointError, UsageError
from repro.records.schema import LABELS, Measurements, RunRecord
from repro.sections.context import Context
from repro.sections.models import STAMP, model_folder, read_stamp, trained_model
from repro.sections.section import Section

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from repro.assets.corpus import Corpus

TWEET = "I saw a movie today and it was really good."  # the seminar's own
LONGEST_TITLE = 160  # characters of a text
SAVE_FIRST = "Name a folder that `repro run finetune --save DIR` wrote, or a text classifier of your own."
MAPPED = (
    "the model names its classes LABEL_0 to LABEL_5, as transformers does where no names are given; "
    "six of them are read as the corpus's label ids 0 to 5"
)


@dataclass(frozen=True, kw_only=True)
class FinetunedModel:
    """A loaded classifier, the name of each of its outputs in order, and what its user should know of it, if anything.

    The note says why the names are not the model's own, or that it is no better than a dummy.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Probabilities by label, in the order of the model's outputs, and what of the text the model did not see.

    `unknown` counts word pieces that the vocabulary lacks, `pieces` all of them, special ones not counted; `cut`
    tells that the text was longer than the model's positions.
    """

    text: str
    probabilities: dict[str, float]
    pieces: int
    unknown: int
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
    """Load a classifier from a local folder, safetensors only; CheckpointError says what is wrong with the folder.

    A folder that the suite saved must hold the files that it saved there, and tokenize as it did then.
    """
    config, outputs = _read_config(folder), _outputs(folder)
    stamp = read_stamp(folder) if (folder / STAMP).is_file() else None
    if others := [name for name in REDIRECTING if (folder / name).exists()]:
        raise CheckpointError(f"{folder}: {others[0]} would put other weights in the place of {WEIGHTS}", SAVE_FIRST)
    model = load_model("AutoModelForSequenceClassification", folder, num_labels=outputs)
    tokenizer = load_tokenizer(folder)
    if stamp is not None and tokenizer_behaviour(tokenizer)["probes"] != stamp.behaviour.get("probes"):
        raise CheckpointError(
            f"{folder}: its tokenizer gives other word pieces here than when it was saved",
            "Use the library versions of its record, or train and save the model again.",
        )
    labels, note = name_outputs(config.get("id2label"), outputs)
    notes = [note, stamp.warning() if stamp else ""]
    return FinetunedModel(model=model, tokenizer=tokenizer, labels=labels, note="; ".join(filter(None, notes)))


def name_outputs(id2label: Any, outputs: int) -> tuple[tuple[str, ...], str]:
    """Return a name for each output and, where the names are not the model's, the reason.

    Six outputs without names, or with transformers' LABEL_0 to LABEL_5, get the corpus's; all others stay.
    """
    standard = tuple(f"LABEL_{i}" for i in range(outputs))
    names = standard
    if isinstance(id2label, dict) and id2label:
        different = len({str(name) for name in id2label.values()})
        if sorted(id2label) != sorted(map(str, range(outputs))) or different != outputs:
            raise CheckpointError(
                f"config.json: id2label names {different} classes, the model has {outputs} outputs",
                "Correct id2label: one name of its own for each output, from 0 on.",
            )
        names = tuple(str(id2label[str(i)]) for i in range(outputs))
    if names == standard and outputs == len(LABELS):
        return LABELS, MAPPED
    return names, ""


def predict(loaded: FinetunedModel, texts: Sequence[str]) -> list[Prediction]:
    """Return the probabilities for each text, one at a time as the pipeline does; UsageError for an empty text."""
    import torch

    tokenizer = loaded.tokenizer
    limit = min(tokenizer.model_max_length, loaded.model.config.max_position_embeddings)
    predictions = []
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise UsageError(f"text {number} is empty", "Give the text between quotation marks.")
        whole = tokenizer(text, truncation=False, verbose=False)["input_ids"]
        inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            shares = loaded.model(**inputs).logits[0].double().softmax(dim=-1).tolist()
        unknown = whole.count(tokenizer.unk_token_id)
        prediction = Prediction(
            text=text,
            probabilities=dict(zip(loaded.labels, shares, strict=True)),
            pieces=sum(piece not in tokenizer.all_special_ids for piece in whole) + unknown,  # itself special
            unknown=unknown,
            cut=len(whole) > limit,
        )
        predictions.append(prediction)
    return predictions


def _read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise CheckpointError(f"no model folder {folder}", SAVE_FIRST)
    file = folder / "config.json"
    if not file.is_file():
        inside = sorted(path.parent.name for path in folder.glob("[!.]*/config.json"))
        hint = f"; did you mean its folder {inside[0]}?" if inside else ""
        raise CheckpointError(f"{folder} holds no model: config.json is missing{hint}", SAVE_FIRST)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}", SAVE_FIRST) from None
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} is no object", SAVE_FIRST)
    return config


def _outputs(folder: Path) -> int:
    """Return how many classes the head has, from the weights themselves: a config without labels says two."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="numpy") as weights:
            for name in ("classifier.bias", "classifier.out_proj.bias"):
                if name in weights.keys():  # noqa: SIM118 (no mapping)
                    return int(weights.get_slice(name).get_shape()[0])
    except (OSError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}: expected the weights as {WEIGHTS}: {first}", SAVE_FIRST) from None
    raise CheckpointError(f"{folder}: {WEIGHTS} has no classification head, it was never fine-tuned", SAVE_FIRST)


def printed(record: RunRecord, _corpus: Corpus) -> Iterator[Table]:
    """Show the probability of each class."""
    probabilities: Any = record.facts["probabilities"]
    yield Table(("class", "probability"), tuple((label, f"{p:.4f}") for label, p in probabilities.items()))


def figures(record: RunRecord) -> Iterator[Drawing]:
    """Draw the seminar's bar plot, each bar under the label that it belongs to."""
    probabilities: Any = record.facts.get("probabilities")
    if probabilities:
        spec = record.spec
        name, caption = f"probabilities-{spec.slug}-seed{spec.seed}", f"n = 1 text, {caption_of(spec)}"
        yield probability_drawing(probabilities, str(record.facts.get("text", "")), caption, name)


def probability_drawing(probabilities: Mapping[str, float], text: str, caption: str, name: str) -> Drawing:
    """Draw one bar a label, in the order of the model's outputs, the text as title; any text shows as it is."""
    figure, axes = plain_axes(max(6.4, 0.9 * len(probabilities)), 4.2)
    places, percentages = range(len(probabilities)), [100 * p for p in probabilities.values()]
    bars = axes.bar(places, percentages, color=BARS)
    axes.bar_label(bars, [f"{p:.1f}" for p in percentages], padding=2, fontsize=9)
    axes.set_xticks(places, list(probabilities), parse_math=False)
    if len(probabilities) > len(LABELS):
        axes.tick_params(axis="x", labelrotation=30)
    axes.set(ylim=(0, 108), ylabel="class probability (%)")
    title = shorten(text, LONGEST_TITLE, placeholder="…")
    quoted = "\n".join(wrap(f"“{title}”", 70))
    axes.set_title(f"{quoted}\n{caption}", fontsize=10, parse_math=False)
    listed = ", ".join(f"{label} {p:.1f} %" for label, p in zip(probabilities, percentages, strict=True))
    return Drawing(name=name, figure=figure, title=f"{title}: {caption}", description=listed)


def _saved_weights(context: Context, seed: int) -> Path | None:
    return context.outputs.save and model_folder(context, seed) / WEIGHTS


SECTION = Section(
    name="inference",
    heading="Inference and sharing",
    what="the fine-tuned model on the seminar's tweet",
    run=run,
    seeded=True,
    reads=_saved_weights,
    printed=printed,
    figures=figures,
)
