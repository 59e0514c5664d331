"""The tour's letter, question and prompt, read out of the notebook that is being verified; no cell is ever executed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from repro.assets.hub import why_unreachable
from repro.errors import MissingAssetError, UsageError
from repro.notebooks.reading import Cell, cells_of, parse_json, read_notebook
from repro.notebooks.static import Interpreter

# the book's chapter 1, at the commit that the claims' cell numbers are of; its letter is the seminar's, word for word
BOOK = "https://raw.githubusercontent.com/nlp-with-transformers/notebooks/0cb2110/01_introduction.ipynb"
BOOK_LETTER_SHA256 = "b9ec7fe17c6ea80c4633c776e870b7f1e6f4150222d273ad982dcb62bc684661"
WAYS = "Name the notebook with --seminar FILE (.ipynb or its text export), or rehearse with --corpus rehearsal."
LARGEST_BYTES = 50_000_000
SECONDS = 20
# the rehearsal's, where no notebook is verified
LETTER = (
    "Dear Lantern Books, three weeks ago I ordered a globe of Saturn from your shop in Rotterdam. "
    "When Theodora opened the parcel at last, she found a globe of Jupiter with a dent near the pole! "
    "We keep one shelf for planets with rings, so a Jupiter is of no use to us. "
    "I ask for a refund of the postage and a globe of Saturn without dents. "
    "A copy of the bill is in the parcel that I send back today. "
    "I look forward to your answer before the summer ends. Yours, Ambrosius."
)
QUESTION = "What does the writer ask for?"
REPLY = "Dear Ambrosius, we are sorry that the wrong planet came to your door."
REPLY_HEAD = "\n\nCustomer service response:\n"


@dataclass(frozen=True, kw_only=True)
class TourTexts:
    """What the six tasks are given: the `letter`, the `question` on it, and the `prompt` to be continued."""

    letter: str
    question: str
    prompt: str

    def sha256(self) -> dict[str, str]:
        """Return each text's SHA-256, by which a record tells what it was measured on."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in vars(self).items()}


def tour_texts(seminar: Path | None, *, rehearsal: bool) -> TourTexts:
    """Return the texts of the notebook `seminar`; without one, our own for the rehearsal, else the book's, fetched.

    Raises UsageError for a file that is no such notebook, MissingAssetError where the book is not available.
    """
    if seminar is not None:
        return _texts_in(read_notebook(seminar), str(seminar))
    if rehearsal:
        return TourTexts(letter=LETTER, question=QUESTION, prompt=LETTER + REPLY_HEAD + REPLY)
    try:
        if offline := why_unreachable():
            raise URLError(offline)
        with urlopen(BOOK, timeout=SECONDS) as answer:
            content = answer.read(LARGEST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        what = f"the seminar's letter, which the book has, is not available ({getattr(error, 'reason', error)})"
        raise MissingAssetError(what, WAYS) from None
    texts = _texts_in(cells_of(parse_json(content, BOOK), BOOK), BOOK)
    if texts.sha256()["letter"] != BOOK_LETTER_SHA256:
        raise MissingAssetError(f"{BOOK} does not hold the letter that the claims are about", WAYS)
    return texts


def _texts_in(cells: tuple[Cell, ...], name: str) -> TourTexts:
    """Return what the cells assign to text (before the question), question and prompt; `name` is for the error."""
    interpreter = Interpreter()
    for cell in cells:
        interpreter.run(cell.source)
    texts: dict[str, str] = {}
    for target, value in interpreter.assigned:
        if isinstance(value, str):
            texts[target] = value
        if target == "question" and "text" in texts:
            texts["letter"] = texts["text"]  # as it is then: the notebook uses the name again
    for part in ("letter", "question", "prompt"):
        if not texts.get(part, "").strip():
            expected = "expected text = …, question = …, prompt = text + …"
            raise UsageError(f"{name}: no {part} found in its code cells ({expected})", WAYS)
    return TourTexts(letter=texts["letter"], question=texts["question"], prompt=texts["prompt"])
