"""The published accuracy of `repro diagnose`: `python -m tests.diagnosis.accuracy` writes results/diagnosis.csv."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from repro.diagnosis.diagnose import diagnose_run, run_from_file
from repro.display import Table
from repro.errors import UsageError

STRANGERS = Path(__file__).parent / "strangers"
TABLE = Path(__file__).parents[2] / "results" / "diagnosis.csv"
KINDS = {".ipynb": "notebook", ".md": "card", ".json": "state"}
HEAD = ("file", "kind", "language", "cause", "written blind", "expected", "answer before the reader was changed",
        "answer at first run", "answer now")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """A stranger's file and the answer that is right; the head of cases.toml says what each field is."""

    file: str
    language: str
    causes: list[str]
    outcome: str
    before: str
    also: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    first: str = ""
    why: str = ""

    @property
    def expected(self) -> tuple[str, ...]:
        return (self.outcome, *self.also)

    def answer(self) -> tuple[str, str]:
        """Return what the reader calls the file, with a note where a fact is missing, and all that it says of it."""
        try:
            answer = diagnose_run(run_from_file(STRANGERS / self.file))
        except UsageError as error:
            return "refused", str(error)
        reasons = [f"{mistake.text}: {mistake.evidence}" for mistake in (*answer.mistakes, *answer.notes)]
        said = " ".join([answer.sentence, *answer.remarks, *reasons])
        missing = not all(_plain(fact) in _plain(said) for fact in self.says)
        return answer.outcome + (", a fact missing" if missing and answer.outcome in self.expected else ""), said

    def row(self) -> tuple[str, ...]:
        """Return the case as a row of the published table."""
        blind = "yes" if self.file.startswith("blind/") else "no"
        return (self.file, KINDS[Path(self.file).suffix], self.language, " ".join(self.causes), blind,
                " or ".join(self.expected), self.before, self.first, self.answer()[0])  # fmt: skip


def cases() -> list[Case]:
    data = tomllib.loads((STRANGERS / "cases.toml").read_text(encoding="utf-8"))
    return [Case(**case) for case in data["case"]]


def table() -> str:
    return Table(HEAD, tuple(case.row() for case in cases())).to_csv()


def _plain(text: str) -> str:
    return re.sub(r"[\s-]", "", text.lower())


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
