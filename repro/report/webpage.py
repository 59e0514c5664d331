"""report.html: one file that needs no network, made of templates, the verdicts, tables and figures."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from repro.claims.catalogue import Catalogue
from repro.claims.judge import Verdict
from repro.claims.wording import number
from repro.display.table import Table, as_text
from repro.records.schema import RunRecord
from repro.report import tables
from repro.report.inline import MEASUREMENTS, Picture
from repro.report.strips import strips
from repro.spec import RunSpec


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
    environment.filters["as_text"] = as_text
    environment.filters["number"] = number
    return environment.get_template(template).render(**values)


def values_of(
    catalogue: Catalogue,
    verdicts: Sequence[Verdict],
    records: Sequence[RunRecord],
    report_tables: Mapping[str, Table],
    pictures: Sequence[Picture],
    record_files: Mapping[str, str],
) -> dict[str, Any]:
    """Return what both forms of the report are made of, by its name in the templates.

    `record_files` says by claim where the record behind its verdict lies, as seen from the page.
    """
    return {
        "texts": catalogue.texts,
        "needs": catalogue.needs,
        "answers": tables.answers(catalogue, verdicts),
        "answer": tables.answer_table(verdicts),
        "headlined": tables.headlined(catalogue, verdicts),
        "attention": [v for v in verdicts if v.outcome in tables.EXPLAINED],
        "verdicts": verdicts,
        "sections": list(dict.fromkeys(v.claim.section for v in verdicts)),
        "counts_of": tables.outcome_counts,
        "about": tables,
        "strips": partial(strips, catalogue),
        "pictures": pictures,
        "measurements": MEASUREMENTS,
        "record_files": record_files,
        "tables": report_tables,
        "commands": commands(records),
        "commits": list(dict.fromkeys(r.provenance.commit for r in records if r.provenance.commit)),
        "records": len(records),
    }


def report_html(values: Mapping[str, Any]) -> str:
    """Return the page; it forbids itself every request and every script but its own."""
    style, script = _own("style.css"), _own("page.js")
    return render(
        "report.html",
        **values,
        style=Markup(style),  # noqa: S704 (ours, and nothing is put into it)
        script=Markup(script),  # noqa: S704 (the same)
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'; "
        "form-action 'none'",
    )


def commands(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """Return (what it ran, command) of every setup, in the records' order."""
    by_setup: dict[RunSpec, list[RunSpec]] = {}
    for spec in (r.spec for r in records if r.experiment != "published"):  # it runs with any recipe: the book's model
        by_setup.setdefault(spec.setup, []).append(spec)
    return [
        (setup.label, setup.command(list(dict.fromkeys(s.section for s in specs)), {s.seed for s in specs}))
        for setup, specs in by_setup.items()
    ]


def _own(name: str) -> str:
    return files("repro.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
