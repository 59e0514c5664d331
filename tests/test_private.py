"""Who ran it, on which machine and in which folder is nobody's business: all of it is planted, and looked for."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import matplotlib as mpl
import pytest

from repro.errors import without_private_parts
from tests.files import git
from tests.forked import drive, minilm_folder, write_tweets
from tests.running import ROOT, cases

PERSON, HOST, TOKEN = "jane.planted", "planted-host", "hf_plantedplantedplanted"
COMMANDS = (
    "run corpus-facts token-facts --recipe minilm --checkpoints {home}/checkpoints --corpus {home}/tweets"
    " --results results",
    "run finetune inference --recipe tiny --corpus {home}/tweets --epochs 1 --save ../models --results results",
    "verify --results results",
    "verify --results results --json",
    "report --results results",
    "regress {home}/suite/results {home}/suite/results --junit results/junit.xml --json",
    "predict so_happy --model ../models/tiny-distilbert-finetuned-emotion-seed0-*",
    "share ../models/tiny-distilbert-finetuned-emotion-seed0-*",
)
HOST_NAME = f"""
import os, platform, socket
real = os.uname()
os.uname = lambda: os.uname_result((real.sysname, {HOST!r}, real.release, real.version, real.machine))
socket.gethostname = lambda: {HOST!r}
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home folder and what was printed, after every command was run from a clone by somebody with a name and more."""
    home = tmp_path_factory.mktemp("home") / PERSON
    suite = home / "suite"
    shutil.copytree(ROOT / "repro", suite / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    (suite / ".gitignore").write_text("results/\n__pycache__/\n")
    author = ["-c", f"user.name={PERSON}", "-c", f"user.email={PERSON}@{HOST}"]
    for words in (
        ["init", "-q"], ["remote", "add", "origin", f"https://{PERSON}:{TOKEN}@{HOST}/{home}"], ["add", "."],
        [*author, "commit", "-qm", "suite"],
    ):  # fmt: skip
        git(suite, *words)
    for name in ("checkpoints", "plant", "tmp"):
        (home / name).mkdir()
    (home / "checkpoints" / "all-MiniLM-L6-v2").symlink_to(minilm_folder())
    (home / "plant" / "sitecustomize.py").write_text(HOST_NAME)
    environment = {
        "PYTHONPATH": f"{home}/plant{os.pathsep}{suite}", "HOME": str(home), "TMPDIR": str(home / "tmp"),
        "USER": PERSON, "LOGNAME": PERSON, "HOSTNAME": HOST, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1", "GITHUB_STEP_SUMMARY": str(suite / "results" / "summary.md"),
        "MPLCONFIGDIR": mpl.get_cachedir(), "COLUMNS": "300",
    }  # fmt: skip
    commands = [command.format(home=home) for command in COMMANDS]
    codes, out, err = drive(suite, write_tweets(home / "tweets"), *commands, **environment)
    assert [*codes[:2], *codes[4:]] == [0] * 6, out + err  # verify leaves with 1: these are no tweets
    return home, out + err


def test_no_file_and_no_output_says_who_where_or_with_what_token(planted: tuple[Path, str]) -> None:
    home, printed = planted
    written = [path for folder in ("suite/results", "models") for path in (home / folder).rglob("*") if path.is_file()]
    assert {path.suffix for path in written} >= {".json", ".md", ".html", ".csv", ".svg", ".xml", ".safetensors"}
    assert "finetune, seed 0" in printed
    for secret in (PERSON, HOST, TOKEN):
        assert [path for path in written if secret.encode() in path.read_bytes().lower()] == []
        assert secret not in printed.lower()
    assert [path for path in (home / "tmp").rglob("*") if path.suffix in (".safetensors", ".json")] == []


def test_the_commit_is_recorded_and_not_where_it_comes_from(planted: tuple[Path, str]) -> None:
    suite = planted[0] / "suite"
    provenance = json.loads(next((suite / "results" / "runs").rglob("*.json")).read_text())["provenance"]
    assert provenance["commit"] == git(suite, "rev-parse", "HEAD")
    assert provenance["dirty"] is False


@pytest.mark.parametrize("case", cases("private.csv"), ids=lambda case: case["text"])
def test_the_text_of_an_error_is_kept_without_its_paths_and_secrets(
    case: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "HOME": "/home/jane planted", "HF_TOKEN": TOKEN, "HF_ENDPOINT": "https://jane:s3cr3t-pass@hub.example",
        "DB_PASSWD": "passwd1!", "GITHUB_PAT": "pat-planted", "AWS_CREDENTIALS": "cred-planted",
        "PROXY_PW": "pw-planted",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert without_private_parts(case["text"]) == case["kept"]


def test_private_parts_are_taken_out_in_a_deleted_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert without_private_parts("/srv/data/john/model.bin is cut") == "…/model.bin is cut"


def test_a_login_in_the_hubs_address_stands_in_no_output(tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": "http://jane:s3cr3t-pass@127.0.0.1:9/hf", "HF_HOME": str(tmp_path / "hf")}
    tweets = write_tweets(tmp_path / "tweets")
    codes, out, err = drive(tmp_path, tweets, "assets fetch distilbert corpus", **environment)
    assert codes == [5], err
    assert "s3cr3t-pass" not in out + err
    assert out.count("no connection") == 2
