"""Saved models (seed, "Saving and sharing the model"): one folder and one owner a run, whole or not there, verified.

A saved model is a folder that `from_pretrained` and `pipeline` read, and beside it `repro-run.json`, which says
what it was trained from, on and how, and what its files must be.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from repro.assets.checkpoints import WEIGHTS, disk_errors, file_sha256
from repro.assets.corpus import HUB_CORPUS, HUB_REVISION
from repro.assets.loading import behaviour_of, load_tokenizer, quiet
from repro.errors import CheckpointError, MissingAssetError, RecordError, ResultsError, UsageError
from repro.records.durable import make_folder, sealed, sync_file, sync_folder, unsealed
from repro.records.schema import ModelStamp
from repro.spec import run_key

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from repro.records.schema import Scores
    from repro.sections.context import Context

STAMP, CARD = "repro-run.json", "README.md"
READ_BY_LOADERS = (".json", ".txt", ".safetensors", ".model", ".spm", ".jinja")
KEY_LETTERS = 8  # of the run's key in its folder's name
TRAIN_AGAIN, ELSEWHERE = "Train and save the model again.", "Name another --save folder"


def model_folder(context: Context, seed: int) -> Path:
    """Return where the model of one run is kept: the notebook's name with corpus, seed and part of the run's key."""
    checkpoint, corpus = context.recipe.checkpoint.split("/")[-1], context.corpus.stamp.name
    return context.models / f"{checkpoint}-finetuned-{corpus}-seed{seed}-{_key(context, seed)[:KEY_LETTERS]}"


def check_models(context: Context, seeds: Sequence[int]) -> None:
    """Refuse, before anything runs, a --save folder in which one of the runs could not save its model.

    The model of just this run may stand there: the run is completed, or ended between its model and its record.
    """
    for seed in seeds:
        with own_model(context, seed):
            pass


@contextmanager
def own_model(context: Context, seed: int) -> Iterator[None]:
    """Be the only process that makes this run's model while the block lasts.

    ResultsError where another one does or the folder cannot be written, UsageError where something else has its name.
    """
    from filelock import Timeout

    if context.save is None or not context.accelerator.is_main_process:
        yield
        return
    folder = model_folder(context, seed)
    with ExitStack() as owned:
        try:
            make_folder(folder.parent)
            owned.enter_context(_locked(folder))
        except Timeout:
            raise ResultsError(f"another process is making {folder}", f"Wait until it is done. {ELSEWHERE}.") from None
        except OSError as error:
            what = f"cannot write to {folder.parent}: {error.strerror or error}"
            raise ResultsError(what, f"{ELSEWHERE}.") from None
        if folder.exists() and _key_at(folder) != _key(context, seed):
            raise UsageError(f"{folder} exists already", f"{ELSEWHERE}, or move that folder away.")
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Be the only process that gives a model this name; Timeout, an OSError, where another one does."""
    from filelock import FileLock

    with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0) as lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def restore_models(models: Path) -> None:
    """Give each model its name back that a process had moved aside for a newer one when it was killed."""
    for replaced in models.glob(".*.replaced"):
        folder = models / replaced.stem.removeprefix(".")
        with suppress(OSError), _locked(folder):  # else its process lives, and is about to name the newer one
            if folder.exists():
                shutil.rmtree(replaced, ignore_errors=True)
            else:
                replaced.rename(folder)


def save_model(model: PreTrainedModel, context: Context, seed: int, scores: dict[str, Scores]) -> Path:
    """Save model, tokenizer, card and stamp durably, all or nothing, over one of just this run; OSError of the disk."""
    folder = model_folder(context, seed)
    partial, replaced = (folder.with_name(f".{folder.name}.{what}") for what in ("partial", "replaced"))
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with quiet(), disk_errors():
            model.save_pretrained(partial)
        context.tokenizer.save_pretrained(partial)
        _write_stamp(partial, folder.name, context, seed, scores)
        if folder.exists():
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


def _write_stamp(partial: Path, name: str, context: Context, seed: int, scores: dict[str, Scores]) -> None:
    """Write card and stamp beside the model's other files, and all of them to the disk."""
    from huggingface_hub import ModelCard
    from jinja2 import Template

    stamp = ModelStamp(
        weights_sha256=file_sha256(partial / WEIGHTS),
        behaviour=behaviour_of(partial, load_tokenizer(partial)),
        run_key=_key(context, seed),
        recipe=context.recipe_stamp,
        corpus=context.corpus.stamp,
        settings=context.settings(seed),
        scores=scores,
    )
    # its metadata carries every score, so that the Hub lists them beside the model
    template = Template(Path(__file__).with_name("model_card.md").read_text(encoding="utf-8"))
    on_hub = (HUB_CORPUS, HUB_REVISION) if stamp.corpus.name == "emotion" else None
    ModelCard(template.render(dict(stamp), stamp=stamp, name=name, on_hub=on_hub)).save(partial / CARD)
    stamp = stamp.model_copy(update={"files": {path.name: file_sha256(path) for path in sorted(partial.iterdir())}})
    (partial / STAMP).write_text(sealed(stamp.model_dump_json(indent=1) + "\n"), encoding="utf-8")
    readable = (partial / STAMP).stat().st_mode
    for file in partial.iterdir():
        file.chmod(readable)  # safetensors makes its own for the owner alone
        sync_file(file)
    sync_folder(partial)


def _key(context: Context, seed: int) -> str:
    return run_key(context.decided_by("finetune", seed))


def _key_at(folder: Path) -> str | None:
    """Return the key of the run whose model stands there; None for a damaged one, or for something else."""
    with suppress(CheckpointError):
        return read_stamp(folder).run_key
    return None


def read_stamp(folder: Path) -> ModelStamp:
    """Return what a saved model was trained from, once every file that a loader reads is the one that was saved.

    CheckpointError names the file that was changed, is missing, or was put beside them; the card may be rewritten.
    """
    if not folder.exists():
        restore_models(folder.parent)
    if missing := [name for name in (WEIGHTS, STAMP) if not (folder / name).is_file()]:
        inside = [path.parent.name for path in sorted(folder.glob(f"[!.]*/{STAMP}"))]
        hint = f"; did you mean its folder {inside[0]}?" if inside else ""
        raise CheckpointError(
            f"no model folder {folder}: {' and '.join(missing)} cannot be read{hint}",
            "Name a folder that `repro run finetune --save DIR` wrote.",
        )
    try:
        stamp = ModelStamp.model_validate_json(unsealed((folder / STAMP).read_bytes()))
    except (OSError, ValidationError, RecordError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise CheckpointError(f"{folder / STAMP} cannot be read: {what}", TRAIN_AGAIN) from None
    for name, expected in stamp.files.items():
        if name != CARD and (not (folder / name).is_file() or file_sha256(folder / name) != expected):
            raise CheckpointError(f"{folder / name} is not the file that was saved with {STAMP}", TRAIN_AGAIN)
    for path in sorted(folder.iterdir()):
        if path.suffix in READ_BY_LOADERS and path.name not in {*stamp.files, STAMP} and path.name[0] != ".":
            raise CheckpointError(f"{path} was not saved with the model, and would be read with it", "Take it away.")
    return stamp


def trained_model(context: Context, seed: int) -> Path:
    """Return the folder of the model of exactly this run; MissingAssetError where there is none."""
    folder = model_folder(context, seed)
    ways = "Run python -m repro run finetune inference --again; or name the models' folder with --save DIR."
    try:
        if folder.is_dir() and read_stamp(folder).run_key == _key(context, seed):
            return folder
    except CheckpointError as error:
        raise MissingAssetError(error.what, error.remedy) from None
    others = len(list(context.models.glob(f"{folder.name[:-KEY_LETTERS]}*/{STAMP}")))
    beside = f"; {others} of other settings, code or library versions are" if others else ""
    raise MissingAssetError(f"no fine-tuned model {folder.name} is here{beside}", ways)
