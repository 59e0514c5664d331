"""A figure inside a page: matplotlib's SVG made to take the page's colours and to pass its policy.

The policy lets no `style` attribute through, so that each becomes attributes; the colours of `COLOURS` become the
page's own, which differ in light and dark; ids get the figure's name, since all stand in one document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from repro.display.figure import BARS, INK, SECOND, Drawing, save_figure

COLOURS = {
    "#000000": "currentColor", INK: "currentColor", "#ffffff": "var(--paper)", BARS: "var(--fill)",
    SECOND: "var(--second)",
}  # fmt: skip
PIXELS_A_POINT = 4 / 3
MEASUREMENTS = "Measurements"  # the heading of figures that belong to no section
_LEFT_OUT = r"<\?xml.*?\?>|<!DOCTYPE.*?>|<title>.*?</title>|<metadata>.*?</metadata>|<style.*?</style>"
_UNUSED = {"font", "font-family", "stroke-linejoin"}  # text is in the page's own type


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A saved figure and what a page says of it; `section` is the part of the claims' list that it belongs to."""

    name: str
    section: str
    caption: str
    alt: str
    svg: Markup


def save_picture(drawing: Drawing, section: str, folder: Path) -> Picture:
    """Save a figure as a file of its own, and return it for a page."""
    text = save_figure(drawing, folder).read_text(encoding="utf-8")
    return Picture(
        name=drawing.name,
        section=section,
        caption=drawing.title,
        alt=drawing.description,
        svg=inline_svg(text, drawing.name, drawing.description),
    )


def inline_svg(text: str, name: str, alt: str) -> Markup:
    """Return matplotlib's SVG file as an element of a page, at its natural size: 9 points are 12 pixels."""
    text = re.sub(_LEFT_OUT, "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[a-zA-Z.]+_\d+">', "<g>", text)
    text = re.sub(r"<[^>]+>", lambda tag: _tag(tag.group(), name), text)
    text = re.sub(r"<defs>\s*</defs>|\n\s*", lambda gap: "" if gap.group() != "\n" else " ", text)
    points = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', text)
    width, height = (round(float(side) * PIXELS_A_POINT) for side in points.groups()) if points else (0, 0)
    head = Markup('<svg role="img" aria-label="{}" width="{}" height="{}" fill="currentColor" ').format(
        alt, width, height
    )
    body = re.sub(r'<svg[^>]*?(viewBox="[^"]*")[^>]*>', r"\1>", text, count=1)
    return head + Markup(body.strip())  # noqa: S704 (matplotlib's own file, in which it escapes every text)


def _tag(tag: str, name: str) -> str:
    tag = re.sub(r' style="([^"]*)"', lambda style: _attributes(style.group(1)), tag)
    tag = tag.replace("xlink:href", "href")
    tag = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", tag)
    return re.sub(r"-?\d+\.\d{2,}", lambda number: f"{float(number.group()):.1f}", tag)


def _attributes(style: str) -> str:
    pairs = (rule.partition(":")[::2] for rule in style.split(";"))
    rules = {key.strip(): value.strip() for key, value in pairs}
    return "".join(f' {key}="{COLOURS.get(rule, rule)}"' for key, rule in rules.items() if key and key not in _UNUSED)
