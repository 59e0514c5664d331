"""report.html: one file that needs no network, made of templates, verdicts, tables, figures and strips.

A figure inside the page is matplotlib's SVG made to take the page's colours and to pass its policy, which lets no
`style` attribute through, so that each becomes attributes; the colours of `COLOURS` become the page's own, which differ
in light and dark; ids get the figure's name, since all stand in one document. A strip shows a number that a claim
reports with a tolerance, and what was measured, on one axis: plain numbers for a template, which draws them.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from repro.claims.catalogue import Catalogue
from repro.claims.claim import POPULATION, Kind
from repro.claims.judge import Verdict
from repro.claims.references import Figure
from repro.display import BARS, INK, SECOND, Drawing, as_text, is_number, number
from repro.records.durable import write_whole

COLOURS = {
    "#000000": "currentColor", INK: "currentColor", "#ffffff": "var(--paper)", BARS: "var(--fill)",
    SECOND: "var(--second)",
}  # fmt: skip
PIXELS_A_POINT = 4 / 3
_LEFT_OUT = r"<\?xml.*?\?>|<!DOCTYPE.*?>|<title>.*?</title>|<metadata>.*?</metadata>|<style.*?</style>"
_UNUSED = {"font", "font-family", "stroke-linejoin"}  # text is in the page's own type
OWN = ("style.css", "page.js")  # nothing is put into them, so that the policy can name their hashes

DRAWN = {Kind.VALUE, Kind.RANGE, *POPULATION}  # the others hold or do not; a strip would add nothing
MOST = 8  # more numbers than that are a figure of their own
SPELT = {"weighted f1": "weighted F1", "macro f1": "macro F1"}
WIDTH = 600.0  # of a strip in its own units; the page scales it
MARGIN = 24.0  # for the numbers at both ends of the axis
TICKS = 4
Span = tuple[float, float]


def render(template: str, **values: object) -> str:
    """Render a template of this package; what goes into HTML is escaped, a missing name is an error."""
    environment = Environment(
        loader=PackageLoader("repro.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"as_text": as_text, "number": number}
    return environment.get_template(template).render(**values)


def report_html(values: Mapping[str, Any]) -> str:
    """Return the page; it forbids itself every request and every script but its own."""
    style, script = (files("repro.report").joinpath("templates", name).read_text("utf-8") for name in OWN)
    return render(
        "report.html",
        **values,
        style=Markup(style),  # noqa: S704 (ours, and nothing is put into it)
        script=Markup(script),  # noqa: S704 (the same)
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; "
        "form-action 'none'",
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
    svg = drawing.to_svg()
    write_whole(folder / f"{drawing.name}.svg", svg.encode())
    inline = inline_svg(svg, drawing.name, drawing.description)
    return Picture(name=drawing.name, section=section, caption=drawing.title, alt=drawing.description, svg=inline)


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


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One figure of a claim: reported value and what the claim allows, measured seeds, and independent runs."""

    label: str
    measured: Figure
    reported: float | None = None
    allowed: Span | None = None
    reference: tuple[float, ...] = ()

    @cached_property
    def axis(self) -> Span:
        """The ends of the axis, a little beyond everything that is drawn."""
        lone = [self.measured.mean, *([] if self.reported is None else [self.reported])]
        drawn = [*lone, *(self.allowed or ()), *(self.measured.interval or ()), *self.reference]
        low, high = min(drawn), max(drawn)
        beyond = 0.04 * (high - low) or abs(low) * 0.1 or 1.0
        return low - beyond, high + beyond

    def x(self, value: float) -> float:
        """Return where a value stands, in the strip's units."""
        low, high = self.axis
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - low) / (high - low), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Where round numbers stand on the axis, and how they read."""
        low, high = self.axis
        about = (high - low) / TICKS
        power = 10.0 ** math.floor(math.log10(about))
        step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda candidate: abs(candidate - about))
        digits = max(0, -math.floor(math.log10(step)))
        numbers = range(math.ceil(low / step), math.floor(high / step) + 1)
        return [(self.x(i * step), f"{i * step:,.{digits}f}") for i in numbers]


def strips(catalogue: Catalogue, verdict: Verdict) -> Iterator[Strip]:
    """Yield a strip for each number of the claim; none where nothing was measured that could be drawn."""
    claim = verdict.claim
    if claim.kind not in DRAWN or len(verdict.estimates) > MOST:
        return
    for part, measured in verdict.estimates.items():
        reported, figure = claim.reported_of(part), None
        if part in claim.figures:
            figure = catalogue.figure(claim.figures[part])
        if claim.kind is Kind.RANGE and isinstance(reported, list):
            allowed, reported = (float(reported[0]), float(reported[1])), None
        elif claim.kind is Kind.REFERENCE and figure:
            allowed = figure.prediction_interval(measured.n)
        elif is_number(reported):
            middle, margin = figure.mean if figure else reported, claim.tolerance_of(part)
            allowed = (middle - margin, middle + margin)
        else:
            continue
        label = part or (claim.measure.rpartition(".")[2] if isinstance(claim.measure, str) else claim.id)
        label = label.replace("_", " ")
        yield Strip(
            label=SPELT.get(label, label),
            measured=measured,
            reported=reported,
            allowed=allowed,
            reference=figure.values if figure else (),
        )
