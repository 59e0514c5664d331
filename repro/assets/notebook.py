"""The tour's letter, question and prompt, read out of the notebook that is being verified; no cell is ever executed.

A notebook is an .ipynb or its text export, in which each code cell follows a line `In [None]:`. Its top-level
assignments of text are evaluated as literals, and what they join with `+`; nothing else is looked at.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from repro.assets.builtin.letter import LETTER, QUESTION, REPLY, REPLY_HEAD
from repro.errors import MissingAssetError, UsageError

# the book's chapter 1, at the commit that the claims' cell numbers are of; its letter is the seminar's, word for word
BOOK = "https://raw.githubusercontent.com/nlp-with-transformers/notebooks/0cb2110/01_introduction.ipynb"
BOOK_LETTER_SHA256 = "b9ec7fe17c6ea80c4633c776e870b7f1e6f4150222d273ad982dcb62bc684661"
WAYS = "Name the notebook with --seminar FILE (.ipynb or its text export), or rehearse with --corpus rehearsal."
LARGEST_BYTES = 50_000_000
SECONDS = 20
_CELL = re.compile(r"^(?:# )?In ?\[(?:None|\d*| )\]:\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class TourTexts:
    """What the six tasks are given: the `letter`, the `question` on it, and the `prompt` to be continued."""

    letter: str
    question: str
    prompt: str

    def sha256(self) -> dict[str, str]:
        """Return each text's SHA-256, by which a record tells what it was measured on."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in vars(self).items()}


OURS = TourTexts(letter=LETTER, question=QUESTION, prompt=LETTER + REPLY_HEAD + REPLY)


def tour_texts(seminar: Path | None, *, rehearsal: bool) -> TourTexts:
    """Return the texts of the notebook `seminar`; without one, our own for the rehearsal, else the book's, fetched.

    Raises UsageError for a file that is no such notebook, MissingAssetError where the book cannot be reached.
    """
    if seminar is not None:
        return read_notebook(seminar)
    return OURS if rehearsal else _fetch_book()


def read_notebook(file: Path) -> TourTexts:
    """Read the texts out of an .ipynb or a text export; UsageError names the file and what it lacks."""
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise UsageError(f"{file} is larger than a notebook is", WAYS)
        content = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"the notebook {file} cannot be read: {what}", WAYS) from None
    return texts_in(content, str(file))


def texts_in(content: str, name: str) -> TourTexts:
    """Find the texts in a notebook's content; `name` is for the error."""
    known: dict[str, str] = {}
    letter = None
    for cell in _code_cells(content, name):
        for target, text in _assigned_texts(cell, known):
            known[target] = text
            if target == "question":
                letter = known.get("text")  # as it is then: the notebook uses the name again
    texts = {"letter": letter, "question": known.get("question"), "prompt": known.get("prompt")}
    lacking = [part for part, text in texts.items() if not text or not text.strip()]
    if lacking:
        raise UsageError(
            f"{name}: no {lacking[0]} found in its code cells (expected text = …, question = …, prompt = text + …)",
            WAYS,
        )
    return TourTexts(**{part: text for part, text in texts.items() if text})


def _code_cells(content: str, name: str) -> Iterator[str]:
    """Yield the source of each code cell."""
    if content.lstrip().startswith("{"):
        try:
            cells = json.loads(content)["cells"]
            yield from ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{name} is no notebook of Jupyter's format 4: {error!r}", WAYS) from None
    else:
        yield from _CELL.split(content)[1:]


def _assigned_texts(cell: str, known: dict[str, str]) -> Iterator[tuple[str, str]]:
    for statement in _statements(cell):
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, text = statement.targets[0], _text_of(statement.value, known)
            if isinstance(target, ast.Name) and text is not None:
                known = {**known, target.id: text}
                yield target.id, text


def _statements(cell: str) -> list[ast.stmt]:
    """Parse the longest beginning of a cell that is Python: in an export the text of the next cell follows it."""
    lines = [line for line in cell.split("\n") if not line.lstrip().startswith(("!", "%"))]
    for end in range(len(lines), 0, -1):
        try:
            return ast.parse("\n".join(lines[:end])).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return []


def _text_of(node: ast.expr, known: dict[str, str]) -> str | None:
    """Return the text that a literal, a known name or a sum of both stands for; None for anything else."""
    if isinstance(node, ast.Constant):
        value = ast.literal_eval(node)
        return value if isinstance(value, str) else None
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text_of(node.left, known), _text_of(node.right, known)
        return None if left is None or right is None else left + right
    return None


def _fetch_book() -> TourTexts:
    from repro.assets.hub import why_unreachable

    try:
        if offline := why_unreachable():
            raise URLError(offline)
        with urlopen(BOOK, timeout=SECONDS) as answer:
            content = answer.read(LARGEST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "reason", None) or error
        raise MissingAssetError(
            f"the seminar's letter is not at hand: the book's cannot be had ({reason})", WAYS
        ) from None
    found = texts_in(content, BOOK)
    if found.sha256()["letter"] != BOOK_LETTER_SHA256:
        raise MissingAssetError(f"{BOOK} does not hold the letter that the claims are about", WAYS)
    return found
