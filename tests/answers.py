"""Type the commands of answers.toml where only the base is installed; `python tests/answers.py PAGE` writes a table.

Exit code 1: a command left with another code than the one expected, or did not say what it must.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
SHOWN = 200  # characters of an answer
HEAD = """# Commands and their answers

What people type, and what they read. Only the base is installed (no torch); the folder holds the committed `results`,
an executed notebook, a text file, a JSON file that was cut off, and an empty folder. Of an answer in numbers only a few
words are shown, of an error all of it. `python tests/answers.py docs/answers.md` writes this page and fails where an
answer is not the one expected.
"""
COLUMNS = "| `repro …` | exit code | answer |\n| --- | --- | --- |\n"


def lay_out(folder: Path) -> None:
    """Put what the commands name into their folder."""
    shutil.copytree(HERE.parent / "results", folder / "results")
    shutil.copy(HERE / "diagnosis" / "strangers" / "beside" / "english.ipynb", folder / "my-notebook.ipynb")
    (folder / "notes.txt").write_text("notes\n")
    (folder / "broken.json").write_text('{"log_history": [')
    (folder / "empty").mkdir()


def ask(command: str, folder: Path) -> tuple[int, str]:
    """Type one command after `repro`; return its exit code and what it wrote."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("REPRO_", "GITHUB_"))}
    done = subprocess.run(
        [sys.executable, "-m", "repro", *shlex.split(command)], cwd=folder, capture_output=True, text=True,
        check=False, env=environment | {"COLUMNS": "120", "NO_COLOR": "1", "PYTHONUTF8": "1"},
    )  # fmt: skip
    return done.returncode, done.stderr + done.stdout


def shown(text: str) -> str:
    """Return the beginning of an answer for a cell of a Markdown table, without the frames of typer's boxes."""
    error, _, rest = text.partition("\n") if text.startswith("error: ") else ("", "", text)
    words = re.sub(r"[─╭╮╰╯│┃━╇┏┓┡┩]+|Usage: .*|Try .* for help\.", " ", rest).split()
    line = " ".join([error, "⏎"] * bool(error) + words).replace("|", "\\|").removeprefix("Error ")
    return (line if len(line) <= SHOWN else line[: SHOWN - 1].rpartition(" ")[0] + " …").replace("<", "&lt;")


def main() -> int:
    """Type every command, write the page that is named, and return the exit code."""
    groups: dict[str, list[tuple[str, int, str]]] = tomllib.loads(HERE.joinpath("answers.toml").read_text())
    page, wrong = HEAD, []
    with TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        for group, cases in groups.items():
            page += f"\n## {group.capitalize()}\n\n{COLUMNS}"
            for command, code, expected in cases:
                left, text = ask(command, folder)
                page += f"| `{command}` | {left} | {shown(text) if left > 1 else f'… {expected} …'} |\n"
                if left != code or expected not in text or "Traceback" in text:
                    wrong.append(f"repro {command}: {left}, expected {code} and {expected!r}\n{text}")
    for path in sys.argv[1:]:
        Path(path).write_text(page)
    sys.stdout.write("\n".join(wrong) or page)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
