"""A report.html of our own making, and a Chromium that opens it from the disk as a reader would."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup
from playwright.sync_api import Browser, Page, sync_playwright

from repro.claims.catalogue import load_catalogue
from repro.claims.claim import Outcome
from repro.claims.judge import Judged, Verdict, judge_all
from repro.claims.references import Figure
from repro.display import Table
from repro.records.store import read_records
from repro.report.pages import values_of, write_report
from repro.report.webpage import Picture, report_html
from repro.sections import SECTIONS

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "no Chromium is here. Install it (Debian, Ubuntu: apt-get install chromium; Fedora: dnf install chromium; "
    "macOS: brew install --cask chromium), or name one in REPRO_CHROMIUM"
)
FLAGS = ("gpu", "quic", "background-networking", "component-update", "sync")  # what a test has no use for
MEASURED = {"": Figure((0.9241, 0.9251, 0.9261))}  # 95 % interval 0.9226 to 0.9276
DRAWING = Markup("<svg role='img' aria-label='9' width='9' height='9' fill='currentColor'><text y='9'>9</text></svg>")
RESULTS = Path(__file__).parents[2] / "results"
TAKEN = "document.title='taken'"
# a script, a word without end, and an order to write from right to left
HOSTILE = f'<script>{TAKEN}</script><img src=x onerror="{TAKEN}"> {"supercalifragilistic" * 20} \u202eمرحبا بالعالم'
OpenPage = Callable[..., Page]


VERDICTS = [  # one a claim, every outcome among them, so that the page has all it can have
    Verdict(
        claim=claim,
        outcome=outcome,
        why=f"reason {i}",
        shown="" if outcome is Outcome.NOT_RUN else f"value {i}",
        seeds=() if outcome is Outcome.NOT_RUN else (0, 1),
        estimates=MEASURED if claim.id == "finetune.f1" else {},
    )
    for i, (claim, outcome) in enumerate(zip(load_catalogue().claim, cycle(Outcome), strict=False))
]


def write_page(folder: Path, verdicts: list[Verdict], text: str = "text") -> Path:
    """Write a page whose every free text is `text`."""
    table = Table(("what", "value"), ((text, text),))
    tables = dict.fromkeys(("verdicts", "scores", "environment"), table)
    pictures = [Picture(name=text, section=text, caption=text, alt=text, svg=DRAWING)]
    path = folder / "report.html"
    values = values_of(Judged(load_catalogue(), verdicts, []), tables, pictures, {})
    path.write_text(report_html(values), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page as it is mostly met, one made of text that wants to be more than text, and that of our records."""
    planted = [replace(v, shown=HOSTILE, why=HOSTILE, basis=HOSTILE) for v in VERDICTS]
    usual, hostile = tmp_path_factory.mktemp("usual"), tmp_path_factory.mktemp("hostile")
    committed = tmp_path_factory.mktemp("committed")
    shutil.copytree(RESULTS, committed, dirs_exist_ok=True)
    catalogue, records = load_catalogue(), read_records(committed)
    write_report(Judged(catalogue, judge_all(catalogue, records, list(SECTIONS)), records), committed)
    return {
        "usual": write_page(usual, VERDICTS),
        "hostile": write_page(hostile, planted, HOSTILE),
        "committed": committed / "report.html",
    }


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests, with a profile of its own."""
    path = os.environ.get("REPRO_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not path:
        pytest.exit(MISSING, returncode=1)
    with sync_playwright() as playwright:
        flags = ["--no-first-run", *(f"--disable-{part}" for part in FLAGS)]
        browser = playwright.chromium.launch(executable_path=path, args=flags, chromium_sandbox=False)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, reports: dict[str, Path]) -> Iterator[OpenPage]:
    """Open one of the pages in a fresh profile, its claims unfolded; options are a browser context's."""
    contexts = []

    def opened(which: str = "usual", *, fragment: str = "", folded: bool = False, **options: Any) -> Page:
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(5_000)
        page = contexts[-1].new_page()
        page.goto(reports[which].as_uri() + fragment)
        if not folded:
            page.evaluate("document.querySelector('.all-claims').open = true")
        return page

    yield opened
    for context in contexts:
        context.close()
