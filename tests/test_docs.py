"""The documentation: links lead somewhere, and the diagram is the code's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if heading and file.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, target


def test_the_diagram_of_the_rooms_is_made_from_the_code() -> None:
    command = [sys.executable, "docs/house.py", "--diagram"]
    diagram = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert diagram in (ROOT / "docs" / "house.md").read_text()


def test_the_walks_name_files_that_exist_each_once_a_walk() -> None:
    for walk in (ROOT / "docs" / "house.md").read_text().split("## From ")[1:]:
        files = re.findall(r"`(repro/[\w/.]+)`", walk)
        assert len(files) == len(set(files)) > 5
        assert all((ROOT / file).exists() for file in files)


def test_the_readme_is_at_most_120_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
