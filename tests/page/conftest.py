"""A report.html of our own making, and a Chromium that opens it from the disk as a reader would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from repro.benchfiles import Benchmark, Machine
from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.display.table import Table
from repro.report.gallery import Picture
from repro.report.webpage import report_html

FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
MEASURED = {"finetune.f1": Figure((0.9241, 0.9251, 0.9261))}  # 95 % interval 0.9226 to 0.9276
DRAWING = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"
TAKEN = "document.title='taken'"
OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def verdicts() -> list[Verdict]:
    """A verdict a claim, every outcome among them, so that the page has all it can have."""
    outcomes = list(Outcome)
    made = []
    for i, claim in enumerate(load_catalogue().claim):
        found: dict[str, Any] = (
            {} if outcomes[i % len(outcomes)] is Outcome.NOT_RUN else {"shown": f"value {i}", "seeds": (0, 1)}
        )
        estimates = {"": MEASURED[claim.id]} if claim.id in MEASURED else {}
        made.append(
            Verdict(claim=claim, outcome=outcomes[i % len(outcomes)], why=f"reason {i}", estimates=estimates, **found)
        )
    return made


def write_page(folder: Path, verdicts: list[Verdict], text: str = "text") -> Path:
    """Write a page whose every free text is `text`."""
    table = Table(("what", "value"), ((text, text),))
    timing: dict[str, Any] = {
        "fullname": text, "group": text, "setup": {"recipe": text}, "facts": {}, "machine": Machine(libraries={}),
        "commit": text, "dirty": False, "written": datetime(2026, 1, 1, tzinfo=UTC), "file": Path("x.json"),
    }  # fmt: skip
    page = report_html(
        load_catalogue(),
        verdicts,
        [],
        dict.fromkeys(("verdicts", "scores", "timings", "environment"), table),
        [Picture(name=text, section=text, caption=text, alt=text, source=DRAWING)],
        [Benchmark(name=f"{text} {i}", rounds=(1.0, 2.0 + i, 3.0), **timing) for i in range(2)],
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory, verdicts: list[Verdict]) -> Path:
    """The page as it is mostly met."""
    return write_page(tmp_path_factory.mktemp("page"), verdicts)


@pytest.fixture(scope="session")
def hostile_text() -> str:
    """A script, a word without end, and an order to write from right to left."""
    return f'<script>{TAKEN}</script><img src=x onerror="{TAKEN}"> {"supercalifragilistic" * 20} \u202eمرحبا بالعالم'


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory, verdicts: list[Verdict], hostile_text: str) -> Path:
    """The page made of text that wants to be more than text."""
    planted = [
        Verdict(**{**vars(v), "shown": hostile_text, "why": hostile_text, "basis": hostile_text}) for v in verdicts
    ]
    return write_page(tmp_path_factory.mktemp("hostile"), planted, hostile_text)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests, with a profile of its own."""
    path = os.environ.get("REPRO_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.exit("no chromium is here; `nox -s page` says what to install", returncode=1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS), chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, report: Path) -> Iterator[OpenPage]:
    """Open the page (or the one at `path`) in a fresh profile; options are a browser context's."""
    contexts = []

    def opened(path: Path = report, *, fragment: str = "", **options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(5_000)
        contexts.append(context)
        page = context.new_page()
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for context in contexts:
        context.close()
