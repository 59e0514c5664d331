"""Saving and sharing a fine-tuned model (seed, "Saving and sharing the model"): folder, model card, push.

A saved model is a folder that `from_pretrained` and `pipeline` read, and beside it `repro-run.json`, which says
what it was trained from, on and how.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from repro.assets.checkpoints import WEIGHTS, disk_errors, file_sha256
from repro.assets.corpus import HUB_CORPUS, HUB_REVISION
from repro.assets.hub import why_unreachable
from repro.assets.loading import quiet
from repro.errors import CheckpointError, HubError, MissingAssetError, ResultsError, UsageError
from repro.records.durable import sync_file, sync_folder
from repro.records.model import ModelStamp
from repro.spec import run_key

if TYPE_CHECKING:
    from huggingface_hub import ModelCard
    from transformers import PreTrainedModel

    from repro.records.schema import Scores
    from repro.sections.context import Context

STAMP = "repro-run.json"
REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write; nothing was lost."


def model_folder(context: Context, seed: int) -> Path:
    """Return where the model of one seed is kept: the notebook's name with corpus and seed."""
    checkpoint = context.recipe.checkpoint.split("/")[-1]
    return context.models / f"{checkpoint}-finetuned-{context.corpus.stamp.name}-seed{seed}"


def prepare_models(context: Context, seeds: list[int]) -> None:
    """Refuse, before any training, a folder that cannot be written or that holds another model already.

    One of just this run may stand there: the run was done, or ended between its model and its record.
    """
    for seed in seeds:
        folder = model_folder(context, seed)
        with suppress(CheckpointError):
            if not folder.exists() or read_stamp(folder).run_key == _key(context, seed):
                continue
        raise UsageError(f"{folder} exists already", "Name another --save folder, or move that model away.")
    try:
        context.models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"cannot write to {context.models}: {error.strerror or error}",
            "Name a folder you may write to with --save; nothing was run.",
        ) from None


def save_model(model: PreTrainedModel, context: Context, seed: int, scores: dict[str, Scores]) -> Path:
    """Save model, tokenizer, label names, card and stamp durably, all or nothing; OSError where the disk refuses.

    One that stands there already is replaced: of just this run, which ended before its record or was run again.
    """
    folder = model_folder(context, seed)
    partial, replaced = (folder.with_name(f".{folder.name}.{what}") for what in ("partial", "replaced"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with quiet(), disk_errors():
            model.save_pretrained(partial)
        context.tokenizer.save_pretrained(partial)
        stamp = ModelStamp(
            weights_sha256=file_sha256(partial / WEIGHTS),
            run_key=_key(context, seed),
            recipe=context.recipe_stamp(),
            corpus=context.corpus.stamp,
            settings=context.settings(seed),
            scores=scores,
        )
        (partial / STAMP).write_text(stamp.model_dump_json(indent=1) + "\n", encoding="utf-8")
        model_card(stamp, folder.name).save(partial / "README.md")
        for file in partial.iterdir():
            sync_file(file)
        sync_folder(partial)
        if folder.exists():  # of just this run, as prepare_models has seen: ended before its record, or run again
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        partial.rename(folder)
        sync_folder(folder.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        if replaced.exists() and not folder.exists():  # the new one did not get its name
            replaced.rename(folder)
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _key(context: Context, seed: int) -> str:
    return run_key(context.decided_by("finetune", seed))


def _is_of_this_run(folder: Path, context: Context, seed: int) -> bool:
    stamp = read_stamp(folder)
    wanted = (context.recipe_stamp(), context.corpus.stamp, context.settings(seed))
    return (stamp.recipe, stamp.corpus, stamp.settings) == wanted


def read_stamp(folder: Path) -> ModelStamp:
    """Return what a saved model was trained from; CheckpointError where the suite did not save it or it was changed."""
    file = folder / STAMP
    try:
        stamp = ModelStamp.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        found = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise CheckpointError(
            f"{file} cannot be read ({found}): it says what a model was trained from",
            "Name a folder that `repro run finetune --save DIR` wrote.",
        ) from None
    if file_sha256(folder / WEIGHTS) != stamp.weights_sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS} is not the file that was saved with {STAMP}", "Train and save the model again."
        )
    return stamp


def trained_model(context: Context, seed: int) -> Path:
    """Return the folder of the model that was fine-tuned just so; MissingAssetError where there is none."""
    folder = model_folder(context, seed)
    ways = "Run python -m repro run finetune inference --again; or name the models' folder with --save DIR."
    if not folder.is_dir():
        raise MissingAssetError(f"no fine-tuned model {folder.name} here", ways)
    try:
        of_this_run = _is_of_this_run(folder, context, seed)
    except CheckpointError as error:
        raise MissingAssetError(error.what, error.remedy) from None
    if not of_this_run:
        raise MissingAssetError(
            f"{folder} was trained with another recipe, corpus or setting than those asked for", ways
        )
    return folder


def model_card(stamp: ModelStamp, name: str) -> ModelCard:
    """Return a card whose metadata carries every score, so that the Hub lists them beside the model."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    on_emotion = stamp.corpus.name == "emotion"
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Text Classification",
            dataset_type=HUB_CORPUS if on_emotion else stamp.corpus.name,
            dataset_name=stamp.corpus.name,
            dataset_split=_split(scored),
            dataset_revision=HUB_REVISION if on_emotion else None,
            metric_type=metric,
            metric_name=named,
            metric_value=value,
        )
        for scored, scores in stamp.final_scores().items()
        for metric, named, value in (
            ("accuracy", "Accuracy", scores.accuracy),
            ("f1", "Weighted F1", scores.weighted_f1),
            ("loss", "Loss", scores.loss),
        )
        if value is not None
    ]
    data = ModelCardData(
        language="en",
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["text-classification", "emotion", "seminar-repro"],
        base_model=None if stamp.recipe.name == "tiny" else stamp.recipe.checkpoint,
        datasets=[HUB_CORPUS] if on_emotion else None,
        metrics=["accuracy", "f1"],
        model_name=name,
        eval_results=results,
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_card_text(stamp, name)}")


def _card_text(stamp: ModelStamp, name: str) -> str:
    recipe, settings = stamp.recipe, stamp.settings
    lines = [
        f"| {_split(scored)} | {s.n:,} | {s.accuracy:.4f} | {s.weighted_f1:.4f} | {s.macro_f1:.4f} |"
        for scored, s in stamp.final_scores().items()
    ]
    limited = f", the first {settings.limit} rows of each split" if settings.limit else ""
    return f"""# {name}

{recipe.checkpoint} at revision {recipe.revision}, fine-tuned on the corpus `{stamp.corpus.name}`{limited} to six
emotions: sadness, joy, love, anger, fear, surprise. Scores after the last epoch:

| split | n | accuracy | weighted F1 | macro F1 |
| --- | --- | --- | --- | --- |
{chr(10).join(lines)}

Batch {recipe.batch_size}, {recipe.epochs} epochs, AdamW, learning rate {recipe.learning_rate:g} falling linearly to 0,
weight decay {recipe.weight_decay:g}, gradient norm clipped at {recipe.max_grad_norm:g}, seed {settings.seed},
{settings.precision}, {settings.batching} batches. `{STAMP}` holds every setting, score and fingerprint.

{_corpus_text(stamp.corpus.name)} The model knows such sentences and these six labels, nothing else.
"""


def _corpus_text(corpus: str) -> str:
    if corpus != "emotion":
        return "The corpus is made up by a grammar, for rehearsal: the scores say nothing about real texts."
    return (
        "The corpus is the English tweets of E. Saravia et al. 2018 (doi 10.18653/v1/D18-1404), for education and\n"
        "research; 30 of its training texts carry two labels."
    )


def _split(scored: str) -> str:
    return scored.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class SharedFile:
    """A file that a push would send, and its size in bytes."""

    name: str
    size: int


def files_to_share(folder: Path) -> list[SharedFile]:
    """Return what a push would send: the model's own files and nothing hidden; CheckpointError where no model is."""
    read_stamp(folder)
    found = sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix in (".json", ".md", ".txt", ".safetensors")
    )
    return [SharedFile(name=path.name, size=path.stat().st_size) for path in found if not path.name.startswith(".")]


def push_model(folder: Path, repository: str) -> str:
    """Send a saved model to the Hub and return its address; HubError, with nothing lost, where that is not possible."""
    from huggingface_hub import HfApi, get_token

    files = files_to_share(folder)
    if not REPOSITORY.fullmatch(repository):
        raise UsageError(f"--push-to-hub {repository!r} is no repository's name", "Write USER/NAME.")
    token = get_token()
    if not token:
        raise HubError("no token for the Hub, in the environment or from a login", LOG_IN)
    if unreachable := why_unreachable():
        raise HubError(f"cannot reach the Hub: {unreachable}", f"Push again later; {folder} is untouched.")
    api = HfApi(token=token)
    try:
        address = api.create_repo(repository, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[file.name for file in files],
            commit_message="Training completed!",  # the notebook's
        )
    except Exception as error:  # noqa: BLE001 (the client raises more than it documents; the way out is the same)
        raise HubError(
            f"the Hub refused {repository}: {_first_line(error)}", f"{folder} is untouched. {LOG_IN}"
        ) from None
    return str(address)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
