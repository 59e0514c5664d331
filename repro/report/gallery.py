"""Figures for the page: which section of the seminar each belongs to, what it says, and its bytes.

A figure describes itself: its name's beginning tells the section, and its SVG's title and description, which
matplotlib writes, are the caption and the text for those who do not see it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from html import unescape
from pathlib import Path

SECTIONS = (  # the first pattern that fits a figure's name
    ("frequencies*", "Dataset"),
    ("words*", "Dataset"),
    ("tokens*", "Tokenizer"),
    ("features*", "Features"),
    ("projection*", "Projection"),
    ("confusion*logistic*", "Simple classifier"),
    ("confusion*", "Fine-tuning"),
    ("curves*", "Fine-tuning"),
    ("losses*", "Fine-tuning"),
    ("probabilities*", "Inference and sharing"),
    ("tour*", "Tour"),
)
OTHER = "More figures"
BROAD = 600.0  # points; half a page would make its writing too small
HEAVY_SVG = 200_000  # bytes; a drawing of thousands of shapes is smaller as a picture


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure in a page that stands alone: `source` is a data URI; a `broad` one needs the page's whole width."""

    name: str
    section: str
    caption: str
    alt: str
    source: str
    broad: bool = False


def pictures(figures: Sequence[Path]) -> list[Picture]:
    """Return a picture for each figure (the path of its PNG, with the SVG beside it)."""
    return [_picture(path) for path in figures]


def section_of(name: str) -> str:
    """Return the section of the claims that a figure of this name belongs to."""
    return next((section for pattern, section in SECTIONS if fnmatchcase(name, pattern)), OTHER)


def _picture(png: Path) -> Picture:
    svg = png.with_suffix(".svg")
    drawing = svg.read_text(encoding="utf-8") if svg.is_file() else ""
    caption = _said(drawing, "title") or png.stem.replace("-", " ")  # dc:title is matplotlib's own name
    light = drawing and (len(drawing) <= HEAVY_SVG or len(drawing) <= png.stat().st_size)
    kind, data = ("svg+xml", drawing.encode()) if light else ("png", png.read_bytes())
    return Picture(
        name=png.stem,
        section=section_of(png.stem),
        caption=caption,
        alt=_said(drawing, "dc:description") or caption,
        source=f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
        broad=_width(drawing) > BROAD,
    )


def _width(drawing: str) -> float:
    """Return the width that an SVG states in points, 0 where it states none."""
    found = re.search(r'<svg[^>]*\bwidth="([\d.]+)pt"', drawing)
    return float(found.group(1)) if found else 0.0


def _said(drawing: str, what: str) -> str:
    found = re.search(rf"<{what}>(.*?)</{what}>", drawing, re.DOTALL)
    return " ".join(unescape(found.group(1)).split()) if found else ""
