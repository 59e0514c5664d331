"""Sharing a saved model on the Hub: what its stamp names and nothing else, private unless asked otherwise."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from repro.assets.hub import bounded_hub, why_unreachable
from repro.errors import CheckpointError, HubError, UsageError
from repro.sections.models import STAMP, read_stamp

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write; nothing was lost."
WITHOUT_MODEL = {".gitattributes", "README.md"}  # which the Hub itself puts into a new repository


def files_to_share(folder: Path) -> list[Path]:
    """Return what a push would send, the stamp and the files that it names; CheckpointError for a link among them."""
    paths = [folder / name for name in sorted({*read_stamp(folder).files, STAMP})]
    for path in paths:
        if path.is_symlink() or path.parent.resolve() != folder.resolve() or not path.is_file():
            raise CheckpointError(f"{path} is a link, or no file: it is not sent", "Train and save the model again.")
    return paths


def push_model(folder: Path, repository: str, *, public: bool = False) -> str:
    """Send a saved model to the Hub and return its address; HubError, with nothing lost, where that is not possible.

    The repository is private unless `public`; one that is public unasked or holds another model is refused.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if not REPOSITORY.fullmatch(repository):
        raise UsageError(f"--push-to-hub {repository!r} is no repository's name", "Write USER/NAME.")
    stamp = read_stamp(folder)
    operations = [CommitOperationAdd(path_in_repo=f.name, path_or_fileobj=f) for f in files_to_share(folder)]
    for operation in operations:
        name, digest = operation.path_in_repo, operation.upload_info.sha256.hex()
        if digest != stamp.files.get(name, digest):
            raise CheckpointError(f"{folder / name} is not the file that was saved with {STAMP}", "Nothing was sent.")
    if not (token := get_token()):
        raise HubError("no token for the Hub, in the environment or from a login", LOG_IN)
    if unreachable := why_unreachable():
        raise HubError(f"cannot reach the Hub: {unreachable}", f"Push again later; {folder} is untouched.")
    api = HfApi(token=token)
    try:
        with bounded_hub():
            _refuse_other_use(api, repository, stamp.run_key, public=public)
            address = api.create_repo(repository, private=not public, exist_ok=True)
            api.create_commit(repository, operations, commit_message="Training completed!")  # the notebook's
    except HubError as error:
        raise HubError(f"the Hub did not take {repository}: {error.what}", f"{folder} is untouched. {LOG_IN}") from None
    return str(address)


def _refuse_other_use(api: HfApi, repository: str, run_key: str | None, *, public: bool) -> None:
    """Raise UsageError where the repository exists and holds something else, or is public unasked."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        about = api.model_info(repository)
    except RepositoryNotFoundError:
        return
    names = {each.rfilename for each in about.siblings or ()} - WITHOUT_MODEL
    pushed = None
    if STAMP in names:
        with TemporaryDirectory() as folder:
            pushed = json.loads(Path(api.hf_hub_download(repository, STAMP, local_dir=folder)).read_bytes())
    if names and not (isinstance(pushed, dict) and pushed.get("run_key") == run_key):
        raise UsageError(
            f"{repository} holds another model already ({', '.join(sorted(names)[:3])} …)",
            "Name another repository, or empty that one on its page; nothing was sent.",
        )
    if not about.private and not public:
        raise UsageError(f"{repository} is public", "Say --public if everybody may read the model; nothing was sent.")
